use serde_json::json;

use super::*;
use crate::domain::model::{Site, declare};

fn declared(spec: Value) -> DeclaredTeam {
    let team = json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Team",
        "metadata": {"name": "ml", "uid": "u-1", "generation": 1},
        "spec": spec,
    });
    declare(&serde_json::from_value(team).unwrap(), &Site::default()).unwrap()
}

fn fresh(team: &DeclaredTeam) -> Vec<Object> {
    of(team, &Surroundings::fresh(team))
}

fn find(objects: &[Object], kind: Kind, name: &str) -> Value {
    let found = objects.iter().find(|object| object.key().kind == kind && object.key().name == name);
    found.unwrap_or_else(|| panic!("no {kind:?} {name}")).json()
}

#[test]
fn the_shares_of_several_namespaces_add_up_to_the_quota() {
    let spec = json!({
        "namespaces": [{"name": "ml-a"}, {"name": "ml-b"}, {"name": "ml-c"}],
        "quota": {"requests": {"cpu": "20", "memory": "64Gi", "nvidia.com/gpu": "4"}, "objects": {"pods": 50}},
    });
    let objects = fresh(&declared(spec));
    for (key, total) in [("requests.cpu", 20), ("requests.nvidia.com/gpu", 4), ("pods", 50)] {
        let shares = objects
            .iter()
            .filter(|object| object.key().kind == Kind::ResourceQuota)
            .map(|quota| quota.json()["spec"]["hard"][key].as_str().unwrap().parse::<i64>().unwrap());
        assert_eq!(shares.sum::<i64>(), total, "{key}");
    }
}

#[test]
fn whatever_is_no_longer_declared_is_to_be_applied_again() {
    use crate::domain::plan::{Observed, plan};
    let full = json!({
        "labels": {"tier": "gold"},
        "quota": {"requests": {"cpu": "20", "memory": "64Gi"}},
        "limitRange": {"container": {"max": {"cpu": "2"}, "min": {"cpu": "50m"}}},
        "networkPolicy": {"egress": [{"name": "lake", "cidr": "10.0.0.0/16", "ports": [{"port": 9000}]}]},
    });
    let live = fresh(&declared(full.clone())).into_iter().map(|object| (object.key(), object.json()));
    let observed = Observed { live: live.collect(), quota_in_force: ["ml-team".to_owned()].into() };
    assert!(plan(fresh(&declared(full.clone())), &observed).is_empty());
    for (path, kind) in [
        ("/labels/tier", Kind::Namespace),
        ("/quota/requests/memory", Kind::ResourceQuota),
        ("/limitRange/container/max", Kind::LimitRange),
        ("/networkPolicy/egress", Kind::NetworkPolicy),
    ] {
        let mut less = full.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        less.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
        let steps = plan(fresh(&declared(less)), &observed).steps;
        assert!(steps.iter().any(|step| step.key().kind == kind), "{path}: {steps:?}");
    }
}

#[test]
fn the_policy_selects_all_pods_and_admits_what_is_listed() {
    let objects = fresh(&declared(json!({})));
    let admit = find(&objects, Kind::NetworkPolicy, network::NAME);
    assert_eq!(admit["spec"]["podSelector"], json!({}));
    assert_eq!(admit["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let dns = json!({
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    });
    assert!(admit["spec"]["egress"].as_array().unwrap().contains(&dns));
    let own = json!({"from": [{"namespaceSelector": {"matchLabels": {"mlplatform.dev/team": "ml"}}}]});
    assert_eq!(admit["spec"]["ingress"][0], own);
}

#[test]
fn without_defaults_only_listed_traffic_is_admitted() {
    let rule = json!({"name": "lake", "cidr": "10.0.0.0/16", "ports": [{"port": 9000}]});
    let objects = fresh(&declared(json!({"networkPolicy": {"includeDefaults": false, "egress": [rule]}})));
    let admit = find(&objects, Kind::NetworkPolicy, network::NAME);
    assert_eq!(admit["spec"]["ingress"], json!([]));
    assert_eq!(
        admit["spec"]["egress"],
        json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/16"}}], "ports": [{"port": 9000, "protocol": "TCP"}]}])
    );
}

#[test]
fn a_rule_that_somebody_adds_to_a_closed_policy_does_not_stay() {
    let team = declared(json!({"offboarding": {"phase": "Suspended"}}));
    let objects = fresh(&team);
    let closed = find(&objects, Kind::NetworkPolicy, network::NAME);
    assert_eq!((&closed["spec"]["ingress"], &closed["spec"]["egress"]), (&json!([]), &json!([])));
    // The API server leaves empty lists out.
    let mut stored = closed.clone();
    for direction in ["ingress", "egress"] {
        stored["spec"].as_object_mut().unwrap().remove(direction);
    }
    assert!(crate::domain::drift::covers(&stored, &closed));
    stored["spec"]["ingress"] = json!([{}]);
    assert!(!crate::domain::drift::covers(&stored, &closed));
}

#[test]
fn policy_that_is_off_leaves_no_policy() {
    let objects = fresh(&declared(json!({"networkPolicy": {"mode": "Off"}})));
    assert!(objects.iter().all(|object| object.key().kind != Kind::NetworkPolicy));
}

#[test]
fn the_teams_labels_cannot_displace_the_platforms() {
    let namespace = find(&fresh(&declared(json!({"labels": {"tier": "gold"}}))), Kind::Namespace, "ml-team");
    for (key, value) in
        [("tier", "gold"), ("team", "ml"), ("mlplatform.dev/team", "ml"), ("environment", "local")]
    {
        assert_eq!(namespace["metadata"]["labels"][key], json!(value));
    }
}

#[test]
fn a_quota_is_in_force_when_the_api_server_compares_with_it() {
    let team = declared(json!({}));
    let mut live = quota::quota(&team, "ml-team", &Surroundings::fresh(&team));
    assert!(!quota::in_force(&live));
    let hard = live.spec.as_ref().and_then(|spec| spec.hard.clone());
    let status = |hard, used| k8s_openapi::api::core::v1::ResourceQuotaStatus { hard, used };
    live.status = Some(status(hard.clone(), None));
    assert!(!quota::in_force(&live), "without usage the API server refuses everything");
    live.status = Some(status(hard.clone(), hard));
    assert!(quota::in_force(&live));
    if let Some(hard) = live.spec.as_mut().and_then(|spec| spec.hard.as_mut()) {
        hard.insert(
            "pods".to_owned(),
            k8s_openapi::apimachinery::pkg::api::resource::Quantity("9".to_owned()),
        );
    }
    assert!(!quota::in_force(&live), "a changed spec takes effect when the status follows");
}

#[test]
fn the_bound_of_a_priority_is_split_whole_and_written_as_the_api_server_stores_it() {
    let bound = |pods: u32| {
        let spec = json!({"namespaces": [{"name": "ml-a"}, {"name": "ml-b"}],
            "policy": {"priorityClasses": [{"name": "workload-high", "pods": pods}]}});
        let objects = fresh(&declared(spec));
        let of_class = objects.iter().filter(|object| object.key().name == "team-priority-workload-high");
        of_class
            .map(|quota| quota.json()["spec"]["hard"]["pods"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(bound(5), ["3", "2"]);
    assert_eq!(bound(4000), ["2k", "2k"]);
}
