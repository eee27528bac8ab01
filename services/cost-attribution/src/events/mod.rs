//! Facts in and out: [`consume`] meters teams on the facts of team-isolation, [`publish`] makes ours.

pub mod consume;
pub mod publish;
