//! One rule a file: the verdict on each kind. Every rule is total; what it cannot tell is `Unknown`.

mod claim;
mod conditioned;
mod job;
mod pod;
mod workload;

pub use claim::claim;
pub use conditioned::{application, conditioned};
pub use job::job;
pub use pod::pod;
pub use workload::{daemon_set, deployment, stateful_set};

#[cfg(test)]
mod tests;
