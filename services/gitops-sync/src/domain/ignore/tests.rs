//! What is ignored, and what stays as it is where that is respected.

use serde_json::json;

use super::*;

fn rule() -> IgnoreDifference {
    IgnoreDifference { group: "apps".into(), kind: "Deploy*".into(), ..IgnoreDifference::default() }
}

fn deployment() -> ObjectId {
    ObjectId { group: "apps".into(), kind: "Deployment".into(), ..ObjectId::default() }
}

fn stripped(rules: &[IgnoreRule], managed: &Value, object: &Value) -> Value {
    let mut copy = object.clone();
    strip(rules, &deployment(), managed, &mut copy);
    copy
}

#[test]
fn pointers_are_removed_where_the_rule_applies() {
    let mut rule = rule();
    rule.json_pointers = vec!["/spec/replicas".into(), "/metadata/annotations/a~1b".into(), "/gone/x".into()];
    let rules = read(&[rule]).unwrap();
    let object = json!({"spec": {"replicas": 3, "x": 1}, "metadata": {"annotations": {"a/b": "c"}}});
    assert_eq!(
        stripped(&rules, &Value::Null, &object),
        json!({"spec": {"x": 1}, "metadata": {"annotations": {}}})
    );
    let mut other = object.clone();
    strip(&rules, &ObjectId { kind: "Service".into(), ..ObjectId::default() }, &Value::Null, &mut other);
    assert_eq!(other, object);
}

#[test]
fn several_items_of_one_list_go_each() {
    let mut rule = rule();
    rule.json_pointers = vec!["/l/0".into(), "/l/2".into()];
    rule.jq_path_expressions = vec![".l[] | select(. == \"e\")".into()];
    let rules = read(&[rule]).unwrap();
    let object = json!({"l": ["a", "b", "c", "d", "e"]});
    assert_eq!(stripped(&rules, &Value::Null, &object), json!({"l": ["b", "d"]}));
}

#[test]
fn fields_of_a_manager_do_not_count() {
    let mut rule = rule();
    rule.managed_fields_managers = vec!["hpa".into()];
    let rules = read(&[rule]).unwrap();
    assert!(asks_for_managers(&rules));
    let managed = json!([{"manager": "hpa", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let object = json!({"spec": {"replicas": 3, "paused": true}});
    assert_eq!(stripped(&rules, &managed, &object), json!({"spec": {"paused": true}}));
}

#[test]
fn what_is_broken_is_refused_by_name() {
    let mut jq = rule();
    jq.jq_path_expressions = vec![".spec".into(), "repeat(.)".into()];
    let refusals = read(&[rule(), jq]).unwrap_err();
    assert_eq!(refusals[0].field, "spec.ignoreDifferences[1].jqPathExpressions[1]");
    let mut pointer = rule();
    pointer.json_pointers = vec!["spec".into()];
    assert_eq!(read(&[pointer]).unwrap_err()[0].field, "spec.ignoreDifferences[0].jsonPointers");
}

#[test]
fn what_is_respected_keeps_its_live_value() {
    let mut rule = rule();
    rule.json_pointers = vec!["/spec/replicas".into(), "/metadata/labels/gone".into(), "/status".into()];
    rule.jq_path_expressions = vec![".spec.containers[]?.image".into()];
    let rules = read(&[rule]).unwrap();
    let live = json!({
        "metadata": {"labels": {}}, "status": {"x": 1},
        "spec": {"replicas": 7, "containers": [{"name": "side", "image": "s"}, {"name": "b", "image": "live"}]},
    });
    let wanted = json!({
        "metadata": {"labels": {"gone": "1", "own": "2"}},
        "spec": {"containers": [{"name": "a", "image": "git"}, {"name": "b", "image": "git"}], "paused": true},
    });
    assert_eq!(
        respect(&rules, &deployment(), &live, &wanted),
        json!({
            "metadata": {"labels": {"own": "2"}},
            "spec": {"replicas": 7, "containers": [{"name": "a", "image": "git"}, {"name": "b", "image": "live"}], "paused": true},
        })
    );
    assert_eq!(respect(&[], &deployment(), &live, &wanted), wanted);
}

#[test]
fn what_names_an_object_and_says_whose_it_is_is_never_left_as_it_is() {
    let mut rule = rule();
    let pointers = [
        "/metadata",
        "/metadata/name",
        "/metadata/annotations",
        "/metadata/annotations/argocd.argoproj.io~1tracking-id",
        "/kind",
    ];
    rule.json_pointers = pointers.map(str::to_owned).to_vec();
    let rules = read(&[rule]).unwrap();
    let of = |name: &str, id: &str| json!({"kind": name, "metadata": {"name": name, "annotations": {TRACKING_ID: id}}});
    let wanted = of("git", "ours");
    assert_eq!(respect(&rules, &deployment(), &of("live", "another's"), &wanted), wanted);
}
