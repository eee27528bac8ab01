//! Why a host did not start. Each message names the flag or the part, and the fix.

use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::telemetry::TelemetryError;

/// Any error, for the edges where only its text matters.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a host did not start. Nothing keeps running after one of these.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The flags, environment and file do not make a valid configuration.
    #[error("the configuration is not valid")]
    Config(#[from] ConfigError),
    /// Telemetry could not be set up.
    #[error("telemetry could not be set up")]
    Telemetry(#[from] TelemetryError),
    /// No Kubernetes client could be made from the given sources.
    #[error("no Kubernetes client; give --kubeconfig (and --context), or run in a cluster")]
    Kubernetes(#[source] BoxError),
    /// A listener could not be bound.
    #[error("--{flag} {address} cannot be bound; choose a free port, or 0 for any")]
    Bind {
        /// The flag that named the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A TLS file named by a flag could not be read.
    #[error("--{flag} {path} cannot be read")]
    TlsFile {
        /// The flag that named the file.
        flag: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The TLS files do not fit each other.
    #[error("--grpc-tls-cert, --grpc-tls-key and --grpc-client-ca do not make a TLS server")]
    Tls(#[source] BoxError),
    /// The gRPC server ended.
    #[error("the gRPC server ended")]
    Serve(#[source] BoxError),
    /// The descriptor set given for reflection cannot be decoded.
    #[error("the protobuf descriptor set for gRPC reflection cannot be decoded")]
    Reflection(#[source] BoxError),
}

/// The error and its sources, joined by `: `. For the one place that prints it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
