//! Leadership by a Kubernetes Lease, with a fencing number.
//!
//! A Lease gives liveness, not mutual exclusion: a leader that was stopped may wake up after its
//! Lease went to another. So [`Leadership`] ends by the holder's own monotonic clock before
//! another may take the Lease, and it carries a number ([`Fencing`]) that grows with each
//! acquisition; writes that a stale leader could get wrong are fenced by resourceVersion too.

mod elector;
mod record;

pub use elector::{Elector, Leadership};
pub use record::Fencing;
