//! Facts in and out: [`publish`] drafts ours for the outbox, [`consume`] wakes Applications on others'.

pub mod consume;
pub mod publish;
pub(crate) mod wire;
