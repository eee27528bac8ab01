//! When a live object is as git wants it.
//!
//! The API server is asked: a dry run of our apply shows what would change, with defaults, list keys
//! and admission taken into account. The answer depends only on the manifest and on the live object
//! without its status, so it is remembered under the digests of both and a steady state asks nothing.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::identity::ObjectId;
use super::ignore::{self, IgnoreRule};

/// Metadata that the server keeps and no manifest means.
const SERVER_SIDE: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"];

/// The part of an object that git can mean: without status, server-side metadata and ignored fields.
/// `managed` are the `managedFields` of the live object, for rules that ask whose a field is.
pub fn comparable(id: &ObjectId, object: &Value, managed: &Value, ignored: &[IgnoreRule]) -> Value {
    let mut copy = object.clone();
    if let Some(fields) = copy.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !SERVER_SIDE.contains(&key.as_str()));
    }
    ignore::strip(ignored, id, managed, &mut copy);
    copy
}

/// A digest for the memory of verdicts; the same within one process.
pub fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The paths at which two objects differ, at most `limit`: for a person, without any value.
pub fn differences(left: &Value, right: &Value, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    walk("", left, right, limit, &mut found);
    found
}

fn walk(path: &str, left: &Value, right: &Value, limit: usize, found: &mut Vec<String>) {
    if found.len() >= limit || left == right {
        return;
    }
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (one, other) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                walk(&format!("{path}.{key}"), one, other, limit, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (one, other)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{index}]"), one, other, limit, found);
            }
        }
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_and_server_side_metadata_do_not_count() {
        let id = ObjectId::default();
        let one = json!({"metadata": {"name": "a", "resourceVersion": "1", "managedFields": []}, "status": {"x": 1}});
        let other = json!({"metadata": {"name": "a", "resourceVersion": "2", "generation": 7}});
        assert_eq!(comparable(&id, &one, &Value::Null, &[]), comparable(&id, &other, &Value::Null, &[]));
        assert_eq!(
            digest(&comparable(&id, &one, &Value::Null, &[])),
            digest(&comparable(&id, &other, &Value::Null, &[]))
        );
    }

    #[test]
    fn differences_name_paths_and_no_values() {
        let one = json!({"spec": {"replicas": 1, "list": [{"a": 1}, {"a": 2}]}, "data": {"k": "secret"}});
        let other = json!({"spec": {"replicas": 2, "list": [{"a": 1}, {"a": 3}]}, "data": {"k": "other"}});
        assert_eq!(differences(&one, &other, 10), ["data.k", "spec.list[1].a", "spec.replicas"]);
        assert_eq!(differences(&one, &other, 1).len(), 1);
        assert!(differences(&one, &one, 10).is_empty());
    }
}
