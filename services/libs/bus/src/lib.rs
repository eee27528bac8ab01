//! Events over NATS JetStream: envelope, subjects, publisher, consumers, dead letters.
//!
//! The promise is at-least-once delivery, effectively-once effects, order per aggregate. Read in
//! this order: [`subject`] (what a fact is called), [`envelope`] (how it looks on the wire),
//! [`topology`] (streams and consumers as data), [`connection`] (one connection per process),
//! [`publish`] and [`relay`] (from an outbox to the broker), [`consume`] (from the broker to a
//! handler, in keyed lanes), [`fence`] (what is not newer is skipped), [`deadletter`] (what was
//! given up, and how it comes back), [`tail`] (reading along), [`hint`] (what replicas tell each other), [`accounts`] (a NATS account per
//! team), [`fault`] (where tests kill the process).
//!
//! This is the only crate that names `async-nats`.

pub mod accounts;
pub mod backoff;
pub mod connection;
pub mod consume;
pub mod deadletter;
pub mod ensure;
pub mod envelope;
pub mod error;
pub mod event;
pub mod fault;
pub mod fence;
pub mod hint;
mod metrics;
pub mod publish;
pub mod relay;
pub mod subject;
pub mod tail;
pub mod topology;
mod trace;

pub use connection::{Bus, BusOptions};
pub use consume::{Handled, Handler};
pub use error::{ConnectError, ConsumeError, EnsureError, PublishError, RelayError};
pub use event::Event;
pub use fault::{FaultPoint, Faults};
pub use fence::{Fence, Fenced};
pub use publish::{Published, Publisher};
pub use relay::Relay;
pub use subject::Topic;
pub use topology::{ConsumerSpec, StreamSpec, Topology};
