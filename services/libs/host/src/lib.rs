//! The process shell: config, telemetry, admin port, gRPC, lease, supervision, drain.
//!
//! A service is `main` in one line: [`run`] parses the configuration ([`config`]), starts a
//! [`Host`] (telemetry, Kubernetes client, admin port) and hands both to the service's `app`. The
//! app spawns supervised tasks, serves gRPC ([`grpc`]) and ends with [`Host::run`], which waits for
//! a signal or for a task that died, and drains in order: stop accepting, the app's drain hook,
//! stop tasks, flush telemetry, exit code.
//!
//! Nothing here is silent: a task that ends or panics makes `/readyz` fail with the task's name,
//! and the process exits non-zero after the drain. [`lease`] gives leadership with a fencing
//! number; [`telemetry::emit_root`] gives flows their root span.

pub mod admin;
pub mod config;
mod connections;
pub mod error;
pub mod grpc;
pub mod host;
mod http;
mod kubernetes;
pub mod lease;
pub mod readiness;
pub mod supervise;
pub mod telemetry;

pub use config::HostArgs;
pub use error::{BoxError, StartError};
pub use host::{Host, HostBuilder, Outcome, run, run_with};
