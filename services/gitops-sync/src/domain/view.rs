//! What a person is shown of a difference: objects before and after, without what is secret.

use serde_json::Value;

use super::identity::ObjectId;
use super::policy::Finding;

/// How a live object stands to what a revision wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as wanted.
    Same,
    /// A sync would change it.
    Changed,
    /// A sync would make it.
    Missing,
    /// It left git: a sync that prunes would delete it.
    Extra,
    /// It is another Application's, which is named.
    Foreign(String),
    /// Its kind is not served (yet).
    KindMissing,
    /// A sync would be refused, in the API server's words.
    Refused(String),
}

/// One object of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Identity.
    pub id: ObjectId,
    /// How it stands.
    pub standing: Standing,
    /// What is live, as far as git can mean it.
    pub live: Option<Value>,
    /// What a sync would make of it; of an object that is not live, what git says.
    pub wanted: Option<Value>,
}

/// All of it, at one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Commits.
    pub revision: String,
    /// Objects that are wanted, in order, then those that left git.
    pub objects: Vec<Seen>,
    /// What could not be compared.
    pub gaps: Vec<String>,
    /// Rules that are broken.
    pub findings: Vec<Finding>,
}

/// In the place of a value that is secret.
const MASK: &str = "********";
/// Longest annotation of a Secret that is shown, in bytes.
const COPY: usize = 512;
/// The same, where it is not what the other side has.
const OTHER: &str = "******** (changed)";

/// Both sides of an object without the values of a Secret: only whether they differ is left. Copies of it in annotations go, too.
pub fn mask(id: &ObjectId, live: &mut Option<Value>, wanted: &mut Option<Value>) {
    if id.kind != "Secret" || !id.group.is_empty() {
        return;
    }
    for field in ["data", "stringData"] {
        let before = live.as_ref().and_then(|object| object.get(field).cloned()).unwrap_or(Value::Null);
        for (side, other) in [(&mut *wanted, before), (&mut *live, Value::Null)] {
            let Some(values) = side.as_mut().and_then(|object| object.get_mut(field)) else { continue };
            let Some(values) = values.as_object_mut() else {
                // A text in the place of the map is secret all the same.
                *values = Value::from(MASK);
                continue;
            };
            for (key, value) in values {
                let is_other = other.get(key).is_some_and(|other| other != value);
                *value = Value::from(if is_other { OTHER } else { MASK });
            }
        }
    }
    for side in [live, wanted] {
        let annotations = side.as_mut().and_then(|object| object.pointer_mut("/metadata/annotations"));
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            // Tools keep what they applied there, each by a name of its own.
            annotations.retain(|_, value| {
                value.as_str().is_none_or(|text| text.len() <= COPY && !text.contains('{'))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_secret_only_what_changes_is_shown() {
        let object = |data: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": data, "type": "Opaque",
            "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\": 1}", "kapp.k14s.io/original": "x".repeat(600), "team": "ml"}}})
        };
        let id = ObjectId { version: "v1".into(), kind: "Secret".into(), ..ObjectId::default() };
        let mut live = Some(object(json!({"same": "c2VjcmV0", "changed": "b2xk", "gone": "c2VjcmV0"})));
        let mut wanted = Some(object(json!({"same": "c2VjcmV0", "changed": "bmV3", "new": "c2VjcmV0"})));
        mask(&id, &mut live, &mut wanted);
        let (live, wanted) = (live.unwrap(), wanted.unwrap());
        assert_eq!(live["data"], json!({"same": MASK, "changed": MASK, "gone": MASK}));
        assert_eq!(wanted["data"], json!({"same": MASK, "changed": OTHER, "new": MASK}));
        assert_eq!(wanted["metadata"]["annotations"], json!({"team": "ml"}));
        assert_eq!(wanted["type"], "Opaque");
        let mut slip = Some(json!({"kind": "Secret", "stringData": "token: hunter2"}));
        mask(&id, &mut None, &mut slip);
        assert_eq!(slip.unwrap()["stringData"], MASK);
        let mut map = Some(json!({"kind": "ConfigMap", "data": {"a": "b"}}));
        mask(&ObjectId { kind: "ConfigMap".into(), ..ObjectId::default() }, &mut None, &mut map);
        assert_eq!(map.unwrap()["data"]["a"], "b");
    }
}
