//! What health means and when an incident is one. Pure: objects and `now` in, verdicts and decisions out.
//!
//! [`verdict`] holds the answers, [`rules`] one rule a file for each kind, [`incident`] decides on
//! opening and closing, [`lift`] lets pods speak for their workloads, [`team`] adds up a team, [`record`]
//! finds what has not been stated yet.

pub mod incident;
pub mod lift;
pub mod record;
pub mod rules;
pub mod team;
pub mod verdict;

pub use record::{Change, Judged};
pub use verdict::{Health, Verdict};
