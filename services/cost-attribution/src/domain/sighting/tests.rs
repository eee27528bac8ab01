use serde_json::{Value, json};

use super::*;

fn look(status: Value, spec: Value) -> Option<PodRecord> {
    let object = json!({"metadata": {"name": "web-1", "namespace": "ml-team", "uid": "u", "generation": 1,
        "labels": {"pod-template-hash": "abc"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "r", "controller": true}]},
        "spec": spec, "status": status});
    pod(&serde_json::from_value(object).unwrap(), 9_000)
}

fn spec() -> Value {
    json!({"nodeName": "n1", "containers": [
        {"name": "a", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}},
        {"name": "b", "resources": {"requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}}}]})
}

#[test]
fn a_pod_costs_from_the_start_of_its_first_container_to_the_end_of_its_last() {
    assert_eq!(look(json!({"phase": "Pending"}), spec()), None);
    assert_eq!(
        look(
            json!({"phase": "Pending", "containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            spec()
        ),
        None
    );
    let container = |state: Value| json!({"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
    let running = look(json!({"phase": "Running", "containerStatuses": [
        container(json!({"running": {"startedAt": "1970-01-01T00:00:05Z"}})), container(json!({"running": {"startedAt": "1970-01-01T00:00:03Z"}}))]}), spec()).unwrap();
    assert_eq!((running.started, running.ended), (3_000, None));
    let ended = look(json!({"phase": "Succeeded", "containerStatuses": [
        container(json!({"terminated": {"exitCode": 0, "startedAt": "1970-01-01T00:00:01Z", "finishedAt": "1970-01-01T00:00:04Z"}}))]}), spec()).unwrap();
    assert_eq!((ended.started, ended.ended), (1_000, Some(4_000)));
    assert_eq!(look(json!({"phase": "Running"}), spec()).unwrap().started, 9_000);
}

#[test]
fn the_request_is_what_the_scheduler_reserves() {
    let amounts = |spec: Value| look(json!({"phase": "Running"}), spec).unwrap().requests[&1].1;
    let gib = 1_u64 << 30;
    assert_eq!(amounts(spec()), Amounts { cpu_milli: 1_250, memory: gib + (64 << 20), gpu: 1 });
    let mut with_init = spec();
    with_init["initContainers"] = json!([
        {"name": "i", "resources": {"requests": {"cpu": "3"}}},
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}]);
    with_init["overhead"] = json!({"cpu": "100m"});
    assert_eq!(amounts(with_init).cpu_milli, 3_600);
}

#[test]
fn a_pod_of_a_deployment_belongs_to_the_deployment() {
    let found = look(json!({"phase": "Running"}), spec()).unwrap();
    assert_eq!(found.controller, Some(Controller { kind: "Deployment".into(), name: "web".into() }));
}

#[test]
fn namespaces_belong_to_teams_the_platform_or_nobody() {
    let of = |name: &str, labels: Value| {
        let object = json!({"metadata": {"name": name, "uid": "u", "labels": labels}});
        let found = namespace(&serde_json::from_value(object).unwrap(), 5, &["mlp-system"]).unwrap();
        found.states[0].1.clone()
    };
    let team = |cost_center: &str| Tenancy::Team { team: "ml".into(), cost_center: cost_center.into() };
    assert_eq!(of("ml-team", json!({"mlplatform.dev/team": "ml"})), team("ml"));
    assert_eq!(
        of("ml-team", json!({"mlplatform.dev/team": "ml", "mlplatform.dev/cost-center": "research"})),
        team("research")
    );
    assert_eq!(of("mlp-system", json!({})), Tenancy::Platform);
    assert_eq!(of("monitoring", json!({"mlplatform.dev/cost-center": "platform"})), Tenancy::Platform);
    assert_eq!(of("stray", json!({})), Tenancy::Unallocated);
}

#[test]
fn a_node_has_a_pool_capacity_and_what_is_left_to_pods() {
    let object = json!({"metadata": {"name": "n1", "uid": "u", "creationTimestamp": "1970-01-01T00:00:02Z", "labels": {"node-pool": "general"}},
        "status": {"capacity": {"cpu": "4", "memory": "16Gi"}, "allocatable": {"cpu": "3800m", "memory": "15Gi"}}});
    let found = node(&serde_json::from_value(object).unwrap(), 9_000).unwrap();
    assert_eq!((found.pool.as_str(), found.started), ("general", 2_000));
    assert_eq!(
        (found.states[0].1.capacity.cpu_milli, found.states[0].1.allocatable.cpu_milli),
        (4_000, 3_800)
    );
}
