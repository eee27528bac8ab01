//! The rules of isolation, as values: no client, no clock, no I/O.
//!
//! In reading order: [`model`] (a Team, validated), [`claims`] (whose a namespace or a host is), [`opening`] (which
//! ones members open themselves),
//! [`lease`] (how the quota is split), [`tier`], [`exemption`] and [`admission`] (what the API server's
//! rules compare with), [`objects`] (what a team's namespaces hold), [`plan`] (what is left to do), [`contents`] (what keeps a team
//! from going), [`tombstone`] (what stays of it), [`outcome`] (what is said about it).

pub mod admission;
pub mod adoption;
pub mod claims;
pub mod compliance;
pub mod contents;
pub mod drift;
pub mod exemption;
pub mod hosts;
pub mod lease;
pub mod model;
pub mod notes;
pub mod objects;
pub mod offboarding;
pub mod opening;
pub mod outcome;
pub mod plan;
pub mod quantity;
pub mod reach;
pub mod refusal;
pub mod rights;
pub mod tier;
pub mod tombstone;

/// The service's name: field manager, `managed-by` label, finalizer.
pub const SERVICE: &str = "team-isolation";
