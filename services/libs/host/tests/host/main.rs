//! The host against real sockets and a scripted Kubernetes API.

mod access;
mod config;
mod fake_api;
mod grpc;
mod leader;
mod lifecycle;
mod probe;
mod process;
mod support;
mod telemetry;
mod tls;
