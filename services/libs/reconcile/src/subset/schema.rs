//! What the comparison knows of Kubernetes' types: which lists are keyed, which structures are
//! replaced as a whole, where quantities stand, which defaults appear inside replaced values.
//!
//! Names are enough: no type of ours or of Kubernetes uses one of these names for something else
//! in a way that would hide a change. What is not known here ends as doubt and is asked.

use serde_json::Value;

/// Lists that apply merges by key (`x-kubernetes-list-map-keys`), by the name of their field.
const KEYED: [(&str, &[&str]); 18] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("schedulingGates", &["name"]),
    ("resourceClaims", &["name"]),
    ("webhooks", &["name"]),
    ("matchConditions", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("hostAliases", &["ip"]),
    ("ownerReferences", &["uid"]),
];

/// Lists of scalars that apply merges as sets.
const SETS: [&str; 1] = ["finalizers"];

/// Structures that apply replaces as a whole (`x-kubernetes-map-type: atomic`).
const ATOMIC: [&str; 13] = [
    "selector",
    "podSelector",
    "namespaceSelector",
    "objectSelector",
    "labelSelector",
    "nodeSelector",
    "scopeSelector",
    "roleRef",
    "secretKeyRef",
    "configMapKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "claimRef",
];

/// Maps whose values are quantities.
const QUANTITY_MAPS: [&str; 11] = [
    "requests",
    "limits",
    "hard",
    "capacity",
    "allocatable",
    "default",
    "defaultRequest",
    "max",
    "min",
    "maxLimitRequestRatio",
    "podFixed",
];

/// Fields that are quantities.
const QUANTITIES: [&str; 3] = ["sizeLimit", "divisor", "averageValue"];

/// Defaults that the API server sets inside values that apply replaces as a whole.
const DEFAULTS: [(&str, &str); 6] = [
    ("protocol", "TCP"),
    ("apiGroup", "rbac.authorization.k8s.io"),
    ("scope", "*"),
    ("volumeMode", "Filesystem"),
    ("apiVersion", "v1"),
    ("kind", "PersistentVolumeClaim"),
];

/// The keys by which apply merges the list in `field`, if all of `items` have the first of them; an
/// empty slice means a set of scalars.
pub(super) fn merge_keys(field: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    if SETS.contains(&field) {
        return Some(&[]);
    }
    let fits = |keys: &&[&str]| {
        let first = keys.first().copied().unwrap_or_default();
        items.iter().all(|item| item.get(first).is_some())
    };
    KEYED.iter().filter(|(name, _)| *name == field).map(|(_, keys)| *keys).find(fits)
}

/// Whether two items of a keyed list are the same item.
pub(super) fn same_item(keys: &[&str], one: &Value, other: &Value) -> bool {
    if keys.is_empty() {
        return one == other;
    }
    keys.iter().all(|key| key_of(one, key) == key_of(other, key))
}

/// Whether apply replaces the structure in `field` as a whole.
pub(super) fn is_atomic(field: &str) -> bool {
    ATOMIC.contains(&field)
}

/// Whether the value at `parent.field` is a quantity.
pub(super) fn holds_quantity(parent: &str, field: &str) -> bool {
    QUANTITY_MAPS.contains(&parent) || QUANTITIES.contains(&field)
}

/// Whether `value` is what the API server itself puts into a missing `field`.
pub(super) fn is_default(field: &str, value: &Value) -> bool {
    let text = value.as_str();
    value.is_null() || DEFAULTS.iter().any(|(name, default)| *name == field && text == Some(default))
}

fn key_of<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    static TCP: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::from("TCP"));
    match item.get(key) {
        None if key == "protocol" => Some(&TCP),
        found => found,
    }
}
