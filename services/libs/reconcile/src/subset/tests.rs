use proptest::prelude::*;
use serde_json::json;

use super::*;

fn differs(path: &str) -> Verdict {
    Verdict::Differs(path.to_owned())
}

fn doubt(path: &str) -> Verdict {
    Verdict::Doubt(path.to_owned())
}

#[test]
fn what_the_server_adds_and_rewrites_is_covered() {
    let desired = json!({
        "metadata": {"name": "web", "labels": {"a": "1"}, "creationTimestamp": null},
        "spec": {
            "replicas": 1,
            "strategy": {},
            "selector": {"matchLabels": {"a": "1"}},
            "template": {"spec": {"containers": [{
                "name": "web", "image": "web:1",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "MODE", "value": "fast"}],
                "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 2}},
            }]}},
        },
    });
    let live = json!({
        "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}, "uid": "u"},
        "spec": {
            "replicas": 1.0,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"a": "1"}},
            "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                {"name": "sidecar", "image": "injected"},
                {
                    "name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "INJECTED", "value": "x"}, {"name": "MODE", "value": "fast"}],
                    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}},
                },
            ]}},
        },
        "status": {"replicas": 1},
    });
    assert_eq!(compare(&desired, &live), Verdict::Covered);
}

#[test]
fn a_changed_or_missing_field_differs_and_is_named() {
    let live = json!({"spec": {"hard": {"pods": "10"}, "paused": false, "containers": [{"name": "a", "image": "x"}]}});
    for (desired, expected) in [
        (json!({"spec": {"hard": {"pods": "11"}}}), differs("spec.hard.pods")),
        (json!({"spec": {"hard": {"services": "1"}}}), differs("spec.hard.services")),
        (json!({"spec": {"paused": true}}), differs("spec.paused")),
        (json!({"spec": {"containers": [{"name": "a", "image": "y"}]}}), differs("spec.containers.image")),
        (json!({"spec": {"containers": [{"name": "b", "image": "x"}]}}), differs("spec.containers")),
        (json!({"spec": "text"}), differs("spec")),
    ] {
        assert_eq!(compare(&desired, &live), expected, "{desired}");
    }
}

#[test]
fn quantities_are_equal_by_amount_only_where_quantities_stand() {
    let live = json!({"env": [{"name": "CPU", "value": "1"}], "requests": {"cpu": "1"}});
    assert_eq!(compare(&json!({"requests": {"cpu": "1000m"}}), &live), Verdict::Covered);
    let text = json!({"env": [{"name": "CPU", "value": "1000m"}]});
    assert_eq!(compare(&text, &live), differs("env.value"));
}

#[test]
fn an_edit_inside_a_replaced_list_is_not_overlooked() {
    let desired = json!({"spec": {
        "podSelector": {},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "1"}}}], "ports": [{"port": 80}]}],
    }});
    let mut live = json!({"spec": {
        "podSelector": {},
        "ingress": [{
            "from": [{"podSelector": {"matchLabels": {"a": "1"}}}],
            "ports": [{"port": 80, "protocol": "TCP"}],
        }],
        "policyTypes": ["Ingress"],
    }});
    assert_eq!(compare(&desired, &live), Verdict::Covered);
    live["spec"]["podSelector"] = json!({"matchLabels": {"only": "this"}});
    assert_eq!(compare(&desired, &live), doubt("spec.podSelector.matchLabels"));
    live["spec"]["podSelector"] = json!({});
    live["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = json!({});
    assert_eq!(compare(&desired, &live), doubt("spec.ingress.from.namespaceSelector"));
    let mut narrower = desired.clone();
    narrower["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = json!({});
    live["spec"]["ingress"][0]["from"][0] = json!({"podSelector": {"matchLabels": {"a": "1"}}});
    assert_eq!(compare(&narrower, &live), doubt("spec.ingress.from.namespaceSelector"));
    live["spec"]["ingress"] = json!([{}, {}]);
    assert_eq!(compare(&desired, &live), differs("spec.ingress.from"));
    live["spec"]["ingress"] = json!([desired["spec"]["ingress"][0], {}]);
    assert_eq!(compare(&desired, &live), doubt("spec.ingress"));
    live["spec"]["ingress"] = json!([]);
    assert_eq!(compare(&desired, &live), differs("spec.ingress"));
}

#[test]
fn a_denial_by_an_empty_list_is_kept() {
    let desired = json!({"spec": {"ingress": []}});
    assert_eq!(compare(&desired, &json!({"spec": {}})), Verdict::Covered);
    assert_eq!(compare(&desired, &json!({"spec": {"ingress": [{}]}})), doubt("spec.ingress"));
}

#[test]
fn a_difference_outweighs_a_doubt() {
    let desired = json!({"a": [1], "b": 1});
    assert_eq!(compare(&desired, &json!({"a": [1, 2], "b": 2})), differs("b"));
}

#[test]
fn finalizers_are_a_set() {
    let desired = json!({"metadata": {"finalizers": ["b", "a"]}});
    let live = json!({"metadata": {"finalizers": ["a", "x", "b"]}});
    assert_eq!(compare(&desired, &live), Verdict::Covered);
    assert_eq!(
        compare(&desired, &json!({"metadata": {"finalizers": ["a"]}})),
        differs("metadata.finalizers")
    );
}

/// What server-side apply leaves: maps merged, keyed lists merged by key, the rest replaced.
fn applied(live: &Value, desired: &Value, field: &str, atomic: bool) -> Value {
    let atomic = atomic || schema::is_atomic(field);
    match (live, desired) {
        (_, Value::Object(_)) if atomic => desired.clone(),
        (Value::Object(live), Value::Object(desired)) => {
            let mut merged = live.clone();
            for (key, value) in desired {
                let before = live.get(key).cloned().unwrap_or(Value::Null);
                merged.insert(key.clone(), applied(&before, value, key, false));
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(items)) => {
            let Some(keys) = schema::merge_keys(field, items) else { return desired.clone() };
            let mut merged = live.clone();
            for item in items {
                match merged.iter_mut().find(|found| schema::same_item(keys, item, found)) {
                    Some(found) => *found = applied(found, item, field, false),
                    None => merged.push(item.clone()),
                }
            }
            Value::Array(merged)
        }
        _ => desired.clone(),
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..9_i64).prop_map(Value::from),
        prop::sample::select(vec!["1", "1000m", "x", ""]).prop_map(Value::from),
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["name", "spec", "env", "selector", "requests", "rules", "finalizers", "a", "b"])
        .prop_map(str::to_owned)
}

/// Items of keyed lists have distinct keys, as the API server demands of a manifest.
fn distinct(items: Vec<Value>) -> Vec<Value> {
    let mut seen = Vec::new();
    items
        .into_iter()
        .filter(|item| {
            let key = item.get("name").cloned().unwrap_or_else(|| item.clone());
            let new = !seen.contains(&key);
            seen.push(key);
            new
        })
        .collect()
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::btree_map(field(), inner.clone(), 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            prop::collection::vec(inner, 0..4).prop_map(|items| Value::Array(distinct(items))),
        ]
    })
}

proptest! {
    /// A manifest just applied is covered: a second reconcile never writes.
    #[test]
    fn what_was_applied_is_covered(live in tree(), desired in tree()) {
        let merged = applied(&live, &desired, "", false);
        prop_assert_eq!(compare(&desired, &merged), Verdict::Covered);
    }

    /// Covered means what it says: applying would change no value that the manifest mentions.
    #[test]
    fn covered_means_that_applying_changes_nothing(live in tree(), desired in tree()) {
        if compare(&desired, &live) == Verdict::Covered {
            let merged = applied(&live, &desired, "", false);
            prop_assert_eq!(compare(&live, &merged), Verdict::Covered);
        }
    }

    #[test]
    fn everything_covers_itself(value in tree()) {
        prop_assert_eq!(compare(&value, &value), Verdict::Covered);
    }
}
