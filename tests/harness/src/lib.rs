//! What tests start: real NATS servers, a real API server, waiting with a limit.
//!
//! Everything comes from the pinned toolchain, on free ports, in temporary folders, and ends with
//! the test: by drop, or by a watchdog when the test process is killed. A missing tool is built;
//! when that fails the test fails with the remedy, it is never skipped.

mod between;
mod cut;
mod error;
mod git;
mod moto;
pub mod nats;
pub mod plane;
mod python;
mod scripted;
mod start;
pub mod subscribers;
mod wait;

pub use between::before_each;
pub use cut::cut_after;
pub use error::HarnessError;
pub use git::GitServer;
pub use mlp_tilt::plane::nats::{Access, Operator};
pub use moto::Moto;
pub use nats::{NatsCluster, NatsOptions, NatsServer};
pub use plane::{ControlPlane, TestNamespace};
pub use scripted::Scripted;
pub use start::{kubectl, tool};
pub use wait::{TimedOut, wait_until};
