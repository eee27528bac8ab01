//! When bad health is an incident, and when it is over.
//!
//! One incident per object: its identity is the object's, never a message. Hysteresis on both
//! sides: bad health must last `open_after` before an incident opens, and good health `close_after`
//! before it closes, so that a flap makes one incident and a rollout none.

use std::time::Duration;

use jiff::Timestamp;
use mlp_crds::incident::Severity;
use sha2::{Digest, Sha256};

use super::{Health, Verdict};

/// How patient the decisions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an object must be bad before an incident opens.
    pub open_after: Duration,
    /// How long an object must be good before its incident closes.
    pub close_after: Duration,
    /// How long an object may make no progress before that is bad.
    pub progress_deadline: Duration,
}

/// What is remembered of one object between looks; rebuilt from evidence after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The health last seen.
    pub health: Health,
    /// Since when, by evidence or first sight.
    pub since: Timestamp,
}

/// What to do about one object now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing; look again after the delay, where only time can change the answer.
    Keep(Option<Duration>),
    /// Open an incident that began at the time.
    Open(Timestamp),
    /// The open incident has new evidence.
    Update,
    /// Close the open incident; the object recovered at the time.
    Close(Timestamp),
}

/// Remembers the newest verdict: the time moves only when the health changes.
pub fn remember(memory: Option<Memory>, verdict: &Verdict, now: Timestamp) -> Memory {
    match memory {
        Some(memory) if memory.health == verdict.health => memory,
        _ => Memory {
            health: verdict.health,
            since: verdict.since.filter(|since| *since <= now).unwrap_or(now),
        },
    }
}

/// Decides on one object. `open` is the reason its open incident shows, where there is one.
pub fn decide(
    verdict: &Verdict,
    memory: &Memory,
    open: Option<&str>,
    patience: Patience,
    now: Timestamp,
) -> Decision {
    let lasted = elapsed(memory.since, now);
    let bad_after = match verdict.health {
        Health::Degraded => Some(patience.open_after),
        Health::Progressing | Health::Missing => Some(patience.progress_deadline),
        // Nobody can tell, or stopped on purpose: shown, and no reason to wake a person or to call it over.
        Health::Unknown | Health::Suspended | Health::Healthy => None,
    };
    match (open, bad_after) {
        (None, Some(limit)) if lasted >= limit => Decision::Open(memory.since),
        (None, Some(limit)) => Decision::Keep(Some(limit.saturating_sub(lasted))),
        (Some(shown), Some(_)) if verdict.health == Health::Degraded && shown != verdict.reason => {
            Decision::Update
        }
        (Some(_), None) if verdict.health != Health::Unknown => {
            if lasted >= patience.close_after {
                Decision::Close(memory.since)
            } else {
                Decision::Keep(Some(patience.close_after.saturating_sub(lasted)))
            }
        }
        _ => Decision::Keep(None),
    }
}

/// How bad it is: what holds data or people's traffic is critical.
pub fn severity(kind: &str) -> Severity {
    match kind {
        "Database" | "Cache" | "Application" | "Team" => Severity::Critical,
        _ => Severity::Warning,
    }
}

/// What makes two observations the same incident.
pub fn fingerprint(kind: &str, uid: &str) -> String {
    format!("{}/{uid}", kind.to_lowercase())
}

/// The Incident's object name: deterministic, so that a repeated opening is the same object.
pub fn object_name(fingerprint: &str, opened: Timestamp) -> String {
    let digest = Sha256::digest(format!("{fingerprint}/{}", opened.as_second()).as_bytes());
    let short: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let kind = fingerprint.split('/').next().unwrap_or("object");
    format!("{kind}-{short}")
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
