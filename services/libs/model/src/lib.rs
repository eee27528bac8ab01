//! The vocabulary that every service shares: names, error classes, facts; no I/O.
//!
//! Read in this order: [`name`] (what things are called), [`environment`], [`class`] (what an
//! error means for the loop that met it), [`fact`] (a statement about a change), [`outbox`] (how
//! a fact survives a crash), [`flow`] (how the work on one change becomes one trace),
//! [`labels`] (keys on Kubernetes objects), [`secret`] (values that never print).
//!
//! Nothing here reads a clock, the environment, a socket or randomness.

pub mod class;
pub mod environment;
pub mod fact;
pub mod flow;
pub mod labels;
pub mod name;
pub mod outbox;
pub mod secret;

pub use class::{Class, Classified};
pub use environment::Environment;
pub use fact::{Context, Fact, FactDraft, FactId};
pub use flow::Flow;
pub use name::{NameError, TeamName};
pub use outbox::{Outbox, OutboxFull, OutboxStore};
pub use secret::Secret;
