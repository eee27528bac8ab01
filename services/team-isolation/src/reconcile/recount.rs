//! Use of a quota that nobody has: a create that failed after it was charged stays charged until the
//! quota is counted anew (kubernetes#61530), which starves whoever is at the limit.
//!
//! Where a quota is at its limit, what is there is counted; if it is less than what is charged, the
//! quota's controller is made to count. It does so when `spec.hard` changes, so a key that bounds
//! nothing comes and goes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use mlp_reconcile::Error as CallError;
use serde_json::Value;

use super::TeamReconciler;
use crate::domain::objects::quota::{NAME, RECOUNT};
use crate::domain::objects::{Key, Kind};
use crate::domain::plan::Observed;
use crate::domain::quantity::Quantity;

/// How often the same namespace is counted at most.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// Quota keys that can be counted with one request: key, kind, plural, field selector.
const COUNTABLE: [(&str, &str, &str, &str); 5] = [
    ("pods", "Pod", "pods", "status.phase!=Succeeded,status.phase!=Failed"),
    ("configmaps", "ConfigMap", "configmaps", ""),
    ("secrets", "Secret", "secrets", ""),
    ("services", "Service", "services", ""),
    ("persistentvolumeclaims", "PersistentVolumeClaim", "persistentvolumeclaims", ""),
];

/// When each namespace was counted.
#[derive(Default)]
pub(super) struct Counted(Mutex<HashMap<String, Instant>>);

impl Counted {
    fn is_due(&self, namespace: &str) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|_, at| at.elapsed() < AGAIN);
        let due = !counted.contains_key(namespace);
        if due {
            counted.insert(namespace.to_owned(), Instant::now());
        }
        due
    }
}

/// Keys of a quota that are at their limit and can be counted, with what is charged.
fn at_limit(quota: &Value) -> Vec<(&'static str, &'static str, &'static str, &'static str, i128)> {
    let amount = |field: &str, key: &str| {
        let text = quota.pointer(field)?.get(key)?.as_str()?;
        Quantity::parse(text).ok().map(Quantity::nano)
    };
    let full = |&(key, kind, plural, fields): &(&'static str, &'static str, &'static str, &'static str)| {
        let (hard, used) = (amount("/status/hard", key)?, amount("/status/used", key)?);
        (used > 0 && used >= hard).then_some((key, kind, plural, fields, used))
    };
    COUNTABLE.iter().filter_map(full).collect()
}

impl TeamReconciler {
    /// Namespaces whose quota carries the key that bounds nothing, as it should be now.
    pub(super) async fn recounts(&self, observed: &Observed) -> Result<BTreeSet<String>, CallError> {
        let mut carrying = BTreeSet::new();
        for (key, quota) in
            observed.live.iter().filter(|(key, _)| key.kind == Kind::ResourceQuota && key.name == NAME)
        {
            let carries = quota.pointer("/spec/hard").and_then(|hard| hard.get(RECOUNT)).is_some();
            if carries != self.is_overcharged(key, quota).await? {
                carrying.insert(key.namespace.clone());
            }
        }
        Ok(carrying)
    }

    async fn is_overcharged(&self, key: &Key, quota: &Value) -> Result<bool, CallError> {
        let full = at_limit(quota);
        if full.is_empty() || !self.counted.is_due(&key.namespace) {
            return Ok(false);
        }
        for (_, kind, plural, fields, used) in full {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural);
            let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &key.namespace, &resource);
            let wanted = ListParams {
                field_selector: (!fields.is_empty()).then(|| fields.to_owned()),
                ..ListParams::default()
            };
            let listed = api.list_metadata(&wanted).await;
            let listed = listed
                .map_err(|source| CallError::of(format!("count {plural} in {}", key.namespace), source))?;
            let there = i128::try_from(listed.items.len()).unwrap_or(i128::MAX);
            if there.saturating_mul(1_000_000_000) < used {
                tracing::info!(
                    namespace = key.namespace,
                    plural,
                    there,
                    "a quota is charged more than there is; counting anew"
                );
                return Ok(true);
            }
        }
        Ok(false)
    }
}
