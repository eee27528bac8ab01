use serde_json::json;

use super::*;

fn check(api_version: &str, kind: &str, mut rest: Value) -> Option<Level> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    rest["kind"] = json!(kind);
    if rest.get("metadata").is_none() {
        rest["metadata"] = json!({});
    }
    rest["metadata"]["name"] = json!("x");
    of(group, kind, &rest).map(|health| health.level)
}

fn deployment(status: Value, spec: Value) -> Option<Level> {
    check("apps/v1", "Deployment", json!({"metadata": {"generation": 2}, "spec": spec, "status": status}))
}

#[test]
fn deployments() {
    use Level::{Degraded, Healthy, Progressing, Suspended};
    let spec = || json!({"replicas": 2});
    let ready = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    assert_eq!(deployment(ready.clone(), spec()), Some(Healthy));
    assert_eq!(deployment(ready, json!({"replicas": 2, "paused": true})), Some(Suspended));
    for (status, level) in [
        (json!({}), Progressing),
        (
            json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
            Progressing,
        ),
        (json!({"observedGeneration": 2, "updatedReplicas": 1}), Progressing),
        (
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}),
            Progressing,
        ),
        (
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            Progressing,
        ),
        (
            json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
            Degraded,
        ),
    ] {
        assert_eq!(deployment(status.clone(), spec()), Some(level), "{status}");
    }
}

#[test]
fn stateful_sets_jobs_services_and_claims() {
    use Level::{Degraded, Healthy, Progressing, Suspended};
    let set = |status: Value| {
        check(
            "apps/v1",
            "StatefulSet",
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status}),
        )
    };
    assert_eq!(set(json!({})), Some(Progressing));
    assert_eq!(set(json!({"observedGeneration": 1, "readyReplicas": 1})), Some(Healthy));
    assert_eq!(
        set(
            json!({"observedGeneration": 1, "readyReplicas": 1, "updateRevision": "b", "currentRevision": "a"})
        ),
        Some(Progressing)
    );
    let job = |kind: &str| {
        check("batch/v1", "Job", json!({"status": {"conditions": [{"type": kind, "status": "True"}]}}))
    };
    assert_eq!(
        (job("Complete"), job("Failed"), job("Suspended")),
        (Some(Healthy), Some(Degraded), Some(Suspended))
    );
    assert_eq!(check("batch/v1", "Job", json!({})), Some(Progressing));
    assert_eq!(check("v1", "Service", json!({"spec": {"type": "ClusterIP"}})), Some(Healthy));
    assert_eq!(check("v1", "Service", json!({"spec": {"type": "LoadBalancer"}})), Some(Progressing));
    for (phase, level) in [("Bound", Healthy), ("Pending", Progressing), ("Lost", Degraded)] {
        assert_eq!(check("v1", "PersistentVolumeClaim", json!({"status": {"phase": phase}})), Some(level));
    }
}

#[test]
fn pods() {
    use Level::{Degraded, Healthy, Progressing};
    let ready = json!([{"type": "Ready", "status": "True"}]);
    for (pod, level) in [
        (json!({"status": {"phase": "Pending"}}), Progressing),
        (json!({"status": {"phase": "Succeeded"}}), Healthy),
        (json!({"status": {"phase": "Failed", "message": "Evicted"}}), Degraded),
        (json!({"status": {"phase": "Running", "conditions": ready}}), Healthy),
        (json!({"status": {"phase": "Running"}}), Progressing),
        (
            json!({"spec": {"restartPolicy": "Never"}, "status": {"phase": "Running", "conditions": ready}}),
            Progressing,
        ),
        (
            json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}),
            Degraded,
        ),
        (
            json!({"status": {"phase": "Running", "containerStatuses": [{"lastState": {"terminated": {}}}]}}),
            Degraded,
        ),
    ] {
        assert_eq!(check("v1", "Pod", pod.clone()), Some(level), "{pod}");
    }
}

#[test]
fn kinds_without_a_rule_are_never_green_by_default() {
    use Level::{Degraded, Healthy, Progressing, Unknown};
    let ours = |status: Value| {
        check("mlplatform.dev/v1alpha1", "Database", json!({"metadata": {"generation": 2}, "status": status}))
    };
    let ready = |status: &str, reason: &str, seen: i64| json!({"conditions": [{"type": "Ready", "status": status, "reason": reason, "observedGeneration": seen}]});
    assert_eq!(ours(ready("True", "Ready", 2)), Some(Healthy));
    assert_eq!(ours(ready("True", "Ready", 1)), Some(Progressing));
    assert_eq!(ours(ready("False", "Creating", 2)), Some(Progressing));
    assert_eq!(ours(ready("False", "InvalidSpec", 2)), Some(Degraded));
    assert_eq!(ours(ready("Unknown", "", 2)), Some(Unknown));
    assert_eq!(ours(json!({"phase": "fine"})), Some(Unknown));
    assert_eq!(ours(Value::Null), None);
    assert_eq!(check("v1", "ConfigMap", json!({})), None);
}

#[test]
fn deletion_and_the_ignore_annotation_come_first() {
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(check("v1", "ConfigMap", deleted), Some(Level::Progressing));
    let ignored = json!({"metadata": {"annotations": {"argocd.argoproj.io/ignore-healthcheck": "true"}}});
    assert_eq!(check("apps/v1", "Deployment", ignored), None);
}

#[test]
fn the_worst_counts_and_nothing_live_is_missing() {
    let (good, bad) = (Health::healthy(), Health::new(Level::Degraded, "x"));
    let missing = Health::new(Level::Missing, "");
    assert_eq!(worst([Some(&good), None, Some(&bad)].into_iter(), 3, 3), Level::Degraded);
    assert_eq!(worst([Some(&good), Some(&missing)].into_iter(), 1, 2), Level::Healthy);
    assert_eq!(worst([Some(&missing)].into_iter(), 0, 1), Level::Missing);
    assert_eq!(worst(std::iter::empty(), 0, 0), Level::Healthy);
}
