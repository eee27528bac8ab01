//! Facts in and out: [`publish`] drafts ours for the outbox, [`consume`] wakes a team on others'.

pub mod consume;
mod convert;
pub mod publish;
