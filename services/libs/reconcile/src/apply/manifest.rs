//! What is sent: the desired object without what is the server's, with our label and its own hash.

use kube::core::ApiResource;
use mlp_model::labels;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Ownership;
use crate::controller::Object;
use crate::error::Error;

/// Fields that the API server sets; sending them back would fence or claim what we do not mean to.
const SERVER_FIELDS: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
];

/// A desired object, ready to send.
pub(super) struct Manifest {
    pub(super) resource: ApiResource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// Kind, namespace and name, for messages.
    pub(super) object: String,
    pub(super) body: Value,
    hash: String,
}

impl Manifest {
    pub(super) fn new<K: Object>(
        resource: &ApiResource,
        desired: &K,
        ownership: &Ownership,
    ) -> Result<Self, Error> {
        let meta = desired.meta();
        let namespace = meta.namespace.clone();
        let Some(name) = meta.name.clone() else {
            let action = format!("apply a {}", resource.kind);
            return Err(Error::Incomplete { action, field: "metadata.name" });
        };
        let object = object_name(&resource.kind, namespace.as_deref(), &name);
        let mut body = encode(&object, desired)?;
        normalize(&mut body, resource);
        if let Ownership::Label { key, value } = ownership {
            insert(&mut body, "labels", key, value.clone());
        }
        let hash = hash(&body);
        insert(&mut body, "annotations", labels::APPLIED_HASH, hash.clone());
        Ok(Self { resource: resource.clone(), namespace, name, object, body, hash })
    }

    /// Any object as JSON, with an error that names this one.
    pub(super) fn encode(&self, object: &impl Serialize) -> Result<Value, Error> {
        encode(&self.object, object)
    }

    /// The hash of the manifest.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// `Kind namespace/name`, or `Kind name` without namespace.
pub(super) fn object_name(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Who owns `live`, as far as it tells.
pub(super) fn owner_of(live: &Value) -> String {
    let label = live.pointer("/metadata/labels").and_then(|labels| labels.get(labels::MANAGED_BY));
    if let Some(owner) = label.and_then(Value::as_str) {
        return format!("`{owner}` (label {})", labels::MANAGED_BY);
    }
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let managers = entries.into_iter().flatten().filter_map(|entry| entry.get("manager")?.as_str());
    let mut managers: Vec<_> = managers.map(|manager| format!("`{manager}`")).collect();
    managers.sort();
    managers.dedup();
    if managers.is_empty() {
        return "somebody who left no label".to_owned();
    }
    format!("field manager {}", managers.join(", "))
}

fn encode(object: &str, value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|source| Error::Encode { action: format!("encode {object}"), source })
}

fn normalize(body: &mut Value, resource: &ApiResource) {
    let Some(root) = body.as_object_mut() else { return };
    root.insert("apiVersion".to_owned(), json!(resource.api_version));
    root.insert("kind".to_owned(), json!(resource.kind));
    root.remove("status");
    if let Some(meta) = root.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            meta.remove(field);
        }
    }
    if resource.kind == "Secret" && resource.group.is_empty() {
        encode_string_data(root);
    }
}

/// `stringData` is write-only: live objects show it as `data`, so only `data` can be compared.
fn encode_string_data(root: &mut Map<String, Value>) {
    use base64::Engine as _;
    let Some(Value::Object(texts)) = root.remove("stringData") else { return };
    let data = root.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        for (key, text) in texts {
            let bytes = text.as_str().unwrap_or_default().as_bytes();
            data.insert(key, json!(base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
    }
}

fn insert(body: &mut Value, map: &str, key: &str, value: String) {
    let Some(root) = body.as_object_mut() else { return };
    let meta = root.entry("metadata").or_insert_with(|| json!({}));
    let Some(meta) = meta.as_object_mut() else { return };
    let entries = meta.entry(map).or_insert_with(|| json!({}));
    if entries.is_null() {
        *entries = json!({});
    }
    if let Some(entries) = entries.as_object_mut() {
        entries.insert(key.to_owned(), Value::String(value));
    }
}

/// A hash of the manifest that does not depend on the order of keys. Values of a Secret are left
/// out: whoever may read annotations must not be able to test guesses; changed values are found by
/// comparison.
fn hash(body: &Value) -> String {
    let secret = body.get("kind").and_then(Value::as_str) == Some("Secret");
    let mut digest = Sha256::new();
    let Some(root) = body.as_object() else { return String::new() };
    let mut keys: Vec<_> = root.keys().collect();
    keys.sort();
    for key in keys {
        digest.update(key);
        match root.get(key) {
            Some(Value::Object(data)) if secret && key == "data" => {
                let mut names: Vec<_> = data.keys().collect();
                names.sort();
                names.into_iter().for_each(|name| digest.update(format!("{name};")));
            }
            Some(value) => digest.update(canonical(value).to_string()),
            None => {}
        }
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The same value with the keys of all maps in order, whatever map serde_json was built with.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            entries.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
