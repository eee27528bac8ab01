//! The components of the control plane, one file each.

pub mod nats;
