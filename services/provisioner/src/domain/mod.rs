//! Decisions: what a request means and what is to be done about it. Pure.

pub mod aws;
pub mod plan;
pub mod request;

pub use plan::{Plan, Standing, State};
pub use request::{CacheRequest, DatabaseRequest, Intent, Request, Size, Store};
