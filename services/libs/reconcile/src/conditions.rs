//! Conditions of a status, as `metav1.Condition` lists.
//!
//! `lastTransitionTime` moves only when the status moves, so that writing the same finding again
//! leaves the list equal and the status write is skipped. The time is passed in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use mlp_model::Classified;

use crate::error::chain;

/// Type of the condition that sums up all others.
pub const READY: &str = "Ready";
/// Type of the condition that is `True` when the result runs on simulated nodes only.
pub const SIMULATED: &str = "Simulated";

/// The API server refuses longer messages.
const MESSAGE_LIMIT: usize = 32_768;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What was found about one condition, before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Condition type, CamelCase.
    pub kind: String,
    /// Whether it holds.
    pub status: Status,
    /// CamelCase reason; never empty.
    pub reason: String,
    /// For a person; cut at the API server's limit.
    pub message: String,
}

impl Finding {
    /// A finding from its parts.
    pub fn new(
        kind: impl Into<String>,
        status: impl Into<Status>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind: kind.into(), status: status.into(), reason: reason.into(), message: message.into() }
    }

    /// `kind` is `False` because of `error`, with the error's reason and its chain as message.
    pub fn failed<E: Classified>(kind: impl Into<String>, error: &E) -> Self {
        Self::new(kind, Status::False, error.reason(), chain(error))
    }
}

/// Puts `finding` into `conditions`, replacing the one of its type; returns whether anything changed.
/// `observed_generation` is the generation the finding speaks of.
pub fn set(
    conditions: &mut Vec<Condition>,
    finding: Finding,
    observed_generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let status = finding.status.as_str();
    let previous = conditions.iter_mut().find(|condition| condition.type_ == finding.kind);
    let since = match &previous {
        Some(condition) if condition.status == status => condition.last_transition_time.clone(),
        // The API keeps whole seconds; more would differ after the next read.
        _ => Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
    };
    let next = Condition {
        last_transition_time: since,
        message: cut(finding.message, MESSAGE_LIMIT),
        observed_generation,
        reason: finding.reason,
        status: status.to_owned(),
        type_: finding.kind,
    };
    match previous {
        Some(condition) if *condition == next => return false,
        Some(condition) => *condition = next,
        None => conditions.push(next),
    }
    true
}

/// Removes the condition of type `kind`; returns whether there was one.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.len() != before
}

/// The condition of type `kind`.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of type `kind` is there, is `True`, and speaks of `generation`.
pub fn is_true(conditions: &[Condition], kind: &str, generation: Option<i64>) -> bool {
    find(conditions, kind).is_some_and(|condition| {
        let current = generation.is_none() || condition.observed_generation >= generation;
        condition.status == Status::True.as_str() && current
    })
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        let waiting = || Finding::new(READY, false, "Waiting", "for a namespace");
        assert!(set(&mut conditions, waiting(), Some(1), at(10)));
        assert!(!set(&mut conditions, waiting(), Some(1), at(20)));
        assert!(set(&mut conditions, Finding::new(READY, false, "Invalid", "spec.x"), Some(2), at(30)));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].observed_generation, Some(2));
        assert!(set(&mut conditions, Finding::new(READY, true, "Ready", ""), Some(2), at(40)));
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn a_time_survives_the_api_unchanged() {
        let mut conditions = Vec::new();
        let now = Timestamp::new(10, 123_456_789).unwrap();
        set(&mut conditions, Finding::new(READY, true, "Ready", ""), None, now);
        let read: Vec<Condition> =
            serde_json::from_str(&serde_json::to_string(&conditions).unwrap()).unwrap();
        assert_eq!(read, conditions);
    }

    #[test]
    fn true_about_an_older_generation_is_not_true() {
        let mut conditions = Vec::new();
        set(&mut conditions, Finding::new(READY, true, "Ready", ""), Some(1), at(1));
        assert!(is_true(&conditions, READY, Some(1)));
        assert!(is_true(&conditions, READY, None));
        assert!(!is_true(&conditions, READY, Some(2)));
        assert!(!is_true(&conditions, "Other", None));
        assert!(remove(&mut conditions, READY) && !remove(&mut conditions, READY));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut conditions = Vec::new();
        let long = "ü".repeat(MESSAGE_LIMIT);
        set(&mut conditions, Finding::new(READY, false, "Long", long), None, at(1));
        assert_eq!(conditions[0].message.len(), MESSAGE_LIMIT);
    }
}
