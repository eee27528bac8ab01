use mlp_crds::argocd::{Operation, OperationInitiator, SyncOperation, SyncResult};

use super::*;
use crate::domain::object_options::ObjectOptions;
use crate::domain::picture::LiveHook;
use crate::domain::{hook, operation};

const GOLDEN: &str = include_str!("../../../tests/golden/status.json");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn spec() -> ApplicationSpec {
    serde_json::from_value(json!({
        "project": "default",
        "source": {"repoURL": "https://git.example/shop", "path": "deploy", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "ml-team"},
    }))
    .unwrap()
}

fn id(group: &str, kind: &str, name: &str) -> ObjectId {
    let (group, kind, name) = (group.into(), kind.into(), name.into());
    ObjectId { group, version: "v1".into(), kind, namespace: "ml-team".into(), name }
}

fn item(id: ObjectId, presence: Presence, health: Option<Health>, wave: i64) -> Item {
    Item { id, options: ObjectOptions { wave, ..ObjectOptions::default() }, presence, health }
}

fn outcome(phase: &str) -> Outcome {
    let items = vec![
        item(
            id("apps", "Deployment", "web"),
            Presence::Synced,
            Some(Health::new(Level::Progressing, "0 of 2 updated replicas are available")),
            0,
        ),
        item(id("", "ConfigMap", "settings"), Presence::Synced, None, -1),
    ];
    let extras = vec![Extra {
        id: id("", "Service", "old"),
        options: ObjectOptions::default(),
        deleting: false,
        health: None,
    }];
    let picture = Picture { revision: "a".repeat(40), items, extras, ..Picture::default() };
    let operation = OperationState {
        operation: Operation {
            initiated_by: Some(OperationInitiator { automated: true, ..Default::default() }),
            sync: Some(SyncOperation { revision: Some("a".repeat(40)), prune: true, ..Default::default() }),
            ..Default::default()
        },
        phase: phase.into(),
        started_at: Some(operation::seconds(at(1))),
        finished_at: Some(operation::seconds(at(3))),
        sync_result: Some(SyncResult {
            revision: "a".repeat(40),
            source: spec().source,
            ..Default::default()
        }),
        message: Some("successfully synced (all tasks run)".into()),
        retry_count: None,
    };
    Outcome {
        picture: Some(picture),
        operation: Some(operation),
        images: vec!["shop:1".into()],
        tools: vec![Tool::Directory],
        ..Outcome::default()
    }
}

/// Accept a change with `UPDATE_GOLDEN=1`.
#[test]
fn the_status_is_as_argo_cd_writes_it() {
    let status = build(&spec(), &ApplicationStatus::default(), &outcome("Succeeded"), 10, at(4));
    let written = serde_json::to_string_pretty(&status).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/status.json");
        std::fs::write(path, &written).unwrap();
        return;
    }
    assert_eq!(written, GOLDEN);
}

#[test]
fn finding_the_same_again_changes_nothing() {
    let mut outcome = outcome("Succeeded");
    outcome.faults = vec![Fault::new(SYNC, "x")];
    let first = build(&spec(), &ApplicationStatus::default(), &outcome, 10, at(4));
    assert_eq!(build(&spec(), &first, &outcome, 10, at(400)), first);
    assert_eq!(first.history.len(), 1);
}

#[test]
fn a_fault_keeps_what_was_last_known() {
    let first = build(&spec(), &ApplicationStatus::default(), &outcome("Succeeded"), 10, at(4));
    let faults = vec![Fault::new(COMPARISON, "deploy/a.yaml:3: no YAML")];
    let fault = Outcome { faults, operation: first.operation_state.clone(), ..Outcome::default() };
    let next = build(&spec(), &first, &fault, 10, at(5));
    assert_eq!(next.sync.unwrap().status, "Unknown");
    assert_eq!((next.resources, next.health), (first.resources, first.health));
    assert_eq!(next.conditions[0].type_, "ComparisonError");
}

#[test]
fn history_is_bounded_and_numbered_on() {
    let mut status = ApplicationStatus::default();
    for round in 0..5 {
        let mut outcome = outcome("Succeeded");
        outcome.operation.as_mut().unwrap().started_at = Some(operation::seconds(at(round * 10)));
        status = build(&spec(), &status, &outcome, 3, at(round * 10 + 5));
    }
    let ids: Vec<i64> = status.history.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [2, 3, 4]);
    // Another commit of the same second is another entry, and the same one is not.
    let mut second = outcome("Succeeded");
    let state = second.operation.as_mut().unwrap();
    state.started_at = Some(operation::seconds(at(40)));
    state.sync_result.as_mut().unwrap().revision = "b".repeat(40);
    let entered = build(&spec(), &status, &second, 3, at(45));
    assert_eq!(entered.history.iter().map(|entry| entry.id).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(build(&spec(), &entered, &second, 3, at(46)).history, entered.history);
    // What only undoes a change made beside git pushes out nothing that one could go back to.
    let mut heal = outcome("Succeeded");
    let state = heal.operation.as_mut().unwrap();
    state.started_at = Some(operation::seconds(at(100)));
    let sync = state.operation.sync.get_or_insert_default();
    sync.rest.insert("autoHealAttemptsCount".into(), json!(1));
    status = build(&spec(), &status, &heal, 3, at(105));
    assert_eq!(status.history.last().unwrap().id, 4);
}

#[test]
fn simulated_pods_are_said_to_be() {
    let simulated = Outcome { simulated: Some((2, 2)), ..outcome("Succeeded") };
    let status = build(&spec(), &ApplicationStatus::default(), &simulated, 10, at(4));
    assert!(status.health.unwrap().message.unwrap().starts_with("simulated: 2 of 2 pods"));
}

#[test]
fn images_come_from_every_sort_of_pod_template() {
    let objects = [
        json!({"spec": {"template": {"spec": {"containers": [{"image": "b"}], "initContainers": [{"image": "a"}]}}}}),
        json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "c"}]}}}}}}),
        json!({"spec": {"containers": [{"image": "b"}]}}),
    ];
    assert_eq!(images(objects.iter()), ["a", "b", "c"]);
}

#[test]
fn hooks_to_come_are_told_before_they_are_made_and_once() {
    let mut outcome = outcome("Running");
    let picture = outcome.picture.as_mut().unwrap();
    let (made, coming) = (id("batch", "Job", "made"), id("batch", "Job", "coming"));
    let live = hook::Live { attempt: String::new(), deleting: false, health: None };
    picture.hooks = vec![LiveHook { id: made.clone(), live }];
    picture.coming = vec![made, coming];
    let status = build(&spec(), &ApplicationStatus::default(), &outcome, 10, at(5));
    let hooks: Vec<_> = status.resources.iter().filter(|one| one.hook).map(|one| one.name.as_str()).collect();
    assert_eq!(hooks, ["coming", "made"]);
}

#[test]
fn one_that_only_tries_another_revision_leaves_what_is_known_of_this_one() {
    let known = build(&spec(), &ApplicationStatus::default(), &outcome("Succeeded"), 10, at(5));
    let mut tried = outcome("Failed");
    tried.rehearses = true;
    let picture = tried.picture.as_mut().unwrap();
    (picture.revision, picture.items) = ("b".repeat(40), Vec::new());
    let next = build(&spec(), &known, &tried, 10, at(6));
    assert_eq!((&next.sync, &next.resources, &next.health), (&known.sync, &known.resources, &known.health));
    assert_eq!(next.operation_state.unwrap().phase, "Failed");
}
