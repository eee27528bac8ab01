//! Cost per team and hour, exact to the nano-dollar.
//!
//! Pods, nodes, namespaces and claims are watched, and what is learned of when they ran goes into a
//! ledger in one SQLite file ([`reconcile::observe`], [`store`]): one record per uid, grown by merging, so
//! that order, repetition and restarts do not count ([`domain::ledger`]). Price sheets say what a node's
//! resources cost ([`domain::price`]). A while after the end of each hour, every node's cost is split over
//! the pods that ran on it, what stood idle and what the system keeps, by the integral of requests over
//! time ([`domain::allocate`]), and the hour is closed for ever: shares, totals and the facts that
//! state them in one transaction ([`reconcile::close`]). Parts that do not add up to the nodes close
//! nothing. A `TeamIsolated` begins the metering of a team, a `TeamRemoved` ends it ([`events`]). Others
//! ask for closed hours, and for what has run since, over gRPC ([`api`]).

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod reconcile;
pub mod store;
