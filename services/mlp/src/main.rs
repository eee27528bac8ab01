//! The command line of the platform.

fn main() {}
