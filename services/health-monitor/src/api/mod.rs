//! `mlp.health.api.v1.HealthService`: reads records and incidents; writes nothing.

mod convert;
mod page;
mod service;
mod watch;

pub use service::Service;
