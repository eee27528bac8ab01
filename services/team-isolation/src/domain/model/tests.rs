use serde_json::json;

use super::*;

fn team(name: &str, spec: serde_json::Value) -> Team {
    serde_json::from_value(json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Team",
        "metadata": {"name": name, "uid": "u-1", "generation": 3},
        "spec": spec,
    }))
    .unwrap()
}

fn problems(name: &str, spec: serde_json::Value) -> Vec<String> {
    declare(&team(name, spec), &Site::default()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_spec_is_a_team_with_defaults() {
    let declared = declare(&team("ml", json!({})), &Site::default()).unwrap();
    assert_eq!(declared.namespace_names(), ["ml-team"]);
    assert_eq!(declared.cost_center, "ml");
    assert_eq!(declared.accounts, [("ml-team".to_owned(), Role::Edit)]);
    assert_eq!(pod_security(&declared.pod_security, Environment::Local).enforce, PodSecurityLevel::Baseline);
    assert_eq!(declared.quota.get("requests.nvidia.com/gpu").map(ToString::to_string), Some("0".to_owned()));
    assert!(declared.network.is_some() && declared.members.is_empty() && declared.limits.is_empty());
}

#[test]
fn prod_enforces_the_restricted_level_unless_the_team_says_otherwise() {
    let declared = |spec| {
        pod_security(&declare(&team("ml", spec), &Site::default()).unwrap().pod_security, Environment::Prod)
            .enforce
    };
    assert_eq!(declared(json!({})), PodSecurityLevel::Restricted);
    assert_eq!(declared(json!({"podSecurity": {"enforce": "baseline"}})), PodSecurityLevel::Baseline);
}

#[test]
fn each_problem_names_its_field_and_the_remedy() {
    for (name, spec, expected) in [
        ("kube-x", json!({}), "metadata.name: `kube-x` is reserved"),
        ("ml", json!({"quota": {"requests": {"cpu": "-1"}}}), "spec.quota requests.cpu: `-1` is negative"),
        (
            "ml",
            json!({"quota": {"limits": {"memory": "lots"}}}),
            "spec.quota limits.memory: `lots` is not a quantity",
        ),
        ("ml", json!({"namespaces": [{"name": "kube-system"}]}), "spec.namespaces: `kube-system` cannot be"),
        ("ml", json!({"namespaces": [{"name": "a"}, {"name": "a"}]}), "spec.namespaces: `a` is listed twice"),
        ("ml", json!({"labels": {"team": "data"}}), "spec.labels: `team` is written by the platform"),
        (
            "ml",
            json!({"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}),
            "spec.labels: `pod-security",
        ),
        (
            "ml",
            json!({"access": {"edit": {"groups": ["system:authenticated"]}}}),
            "spec.access.edit: `system:authenticated` belongs to Kubernetes",
        ),
        (
            "ml",
            json!({"access": {"edit": {"users": ["ana"]}, "view": {"users": ["ana"]}}}),
            "spec.access: User `ana` is listed under edit and view",
        ),
        (
            "ml",
            json!({"limitRange": {"container": {"default": {"cpu": "2"}, "max": {"cpu": "1"}}}}),
            "spec.limitRange.container.max.cpu: 1 is below default 2",
        ),
    ] {
        let found = problems(name, spec);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn all_problems_are_found_at_once() {
    let spec = json!({"quota": {"requests": {"cpu": "-1"}}, "labels": {"environment": "prod"}});
    assert_eq!(problems("Ml", spec).len(), 3);
}

#[test]
fn a_label_that_only_resembles_the_platforms_is_the_teams() {
    let spec = json!({"labels": {"notkubernetes.io/a": "1", "data-classification": "internal"}});
    assert!(declare(&team("ml", spec), &Site::default()).is_ok());
}

#[test]
fn a_label_key_is_what_kubernetes_takes() {
    for good in ["tier", "a", "example.com/tier", "Tier_1.x"] {
        assert!(checks::is_label_key(good), "{good}");
    }
    let long = "x".repeat(64);
    for bad in ["", "-a", "a-", "a b", "a/b/c", "/a", "a/", "Ex.com/a", long.as_str()] {
        assert!(!checks::is_label_key(bad), "{bad}");
    }
}
