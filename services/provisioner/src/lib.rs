//! Databases and caches: pods locally, RDS and ElastiCache in AWS, one connection Secret.

pub mod domain;
pub mod provider;
