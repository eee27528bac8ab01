//! Which fields of an object a field manager owns: `metadata.managedFields`, format `FieldsV1` (KEP-555).

use serde_json::{Map, Value, json};

use super::SERVICE;
use super::jq::Step;

/// Tools that declare whole objects, as we do: what they stated of an object is stated by git now. What a person
/// does beside git (`kubectl edit`, `patch`) goes by other names, as does what controllers do.
const DECLARERS: [&str; 8] = [
    "kubectl-client-side-apply",
    "kubectl",
    "kubectl-create",
    "kubectl-replace",
    "helm",
    "helm-controller",
    "argocd-controller",
    "argocd-application-controller",
];

/// `managedFields` of an object that came with them.
pub fn of(object: &Value) -> &Value {
    object.pointer("/metadata/managedFields").unwrap_or(&Value::Null)
}

/// The fields of `object` that one of the managers owns, by the `managedFields` of the live object. Only what has
/// no fields of its own counts: who owns a label does not own all labels.
pub fn owned(managed: &Value, managers: &[String], object: &Value) -> Vec<Vec<Step>> {
    let entries = managed.as_array().into_iter().flatten();
    let theirs = entries.filter(|entry| {
        let manager = entry.get("manager").and_then(Value::as_str);
        manager.is_some_and(|manager| managers.iter().any(|wanted| wanted == manager))
    });
    let mut found = Vec::new();
    for fields in theirs.filter_map(|entry| entry.get("fieldsV1")) {
        descend(fields, object, &mut Vec::new(), &mut found);
    }
    found
}

/// Whose fields an apply takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Those of tools that declare whole objects, where we have not applied the object yet: what is declared beside us
    /// later is not ours.
    Declared,
    /// Everybody's, each time: what git does not say goes. What holds an object (finalizers, owners) stays.
    All,
}

/// `managedFields` in which what others said of an object is ours, so that an apply takes away what git does not say;
/// none where there is nothing to take. Managers in `spared` keep theirs. An apply has one entry, of one version: what
/// was said in another version than ours, or else the first, stays where it is.
pub fn taken_over(managed: &Value, spared: &[&String], taken: Taken) -> Option<Value> {
    let entries = managed.as_array()?;
    let ours = entries.iter().find(|entry| is_ours(entry));
    if taken == Taken::Declared && ours.is_some() {
        return None;
    }
    let is_theirs = |entry: &Value| {
        let manager = text(entry, "manager");
        // What came by a subresource is somebody else's: `kubectl scale`, a status.
        text(entry, "subresource").is_empty()
            && !is_ours(entry)
            && (taken == Taken::All || DECLARERS.contains(&manager))
            && !spared.iter().any(|spared| **spared == manager)
    };
    let first = entries.iter().find(|entry| is_theirs(entry))?;
    let version = text(ours.unwrap_or(first), "apiVersion");
    let mut fields = ours.and_then(|entry| entry.get("fieldsV1")).cloned().unwrap_or_else(|| json!({}));
    let (mut left, mut is_other) = (Vec::new(), false);
    for entry in entries.iter().filter(|entry| !is_ours(entry)) {
        if !is_theirs(entry) || text(entry, "apiVersion") != version {
            left.push(entry.clone());
            continue;
        }
        let mut theirs = entry.get("fieldsV1").cloned().unwrap_or_default();
        let held = if taken == Taken::All { held(&mut theirs) } else { None };
        is_other |= theirs.as_object().is_some_and(|fields| !fields.is_empty());
        unite(&mut fields, &theirs);
        let kept = held.and_then(|held| {
            let mut entry = entry.clone();
            entry.as_object_mut()?.insert("fieldsV1".to_owned(), held);
            Some(entry)
        });
        left.extend(kept);
    }
    let ours = json!({"manager": SERVICE, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1",
        "fieldsV1": fields, "time": first.get("time")});
    is_other.then(|| left.into_iter().chain([ours]).collect())
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_ours(entry: &Value) -> bool {
    text(entry, "manager") == SERVICE && text(entry, "operation") == "Apply"
}

/// Takes out of `fields` those by which others hold an object.
fn held(fields: &mut Value) -> Option<Value> {
    let metadata = fields.get_mut("f:metadata")?.as_object_mut()?;
    let mut held = Map::new();
    for key in ["f:finalizers", "f:ownerReferences"] {
        held.extend(metadata.remove_entry(key));
    }
    if metadata.is_empty() {
        fields.as_object_mut()?.remove("f:metadata");
    }
    (!held.is_empty()).then(|| json!({"f:metadata": held}))
}

fn unite(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (key, below) in from {
        unite(into.entry(key).or_insert_with(|| json!({})), below);
    }
}

fn descend(fields: &Value, object: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let Some(fields) = fields.as_object() else { return };
    for (key, below) in fields.iter().filter(|(key, _)| *key != ".") {
        let Some((step, child)) = child(key, object) else { continue };
        path.push(step);
        if below.as_object().is_none_or(serde_json::Map::is_empty) {
            found.push(path.clone());
        } else {
            descend(below, child, path, found);
        }
        path.pop();
    }
}

/// Where a key of `FieldsV1` leads: `f:` a field, `k:` an item of a list by its keys, `v:` an item by its value,
/// `i:` an item by its place.
fn child<'a>(key: &str, object: &'a Value) -> Option<(Step, &'a Value)> {
    let (kind, rest) = key.split_once(':')?;
    let item = |matches: &dyn Fn(&Value) -> bool| {
        let (index, item) = object.as_array()?.iter().enumerate().find(|(_, item)| matches(item))?;
        Some((Step::Index(index), item))
    };
    match kind {
        "f" => Some((Step::Key(rest.to_owned()), object.get(rest)?)),
        "k" => {
            let keys: Value = serde_json::from_str(rest).ok()?;
            item(&|item| {
                keys.as_object()
                    .is_some_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
            })
        }
        "v" => {
            let value: Value = serde_json::from_str(rest).ok()?;
            item(&|item| *item == value)
        }
        "i" => {
            let index = rest.parse().ok()?;
            Some((Step::Index(index), object.get(index)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_of_a_manager_are_found_in_the_object_as_it_is() {
        let object = json!({
            "metadata": {"annotations": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
            "spec": {"replicas": 3, "containers": [{"name": "side"}, {"name": "main", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
        });
        let managed = json!([
            {"manager": "other", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {"manager": "hpa", "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"y\"": {}}},
                "f:spec": {"f:replicas": {}, "f:gone": {}, "f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {"f:protocol": {}}}}}},
            }},
        ]);
        let key = |text: &str| Step::Key(text.to_owned());
        let found = owned(&managed, &["hpa".to_owned()], &object);
        let wanted = [
            vec![key("metadata"), key("annotations"), key("a")],
            vec![key("metadata"), key("finalizers"), Step::Index(1)],
            vec![key("spec"), key("containers"), Step::Index(1), key("image")],
            vec![
                key("spec"),
                key("containers"),
                Step::Index(1),
                key("ports"),
                Step::Index(0),
                key("protocol"),
            ],
            vec![key("spec"), key("replicas")],
        ];
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        assert!(wanted.iter().all(|path| found.contains(path)), "{found:?}");
        assert!(owned(&managed, &[], &object).is_empty());
        assert!(owned(&Value::Null, &["hpa".to_owned()], &object).is_empty());
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_tools_declared_becomes_ours_and_what_people_and_controllers_did_does_not() {
        let data = |key: &str| json!({"f:data": {".": {}, (format!("f:{key}")): {}}});
        let hand = entry("kubectl-edit", "Update", data("hand"));
        let mut status = entry("argocd-controller", "Update", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let mut old = entry("argocd-controller", "Update", data("old"));
        old["apiVersion"] = json!("v1beta1");
        let managed = json!([
            entry("kubectl-client-side-apply", "Update", data("a")),
            hand.clone(),
            entry("argocd-controller", "Apply", data("b")),
            status.clone(),
            old.clone(),
            entry("helm", "Update", data("spared")),
        ]);
        let spared = "helm".to_owned();
        let taken = taken_over(&managed, &[&spared], Taken::Declared).unwrap();
        assert_eq!(
            taken.as_array().unwrap()[..4],
            [hand, status, old, entry("helm", "Update", data("spared"))]
        );
        assert_eq!(taken[4]["fieldsV1"], json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
        assert_eq!((&taken[4]["manager"], &taken[4]["operation"]), (&json!(SERVICE), &json!("Apply")));
        assert_eq!(taken_over(&taken, &[], Taken::Declared), None, "once");
        let later = json!([entry(SERVICE, "Apply", data("c")), entry("kubectl", "Apply", data("d"))]);
        assert_eq!(taken_over(&later, &[], Taken::Declared), None, "what comes later is not ours");
        assert_eq!(taken_over(&Value::Null, &[], Taken::Declared), None);
    }

    #[test]
    fn what_is_replaced_is_taken_of_everybody_but_for_what_holds_it() {
        let data = |key: &str| json!({"f:data": {(format!("f:{key}")): {}}});
        let mut hand = data("hand");
        hand["f:metadata"] = json!({"f:finalizers": {".": {}}, "f:labels": {"f:by": {}}});
        let mut status = entry("kubelet", "Update", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let managed = json!([
            entry(SERVICE, "Apply", data("ours")),
            entry("kubectl-edit", "Update", hand),
            status.clone(),
            entry("hpa", "Update", data("spared")),
        ]);
        let spared = "hpa".to_owned();
        let taken = taken_over(&managed, &[&spared], Taken::All).unwrap();
        let held = json!({"f:metadata": {"f:finalizers": {".": {}}}});
        let kept = [entry("kubectl-edit", "Update", held), status, entry("hpa", "Update", data("spared"))];
        assert_eq!(taken.as_array().unwrap()[..3], kept);
        let all = json!({"f:data": {"f:ours": {}, "f:hand": {}}, "f:metadata": {"f:labels": {"f:by": {}}}});
        assert_eq!(taken[3]["fieldsV1"], all);
        assert_eq!(taken_over(&taken, &[&spared], Taken::All), None, "nothing is left to take");
    }
}
