use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Health, Verdict};

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn is(verdict: &Verdict, health: Health, reason: &str) {
    assert_eq!((verdict.health, verdict.reason.as_str()), (health, reason), "{}", verdict.message);
}

#[test]
fn no_kind_is_healthy_without_a_status() {
    let meta = json!({"metadata": {"name": "x", "generation": 2}});
    let verdicts = [
        pod(&object::<Pod>(meta.clone()), false),
        deployment(&object::<Deployment>(meta.clone())),
        stateful_set(&object::<StatefulSet>(meta.clone())),
        job(&object::<Job>(meta.clone())),
        claim(&object::<PersistentVolumeClaim>(meta)),
        conditioned(&[], None, Some(1)),
        conditioned(&[], Some(1), Some(1)),
        application(None, None, None, None),
    ];
    for verdict in verdicts {
        assert_eq!(verdict.health, Health::Unknown, "{verdict:?}");
    }
}

#[test]
fn no_kind_is_healthy_on_a_stale_generation() {
    let ready = json!({"metadata": {"generation": 3}, "spec": {"replicas": 1, "selector": {}, "template": {}, "serviceName": ""},
        "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1,
                   "currentRevision": "a", "updateRevision": "a"}});
    is(&deployment(&object::<Deployment>(ready.clone())), Health::Progressing, "StaleStatus");
    is(&stateful_set(&object::<StatefulSet>(ready)), Health::Progressing, "StaleStatus");
    is(
        &conditioned(&[condition("Ready", "True", "Ready", Some(2))], Some(2), Some(3)),
        Health::Progressing,
        "StaleStatus",
    );
    is(
        &conditioned(&[condition("Ready", "True", "Ready", Some(2))], Some(3), Some(3)),
        Health::Progressing,
        "StaleStatus",
    );
}

fn condition(kind: &str, status: &str, reason: &str, observed: Option<i64>) -> Condition {
    object(json!({"type": kind, "status": status, "reason": reason, "message": "because",
        "lastTransitionTime": "2026-11-23T00:00:00Z", "observedGeneration": observed}))
}

#[test]
fn pods() {
    let running = |containers: Value, conditions: Value| {
        object::<Pod>(
            json!({"status": {"phase": "Running", "containerStatuses": containers, "conditions": conditions}}),
        )
    };
    let ready = running(json!([]), json!([{"type": "Ready", "status": "True"}]));
    is(&pod(&ready, false), Health::Healthy, "Ready");
    let on_kwok = pod(&ready, true);
    is(&on_kwok, Health::Unknown, "Simulated");
    assert!(on_kwok.is_simulated());
    let crashing = running(
        json!([{"name": "c", "ready": false, "restartCount": 4, "image": "", "imageID": "",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
        json!([{"type": "Ready", "status": "False"}]),
    );
    is(&pod(&crashing, false), Health::Degraded, "CrashLoopBackOff");
    let pending = object::<Pod>(json!({"status": {"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}}));
    is(&pod(&pending, false), Health::Progressing, "Unschedulable");
    is(&pod(&object::<Pod>(json!({"status": {"phase": "Failed"}})), false), Health::Degraded, "PodFailed");
    is(&pod(&object::<Pod>(json!({"status": {"phase": "Succeeded"}})), false), Health::Healthy, "Completed");
    is(&pod(&object::<Pod>(json!({"status": {"phase": "Weird"}})), false), Health::Unknown, "UnknownPhase");
}

#[test]
fn workloads() {
    let with = |status: Value| {
        let mut value = json!({"metadata": {"generation": 1}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status});
        value["status"]["observedGeneration"] = json!(1);
        object::<Deployment>(value)
    };
    is(
        &deployment(&with(json!({"updatedReplicas": 2, "availableReplicas": 2}))),
        Health::Healthy,
        "Available",
    );
    is(
        &deployment(&with(json!({"updatedReplicas": 2, "availableReplicas": 1}))),
        Health::Progressing,
        "NotAvailable",
    );
    is(
        &deployment(&with(json!({"updatedReplicas": 1, "availableReplicas": 2}))),
        Health::Progressing,
        "RollingOut",
    );
    let stuck = json!({"updatedReplicas": 2, "conditions": [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]});
    is(&deployment(&with(stuck)), Health::Degraded, "ProgressDeadlineExceeded");
    let refused =
        json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]});
    is(&deployment(&with(refused)), Health::Degraded, "ReplicaFailure");
    let daemons = object::<DaemonSet>(
        json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
        "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1, "currentNumberScheduled": 2, "numberMisscheduled": 0}}),
    );
    is(&daemon_set(&daemons), Health::Progressing, "NotAvailable");
}

#[test]
fn jobs_and_claims() {
    let with = |status: Value| object::<Job>(json!({"status": status}));
    let holds = |kind: &str| json!({"conditions": [{"type": kind, "status": "True"}]});
    is(&job(&with(holds("Complete"))), Health::Healthy, "Complete");
    is(&job(&with(holds("Failed"))), Health::Degraded, "JobFailed");
    is(&job(&with(holds("Suspended"))), Health::Suspended, "Suspended");
    is(
        &job(&with(json!({"active": 1, "startTime": "2026-11-23T00:00:00Z"}))),
        Health::Progressing,
        "Running",
    );
    let phase = |phase: &str| claim(&object::<PersistentVolumeClaim>(json!({"status": {"phase": phase}})));
    is(&phase("Bound"), Health::Healthy, "Bound");
    is(&phase("Pending"), Health::Progressing, "Pending");
    is(&phase("Lost"), Health::Degraded, "VolumeLost");
}

#[test]
fn our_kinds_and_applications() {
    let one = |status: &str, reason: &str| {
        conditioned(&[condition("Ready", status, reason, None)], Some(1), Some(1))
    };
    is(&one("True", "Ready"), Health::Healthy, "Ready");
    is(&one("False", "WaitingForTeam"), Health::Progressing, "WaitingForTeam");
    is(&one("False", "NamespaceOwnedByAnother"), Health::Degraded, "NamespaceOwnedByAnother");
    is(&one("Unknown", "Starting"), Health::Unknown, "Starting");
    let simulated =
        [condition("Ready", "True", "Ready", None), condition("Simulated", "True", "SimulatedNode", None)];
    is(&conditioned(&simulated, Some(1), Some(1)), Health::Unknown, "Simulated");
    is(&application(Some("Healthy"), None, Some("Succeeded"), None), Health::Healthy, "Healthy");
    is(&application(Some("Healthy"), None, Some("Failed"), None), Health::Degraded, "SyncFailed");
    is(&application(Some("Odd"), None, None, None), Health::Unknown, "Unknown");
}
