//! Which facts follow from a status, against what was last stated.
//!
//! The companion `ApplicationRecord` remembers the last statement; the facts enter its outbox in the
//! write that moves it on, so each edge is stated once however often it is computed.

use jiff::Timestamp;
use mlp_crds::ApplicationRecordStatus;
use mlp_crds::argocd::{ApplicationCondition, ApplicationStatus, OperationState};
use sha2::{Digest as _, Sha256};

use super::operation::{ERROR, FAILED, RUNNING, is_heal, seconds};
use super::picture::SyncWord;
use super::revision;
use super::status::SYNC;
use super::termination::{TERMINATING, was_terminated};

/// One fact to state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Live became as git wants it.
    Synced,
    /// A revision could not be read or applied.
    Failed {
        /// Stable word.
        reason: String,
        /// In words.
        message: String,
    },
    /// Health of the whole changed.
    HealthChanged {
        /// Before; none for the first statement.
        previous: Option<String>,
        /// Now.
        current: String,
    },
    /// Git came to want something else.
    Observed {
        /// The revision that was stated before, where there was one.
        previous: Option<String>,
    },
    /// What is live became another than was synced.
    Drifted,
    /// What had become another is as git says again.
    Healed {
        /// Since when it was another, RFC 3339.
        since: String,
    },
}

/// What a look came to.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The status that is to be written.
    pub status: &'a ApplicationStatus,
    /// A digest of what git wants, where that is known: a commit that changes nothing of it is no news.
    pub content: Option<&'a str>,
    /// The Application's generation.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
}

/// Moves `record` on to what was seen and returns what is to be stated. Calling it again with the same
/// status returns nothing.
pub fn advance(record: &mut ApplicationRecordStatus, seen: Seen<'_>) -> Vec<Statement> {
    let Seen { status, content, generation, now } = seen;
    let mut statements = Vec::new();
    let sync = status.sync.clone().unwrap_or_default();
    let revision = revision::compared(&sync);
    // One that only tries changes nothing that others should know.
    let operation = status.operation_state.as_ref().filter(|state| !state.operation.is_dry_run());
    let failure = failure(status, operation);
    let synced = sync.status == SyncWord::Synced.as_str() && !running(operation);
    let is_other = match (record.content.as_deref(), content) {
        (Some(stated), Some(content)) => stated != content,
        _ => record.revision != revision,
    };
    if observes(record, content) {
        statements.push(Statement::Observed { previous: record.revision.clone() });
    }
    if drifts(record, seen, operation) {
        statements.push(Statement::Drifted);
        record.drifted_since = Some(seconds(now));
    }
    if synced && (record.sync.as_deref() != Some("Synced") || is_other) {
        statements.push(Statement::Synced);
        record.synced_by = operation.and_then(named);
    }
    if let Some(since) = record.drifted_since.take_if(|_| synced) {
        statements.push(Statement::Healed { since });
    }
    if content.is_some() && (synced || (running(operation) && record.content.as_deref() != content)) {
        // Once something else is being applied, what was synced is no measure of what is live.
        record.content = content.filter(|_| synced).map(str::to_owned);
    }
    let key = failure.as_ref().map(|(reason, message)| {
        // A commit that changes nothing of what fails is no other failure.
        digest(&[reason.as_str(), message.as_str(), content.or(revision.as_deref()).unwrap_or_default()])
    });
    if let Some((reason, message)) = failure.filter(|_| key != record.failure) {
        statements.push(Statement::Failed { reason, message });
    }
    let health = status.health.as_ref().and_then(|health| health.status.clone());
    if let Some(current) = health.clone().filter(|_| record.health != health) {
        statements.push(Statement::HealthChanged { previous: record.health.clone(), current });
    }
    record.health = health.or(record.health.take());
    record.failure = key;
    // A source that cannot be read says nothing about what is synced: back again is no new sync.
    if running(operation) && !was_stated(record, operation) {
        record.sync = Some(SyncWord::OutOfSync.as_str().into());
    } else if !running(operation) && sync.status != SyncWord::Unknown.as_str() {
        record.sync = Some(sync.status);
    }
    if is_other || !statements.is_empty() {
        record.revision = revision.or(record.revision.take());
    }
    record.phase = operation.map(|state| state.phase.clone());
    record.observed_generation = Some(generation);
    statements
}

/// Whether git wants something else than was stated; notes what it wants.
fn observes(record: &mut ApplicationRecordStatus, content: Option<&str>) -> bool {
    let Some(content) = content.filter(|content| record.observed.as_deref() != Some(content)) else {
        return false;
    };
    // A record of before this was stated knows it from what was synced.
    let is_known = record.observed.is_none() && record.content.as_deref() == Some(content);
    record.observed = Some(content.to_owned());
    !is_known
}

/// Whether what is live became another than was synced, which is not stated yet.
fn drifts(record: &ApplicationRecordStatus, seen: Seen<'_>, operation: Option<&OperationState>) -> bool {
    let is_out = seen.status.sync.as_ref().is_some_and(|sync| sync.status == SyncWord::OutOfSync.as_str());
    let was_synced = seen.content.is_some() && record.content.as_deref() == seen.content;
    let heals = operation.is_some_and(|state| is_heal(&state.operation));
    is_out && was_synced && record.drifted_since.is_none() && (heals || !running(operation))
}

/// Whether it is stated already that the operation has synced: its end was not written, and comes again.
fn was_stated(record: &ApplicationRecordStatus, operation: Option<&OperationState>) -> bool {
    let name = operation.and_then(named);
    name.is_some() && name == record.synced_by && record.sync.as_deref() == Some("Synced")
}

/// What tells an operation from others, of the same second, too.
fn named(state: &OperationState) -> Option<String> {
    let asked = serde_json::to_string(&state.operation).unwrap_or_default();
    Some(digest(&[state.started_at.as_deref()?, &asked]))
}

fn running(operation: Option<&OperationState>) -> bool {
    operation.is_some_and(|state| matches!(state.phase.as_str(), RUNNING | TERMINATING))
}

fn failure(status: &ApplicationStatus, operation: Option<&OperationState>) -> Option<(String, String)> {
    // People know what a person ended, and that it is not tried again.
    let ended = operation.is_some_and(was_terminated);
    let tells = |condition: &&ApplicationCondition| {
        condition.type_.ends_with("Error") && !(ended && condition.type_ == SYNC)
    };
    if let Some(condition) = status.conditions.iter().find(tells) {
        return Some((condition.type_.clone(), condition.message.clone()));
    }
    let state = operation.filter(|_| !ended).filter(|state| state.phase == FAILED || state.phase == ERROR)?;
    Some((format!("Sync{}", state.phase), state.message.clone().unwrap_or_default()))
}

fn digest(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
