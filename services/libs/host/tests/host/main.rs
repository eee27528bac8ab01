//! The host against real sockets and a scripted Kubernetes API.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail loudly"
)]

mod access;
mod config;
mod fake_api;
mod grpc;
mod leader;
mod lifecycle;
mod objects;
mod probe;
mod process;
mod quiet;
mod support;
mod telemetry;
mod tls;
