//! The rules of provisioning, as values: no client, no clock, no I/O.
//!
//! In reading order: [`model`] (a request, validated), [`binding`] (the connection Secret),
//! [`kubernetes`] (pods and what belongs to them), [`aws`] (RDS and ElastiCache), [`plan`] (what is
//! left to do), [`outcome`] (what is said about it).

pub mod aws;
pub mod binding;
pub mod kubernetes;
pub mod model;
pub mod outcome;
pub mod plan;

/// The service's name: field manager, `managed-by` label, finalizer.
pub const SERVICE: &str = "provisioner";
