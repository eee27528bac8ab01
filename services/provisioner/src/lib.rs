//! Databases and caches: pods locally, RDS and ElastiCache in AWS, one connection Secret.
//!
//! A team asks for a `Database` or a `Cache` in its namespace ([`domain::model`]). The request waits
//! until the team is isolated; the team's fact wakes it ([`events`]). Then a password is made once and
//! kept in the connection Secret ([`domain::binding`]), and the provider that the environment picks
//! ([`provider`]) observes, plans and applies: pods by [`domain::kubernetes`], AWS by [`domain::aws`].
//! What was found is written to the status together with the facts that follow from it
//! ([`reconcile`]). A pod on a simulated node is never said to be ready. On the way out data is kept
//! unless the request says otherwise, and never goes because something above it went.

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod provider;
pub mod reconcile;
