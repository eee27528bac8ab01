//! What an error means for the loop that met it.
//!
//! The class alone decides requeue, acknowledgement, condition and gRPC code, each in one place:
//! `mlp-reconcile` (requeue), `mlp-bus` (ack), `mlp-host` (gRPC).

use std::time::Duration;

/// The three things a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Not an error of anyone: something else must happen first. Look again after the delay;
    /// back-off does not grow.
    Waiting(Duration),
    /// May pass by itself (network, conflict, throttling). Retry with growing back-off.
    Transient,
    /// Will not pass without a change of input. Do not retry the same input; say so to a person.
    Terminal,
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// What the caller should do.
    fn class(&self) -> Class;

    /// A stable CamelCase word for conditions, metrics and `ErrorInfo.reason`.
    fn reason(&self) -> &'static str;
}
