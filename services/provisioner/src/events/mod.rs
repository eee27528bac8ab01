//! Facts in and out: [`publish`] drafts ours for the outbox, [`consume`] wakes requests on a team's.

pub mod consume;
mod convert;
pub mod publish;
