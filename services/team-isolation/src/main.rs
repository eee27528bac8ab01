//! Teams: namespaces, quotas, rights and network policy.

fn main() {}
