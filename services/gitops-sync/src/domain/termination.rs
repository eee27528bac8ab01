//! The end of an operation because a person says so.

use jiff::Timestamp;
use mlp_crds::argocd::OperationState;

use super::operation::{FAILED, seconds};

/// The word for an operation that a person ends.
pub const TERMINATING: &str = "Terminating";
/// What is said of one that was ended.
const SAID: &str = "Operation terminated";

/// Ends it; `left` are hooks that could not be deleted.
pub fn terminate(state: &mut OperationState, left: &[String], now: Timestamp) {
    state.phase = FAILED.into();
    let left: Vec<String> = left.iter().map(|one| format!("; left: {one}")).collect();
    state.message = Some(format!("{SAID}{}", left.concat()));
    state.finished_at = Some(seconds(now));
}

/// Whether it was ended by a person.
pub fn was_terminated(state: &OperationState) -> bool {
    state.phase == FAILED && state.message.as_deref().is_some_and(|message| message.starts_with(SAID))
}
