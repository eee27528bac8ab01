//! Teams: namespaces, quotas, rights and network policy.
//!
//! A platform engineer declares a `Team`. This service validates it ([`domain::model`]), finds out
//! whose its namespaces are ([`domain::claims`]), renders what they should hold
//! ([`domain::objects`]), compares that with the watch caches ([`domain::plan`]) and makes the calls
//! that are left ([`reconcile`]): namespace, account, quota, limits and policy first; rights last,
//! once the API server enforces the quota. What was found is written to the Team's status together
//! with the facts that follow from it, which then go to the broker ([`events`]). The way out runs
//! the other way: nothing that holds work or data is removed; rights go first, then the empty
//! namespaces, then the fact, then the finalizer. What the API server refuses by the rules of
//! `deploy/admission` is read from its log ([`audit`]). Others read and declare teams over gRPC ([`api`]).
//! Whatever somebody changes by hand is put back by the next watch event; a steady team costs no call.

pub mod api;
pub mod app;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod reconcile;
