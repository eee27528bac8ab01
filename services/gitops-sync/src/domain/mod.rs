//! What is wanted, what is so, and what follows: pure.
//!
//! In reading order: [`request`] (the spec, validated), [`project`] (what it may do), [`manifest`]
//! (files of git, read), [`identity`] (names and tracking), [`order`] (waves), [`compare`] (in sync or
//! not), [`health`], [`picture`] (all of it together), [`operation`] (whether to sync), [`status`] (what
//! Argo CD would write), [`statement`] (facts).

pub mod compare;
pub mod duration;
pub mod glob;
pub mod health;
pub mod identity;
pub mod ignore;
pub mod manifest;
pub mod object_options;
pub mod operation;
pub mod order;
pub mod picture;
pub mod project;
pub mod request;
pub mod statement;
pub mod status;

/// The service's name: its field manager, ServiceAccount and Lease.
pub const SERVICE: &str = "gitops-sync";
