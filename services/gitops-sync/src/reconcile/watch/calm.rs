//! An object that is never still must not keep its Application at work: what changes its status alone is looked after at once when it was still before,
//! and else once in a while. Whatever else changes is looked after at once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use mlp_crds::Application;
use mlp_reconcile::ObjectRef;

/// The shortest time between two looks for the sake of statuses.
pub(super) const WINDOW: Duration = Duration::from_secs(2);

/// A digest of what is said of an object by whoever does not write its status. A field that somebody changes is theirs from then
/// on (`managedFields`), so that a change shows here whatever the kind.
pub(super) fn fingerprint(metadata: &ObjectMeta) -> u64 {
    let ObjectMeta { generation, labels, annotations, finalizers, deletion_timestamp, .. } = metadata;
    let mut hasher = DefaultHasher::new();
    (generation, labels, annotations, finalizers, deletion_timestamp.is_some()).hash(&mut hasher);
    let managers = metadata.managed_fields.iter().flatten();
    for entry in managers.filter(|entry| entry.subresource.as_deref() != Some("status")) {
        let ManagedFieldsEntry { manager, operation, time, fields_v1, .. } = entry;
        let time = time.as_ref().map(|time| time.0);
        (manager, operation, time, fields_v1.as_ref().map(|fields| &fields.0)).hash(&mut hasher);
    }
    hasher.finish()
}

/// When Applications were woken for a status last, and whether one waits to be.
#[derive(Default)]
pub(super) struct Calm(Mutex<HashMap<ObjectRef<Application>, (Instant, bool)>>);

impl Calm {
    /// Whether the Application is woken now; else it waits for its window to end.
    pub(super) fn wakes_now(&self, key: &ObjectRef<Application>, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(key) {
            Some((last, waits)) if now.saturating_duration_since(*last) < WINDOW => {
                *waits = true;
                false
            }
            _ => {
                all.insert(key.clone(), (now, false));
                true
            }
        }
    }

    /// Those whose window has ended while they waited. Those that did not wait are forgotten.
    pub(super) fn due(&self, now: Instant) -> Vec<ObjectRef<Application>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (last, waits)| *waits || now.saturating_duration_since(*last) < WINDOW);
        let mut due = Vec::new();
        for (key, (last, waits)) in all.iter_mut() {
            if *waits && now.saturating_duration_since(*last) >= WINDOW {
                (*last, *waits) = (now, false);
                due.push(key.clone());
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn print(metadata: Value) -> u64 {
        fingerprint(&serde_json::from_value(metadata).unwrap())
    }

    fn entry(manager: &str, subresource: Option<&str>, second: u32, field: &str) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "subresource": subresource,
            "time": format!("2026-12-01T00:00:{second:02}Z"), "fieldsType": "FieldsV1", "fieldsV1": {field: {}}})
    }

    #[test]
    fn a_status_changes_no_fingerprint_and_whatever_else_does() {
        let object = |version: &str, status: u32, more: Value| {
            let mut metadata = json!({"name": "a", "resourceVersion": version, "labels": {"a": "b"},
                "managedFields": [entry("gitops-sync", None, 1, "f:data"), entry("controller", Some("status"), status, "f:status")]});
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            print(metadata)
        };
        let still = object("1", 2, json!({}));
        assert_eq!(object("2", 3, json!({})), still);
        for more in [
            json!({"generation": 2}),
            json!({"labels": {"a": "c"}}),
            json!({"annotations": {"a": "c"}}),
            json!({"finalizers": ["x"]}),
            json!({"deletionTimestamp": "2026-12-01T00:00:00Z"}),
            json!({"managedFields": [entry("gitops-sync", None, 1, "f:data"), entry("kubectl", None, 2, "f:data")]}),
            json!({"managedFields": [entry("gitops-sync", None, 2, "f:data")]}),
            json!({"managedFields": [entry("gitops-sync", None, 1, "f:spec")]}),
            json!({"managedFields": [entry("scaler", Some("scale"), 1, "f:spec"), entry("gitops-sync", None, 1, "f:data")]}),
        ] {
            assert_ne!(object("2", 2, more.clone()), still, "{more}");
        }
    }

    #[test]
    fn what_is_never_still_is_looked_at_once_in_a_window_and_at_its_end() {
        let (calm, begun) = (Calm::default(), Instant::now());
        let (key, other) = (ObjectRef::new("a"), ObjectRef::new("b"));
        let at = |milliseconds: u64| begun + Duration::from_millis(milliseconds);
        let woken = (0..100).filter(|beat| calm.wakes_now(&key, at(beat * 10))).count();
        assert_eq!(woken, 1);
        assert!(calm.wakes_now(&other, at(500)), "another is no matter of it");
        assert_eq!(calm.due(at(1_900)), []);
        assert_eq!(calm.due(at(2_000)), std::slice::from_ref(&key));
        assert_eq!(calm.due(at(2_100)), [], "once");
        assert!(!calm.wakes_now(&key, at(2_200)));
        assert_eq!(calm.due(at(4_000)), std::slice::from_ref(&key));
        assert!(calm.wakes_now(&key, at(9_000)), "still for long enough");
        assert_eq!(calm.due(at(60_000)), []);
        assert!(calm.0.lock().unwrap().is_empty(), "nothing is kept of what is still");
    }
}
