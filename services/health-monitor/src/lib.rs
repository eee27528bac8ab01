//! health-monitor: how every team's resources are, and which of it is an incident.
//!
//! It watches workloads, our own kinds and applications, judges each by the rule of its kind
//! ([`domain::rules`]), and never calls healthy what it cannot tell: no status, a stale one or a
//! simulated node are `Unknown`. Pods speak for the workload they belong to ([`domain::lift`]).
//! What stays bad long enough opens an `Incident`, what stays good long enough closes it
//! ([`domain::incident`]). A team's health is the worst of its resources, kept with every
//! resource's in the team's `HealthRecord`.
//!
//! One look at one team is [`reconcile`]: judge, decide, write. Changes of anything watched wake
//! it, and so do facts of other services ([`events::consume`]); what to do is decided from state.
//! The facts it states itself are recorded in the status they speak of and then published
//! ([`events::publish`]). [`api`] serves the records over gRPC. [`app`] puts it together.

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod reconcile;
