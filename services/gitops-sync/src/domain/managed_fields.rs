//! Which fields of an object a field manager owns: `metadata.managedFields`, format `FieldsV1` (KEP-555).

use serde_json::Value;

use super::jq::Step;

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
}
