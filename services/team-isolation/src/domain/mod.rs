//! The rules of isolation, as values: no client, no clock, no I/O.
//!
//! In reading order: [`model`] (a Team, validated), [`claims`] (whose a namespace is), [`objects`]
//! (what a team's namespaces hold), [`plan`] (what is left to do), [`contents`] (what keeps a team
//! from going), [`outcome`] (what is said about it).

pub mod claims;
pub mod contents;
pub mod drift;
pub mod model;
pub mod objects;
pub mod outcome;
pub mod plan;
pub mod quantity;
pub mod rights;

/// The service's name: field manager, `managed-by` label, finalizer.
pub const SERVICE: &str = "team-isolation";
