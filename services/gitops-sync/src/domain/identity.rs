//! What names an object, and the annotation by which an Application knows its own.

use std::fmt;

use serde_json::Value;

/// The annotation that carries the tracking id, as Argo CD 3 writes it.
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// Group, version, kind, namespace and name of one object. The namespace of a cluster-scoped
/// object is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectId {
    /// The identity that a manifest or live object states, where it has apiVersion, kind and name.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (group, version) = split_api_version(text("/apiVersion")?);
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("/kind")?.to_owned(),
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: text("/metadata/name")?.to_owned(),
        })
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether both name the same object; the version does not count.
    pub fn same_object(&self, other: &Self) -> bool {
        let Self { group, version: _, kind, namespace, name } = self;
        (group, kind, namespace, name) == (&other.group, &other.kind, &other.namespace, &other.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, kind, namespace, name, .. } = self;
        let dotted = if group.is_empty() { String::new() } else { format!(".{group}") };
        match namespace.as_str() {
            "" => write!(formatter, "{kind}{dotted} {name}"),
            _ => write!(formatter, "{kind}{dotted} {namespace}/{name}"),
        }
    }
}

/// Splits `group/version`; the core group is empty.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The name by which an Application tracks: its own in the control plane's namespace, elsewhere
/// `<namespace>_<name>`, so that two teams' applications of one name stay apart.
pub fn instance_name(control_namespace: &str, namespace: &str, name: &str) -> String {
    if namespace == control_namespace { name.to_owned() } else { format!("{namespace}_{name}") }
}

/// `<app>:<group>/<kind>:<namespace>/<name>`.
pub fn tracking_id(instance: &str, id: &ObjectId) -> String {
    format!("{instance}:{}/{}:{}/{}", id.group, id.kind, id.namespace, id.name)
}

/// Which Application a live object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No tracking id, or one that describes another object: copied by somebody.
    Nobody,
    /// The Application of this instance name.
    Instance(String),
}

/// Reads the owner of a live object. A tracking id that names another object was copied with its
/// annotations and counts for nothing.
pub fn owner(object: &Value) -> Owner {
    let Some(id) = ObjectId::of(object) else { return Owner::Nobody };
    let annotation = object.pointer("/metadata/annotations").and_then(|all| all.get(TRACKING_ID));
    let Some(text) = annotation.and_then(Value::as_str) else { return Owner::Nobody };
    let Some((instance, _)) = text.split_once(':') else { return Owner::Nobody };
    if tracking_id(instance, &id) == text { Owner::Instance(instance.to_owned()) } else { Owner::Nobody }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(tracking: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
               "metadata": {"name": "web", "namespace": "ml-team", "annotations": {TRACKING_ID: tracking}}})
    }

    #[test]
    fn ids_are_written_as_argo_cd_writes_them() {
        let id = ObjectId::of(&live("")).unwrap();
        assert_eq!(tracking_id("shop", &id), "shop:apps/Deployment:ml-team/web");
        let core = ObjectId { kind: "Namespace".into(), name: "x".into(), ..ObjectId::default() };
        assert_eq!(tracking_id("shop", &core), "shop:/Namespace:/x");
        assert_eq!(instance_name("mlp-system", "mlp-system", "shop"), "shop");
        assert_eq!(instance_name("mlp-system", "ml-team", "shop"), "ml-team_shop");
        assert_eq!(id.to_string(), "Deployment.apps ml-team/web");
    }

    #[test]
    fn a_copied_id_counts_for_nothing() {
        assert_eq!(owner(&live("shop:apps/Deployment:ml-team/web")), Owner::Instance("shop".into()));
        assert_eq!(owner(&live("shop:apps/Deployment:ml-team/other")), Owner::Nobody);
        assert_eq!(owner(&live("nonsense")), Owner::Nobody);
        assert_eq!(owner(&json!({"kind": "x"})), Owner::Nobody);
    }
}
