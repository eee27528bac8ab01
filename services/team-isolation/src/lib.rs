//! Teams: namespaces, quotas, rights and network policy.

pub mod domain;
