//! Benchmarks: bus, onboarding, memory.

fn main() {}
