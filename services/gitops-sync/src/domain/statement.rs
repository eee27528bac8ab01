//! Which facts follow from a status, against what was last stated.
//!
//! The companion `ApplicationRecord` remembers the last statement; the facts enter its outbox in the
//! write that moves it on, so each edge is stated once however often it is computed.

use mlp_crds::ApplicationRecordStatus;
use mlp_crds::argocd::{ApplicationCondition, ApplicationStatus, OperationState};
use sha2::{Digest as _, Sha256};

use super::operation::{ERROR, FAILED, RUNNING};
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
}

/// Moves `record` on to `status` and returns what is to be stated. Calling it again with the same
/// status returns nothing. `content` is a digest of what git wants: a commit that changes nothing of it is no news.
pub fn advance(
    record: &mut ApplicationRecordStatus,
    status: &ApplicationStatus,
    content: Option<&str>,
    generation: i64,
) -> Vec<Statement> {
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
    if synced && (record.sync.as_deref() != Some("Synced") || is_other) {
        statements.push(Statement::Synced);
    }
    if synced && content.is_some() {
        record.content = content.map(str::to_owned);
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
    if running(operation) {
        record.sync = Some(SyncWord::OutOfSync.as_str().into());
    } else if sync.status != SyncWord::Unknown.as_str() {
        record.sync = Some(sync.status);
    }
    if is_other || !statements.is_empty() {
        record.revision = revision.or(record.revision.take());
    }
    record.phase = operation.map(|state| state.phase.clone());
    record.observed_generation = Some(generation);
    statements
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
mod tests {
    use mlp_crds::argocd::{HealthStatus, SyncOperation, SyncStatus};

    use super::*;

    fn status(sync: &str, revision: &str, health: &str, phase: &str) -> ApplicationStatus {
        ApplicationStatus {
            sync: Some(SyncStatus {
                status: sync.into(),
                revision: Some(revision.into()),
                ..Default::default()
            }),
            health: Some(HealthStatus { status: Some(health.into()), ..Default::default() }),
            operation_state: Some(OperationState { phase: phase.into(), ..Default::default() }),
            ..ApplicationStatus::default()
        }
    }

    fn names(statements: &[Statement]) -> Vec<&'static str> {
        let name = |statement: &Statement| match statement {
            Statement::Synced => "synced",
            Statement::Failed { .. } => "failed",
            Statement::HealthChanged { .. } => "health",
        };
        statements.iter().map(name).collect()
    }

    #[test]
    fn what_a_person_ends_is_no_failure_and_no_sync_while_it_ends() {
        let mut record = ApplicationRecordStatus::default();
        let ends = status("Synced", "r1", "Healthy", "Terminating");
        assert_eq!(names(&advance(&mut record, &ends, None, 1)), ["health"]);
        let mut ended = status("OutOfSync", "r1", "Healthy", "Failed");
        ended.operation_state.as_mut().unwrap().message = Some("Operation terminated".into());
        let said = "the sync to r1 failed and is not tried again: Operation terminated".into();
        ended.conditions =
            vec![ApplicationCondition { type_: SYNC.into(), message: said, ..Default::default() }];
        assert!(advance(&mut record, &ended, None, 1).is_empty());
        ended.conditions[0].type_ = "ComparisonError".into();
        assert_eq!(names(&advance(&mut record, &ended, None, 1)), ["failed"]);
    }

    #[test]
    fn each_edge_is_stated_once() {
        let mut record = ApplicationRecordStatus::default();
        for (status, expected) in [
            (status("OutOfSync", "r1", "Missing", "Running"), vec!["health"]),
            (status("Synced", "r1", "Progressing", "Succeeded"), vec!["synced", "health"]),
            (status("Synced", "r1", "Healthy", "Succeeded"), vec!["health"]),
            (status("Synced", "r2", "Healthy", "Succeeded"), vec!["synced"]),
            (status("OutOfSync", "r2", "Healthy", "Running"), vec![]),
            (status("Synced", "r2", "Healthy", "Succeeded"), vec!["synced"]),
            (status("Unknown", "r2", "Healthy", "Succeeded"), vec![]),
            (status("Synced", "r2", "Healthy", "Succeeded"), vec![]),
            (status("OutOfSync", "r3", "Healthy", "Failed"), vec!["failed"]),
            (status("OutOfSync", "r4", "Healthy", "Failed"), vec!["failed"]),
            (status("Synced", "r4", "Healthy", "Succeeded"), vec!["synced"]),
        ] {
            assert_eq!(names(&advance(&mut record, &status, None, 1)), expected, "{status:?}");
            assert!(advance(&mut record, &status, None, 1).is_empty(), "stated twice: {status:?}");
        }
    }

    #[test]
    fn a_condition_is_a_failure_and_a_new_message_a_new_one() {
        let mut record = ApplicationRecordStatus::default();
        let mut broken = status("Unknown", "r1", "Healthy", "Succeeded");
        advance(&mut record, &broken, None, 1);
        let condition = |message: &str| ApplicationCondition {
            type_: "ComparisonError".into(),
            message: message.into(),
            last_transition_time: None,
        };
        broken.conditions = vec![condition("a.yaml:1: x")];
        let expected = Statement::Failed { reason: "ComparisonError".into(), message: "a.yaml:1: x".into() };
        assert_eq!(advance(&mut record, &broken, None, 1), [expected]);
        broken.conditions = vec![condition("a.yaml:2: y")];
        assert_eq!(names(&advance(&mut record, &broken, None, 1)), ["failed"]);
        broken.conditions.clear();
        assert!(advance(&mut record, &broken, None, 1).is_empty());
    }

    #[test]
    fn one_that_only_tries_states_nothing() {
        let mut record = ApplicationRecordStatus::default();
        let before = status("Synced", "r1", "Healthy", "Succeeded");
        advance(&mut record, &before, None, 1);
        for phase in ["Running", "Failed", "Succeeded"] {
            let mut tries = status("Synced", "r1", "Healthy", phase);
            let sync = SyncOperation { dry_run: true, ..SyncOperation::default() };
            tries.operation_state.as_mut().unwrap().operation.sync = Some(sync);
            assert_eq!(advance(&mut record, &tries, None, 1), [], "{phase}");
        }
    }

    #[test]
    fn a_commit_that_changes_nothing_is_no_news() {
        let mut record = ApplicationRecordStatus::default();
        let at = |revision: &str| status("Synced", revision, "Healthy", "Succeeded");
        assert_eq!(names(&advance(&mut record, &at("a"), Some("x"), 1)), ["synced", "health"]);
        let before = record.clone();
        assert!(advance(&mut record, &at("b"), Some("x"), 1).is_empty());
        assert_eq!(record, before, "nor a write");
        assert_eq!(names(&advance(&mut record, &at("c"), Some("y"), 1)), ["synced"]);
        assert_eq!(record.revision.as_deref(), Some("c"));
        let drifted = status("OutOfSync", "d", "Healthy", "Running");
        assert!(advance(&mut record, &drifted, Some("y"), 1).is_empty());
        assert_eq!(names(&advance(&mut record, &at("d"), Some("y"), 1)), ["synced"], "healed");
    }
}
