use mlp_crds::argocd::{HealthStatus, SyncOperation, SyncStatus};

use super::*;

fn status(sync: &str, revision: &str, health: &str, phase: &str) -> ApplicationStatus {
    ApplicationStatus {
        sync: Some(SyncStatus { status: sync.into(), revision: Some(revision.into()), ..Default::default() }),
        health: Some(HealthStatus { status: Some(health.into()), ..Default::default() }),
        operation_state: Some(OperationState { phase: phase.into(), ..Default::default() }),
        ..ApplicationStatus::default()
    }
}

fn advance(
    record: &mut ApplicationRecordStatus,
    status: &ApplicationStatus,
    content: Option<&str>,
    generation: i64,
) -> Vec<Statement> {
    super::advance(record, Seen { status, content, generation, now: Timestamp::UNIX_EPOCH })
}

fn names(statements: &[Statement]) -> Vec<&'static str> {
    let name = |statement: &Statement| match statement {
        Statement::Synced => "synced",
        Statement::Failed { .. } => "failed",
        Statement::HealthChanged { .. } => "health",
        Statement::Observed { .. } => "observed",
        Statement::Drifted => "drifted",
        Statement::Healed { .. } => "healed",
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
    ended.conditions = vec![ApplicationCondition { type_: SYNC.into(), message: said, ..Default::default() }];
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
    assert_eq!(names(&advance(&mut record, &at("a"), Some("x"), 1)), ["observed", "synced", "health"]);
    let before = record.clone();
    assert!(advance(&mut record, &at("b"), Some("x"), 1).is_empty());
    assert_eq!(record, before, "nor a write");
    assert_eq!(names(&advance(&mut record, &at("c"), Some("y"), 1)), ["observed", "synced"]);
    assert_eq!(record.revision.as_deref(), Some("c"));
    let drifted = status("OutOfSync", "d", "Healthy", "Running");
    assert!(advance(&mut record, &drifted, Some("y"), 1).is_empty());
    assert_eq!(names(&advance(&mut record, &at("d"), Some("y"), 1)), ["synced"], "healed");
}

#[test]
fn what_git_wants_is_stated_once_and_not_again_by_a_newer_version_of_the_service() {
    let mut record = ApplicationRecordStatus::default();
    let first = status("OutOfSync", "a", "Missing", "Running");
    assert_eq!(advance(&mut record, &first, Some("x"), 1)[0], Statement::Observed { previous: None });
    let second = status("OutOfSync", "b", "Missing", "Running");
    let previous = Some("a".to_owned());
    assert_eq!(advance(&mut record, &second, Some("y"), 1), [Statement::Observed { previous }]);
    assert_eq!(advance(&mut record, &second, None, 1), [], "what cannot be read is no news");
    let mut before = ApplicationRecordStatus {
        sync: Some("Synced".into()),
        content: Some("x".into()),
        ..Default::default()
    };
    assert_eq!(
        names(&advance(&mut before, &status("Synced", "a", "Healthy", "Succeeded"), Some("x"), 1)),
        ["health"]
    );
}

#[test]
fn drift_is_stated_once_and_healed_once() {
    let mut record = ApplicationRecordStatus::default();
    let synced = status("Synced", "a", "Healthy", "Succeeded");
    advance(&mut record, &synced, Some("x"), 1);
    let drifted = status("OutOfSync", "a", "Healthy", "Succeeded");
    assert_eq!(advance(&mut record, &drifted, Some("x"), 1), [Statement::Drifted]);
    assert_eq!(advance(&mut record, &drifted, Some("x"), 1), []);
    let since = "1970-01-01T00:00:00Z".to_owned();
    assert_eq!(advance(&mut record, &synced, Some("x"), 1), [Statement::Synced, Statement::Healed { since }]);

    // Self-heal is under way by the time that it is seen.
    let mut heals = status("OutOfSync", "a", "Healthy", "Running");
    let mut sync = SyncOperation::default();
    sync.rest.insert("autoHealAttemptsCount".into(), 1.into());
    heals.operation_state.as_mut().unwrap().operation.sync = Some(sync);
    assert_eq!(advance(&mut record, &heals, Some("x"), 1), [Statement::Drifted]);
    assert_eq!(names(&advance(&mut record, &synced, Some("x"), 1)), ["synced", "healed"]);
}

#[test]
fn what_a_sync_has_not_applied_yet_is_no_drift() {
    let mut record = ApplicationRecordStatus::default();
    advance(&mut record, &status("Synced", "a", "Healthy", "Succeeded"), Some("x"), 1);
    let newer = status("OutOfSync", "b", "Healthy", "Succeeded");
    assert_eq!(names(&advance(&mut record, &newer, Some("y"), 1)), ["observed"]);
    let runs = status("OutOfSync", "b", "Healthy", "Running");
    assert_eq!(advance(&mut record, &runs, Some("y"), 1), []);
    // What failed half-way and is taken back in git left something of it.
    let back = status("OutOfSync", "c", "Healthy", "Succeeded");
    assert_eq!(names(&advance(&mut record, &back, Some("x"), 1)), ["observed"]);
    assert_eq!(
        names(&advance(&mut record, &status("Synced", "c", "Healthy", "Succeeded"), Some("x"), 1)),
        ["synced"]
    );
}

#[test]
fn the_end_of_an_operation_that_has_to_be_written_again_is_not_stated_again() {
    let mut record = ApplicationRecordStatus::default();
    let at = |sync: &str, phase: &str, started: &str| {
        let mut status = status(sync, "a", "Healthy", phase);
        status.operation_state.as_mut().unwrap().started_at = Some(started.to_owned());
        status
    };
    let (runs, done) = (at("Synced", "Running", "1"), at("Synced", "Succeeded", "1"));
    advance(&mut record, &at("OutOfSync", "Running", "1"), Some("x"), 1);
    assert_eq!(names(&advance(&mut record, &done, Some("x"), 1)), ["synced"]);
    assert_eq!(advance(&mut record, &runs, Some("x"), 1), []);
    assert_eq!(advance(&mut record, &done, Some("x"), 1), []);
    advance(&mut record, &at("Synced", "Running", "2"), Some("x"), 1);
    assert_eq!(names(&advance(&mut record, &at("Synced", "Succeeded", "2"), Some("x"), 1)), ["synced"]);
}
