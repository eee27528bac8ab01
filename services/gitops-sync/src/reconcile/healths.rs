//! Health of live objects: by the scripts of Argo CD's configuration, else by the built-in rules.

use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt as _;
use mlp_health::{Health, Scripts};
use mlp_reconcile::ObjectRef;
use serde_json::Value;

use super::ApplicationReconciler;
use super::tenancy::SETTINGS;
use crate::domain::identity::ObjectId;

/// The scripts of one version of the configuration.
#[derive(Default)]
pub(super) struct Healths(Mutex<Option<(String, Arc<Scripts>)>>);

impl ApplicationReconciler {
    /// The scripts as they are now; read once for each version of the configuration.
    fn scripts(&self) -> Arc<Scripts> {
        let key = ObjectRef::new(SETTINGS).within(&self.caches.control_namespace);
        let Some(settings) = self.caches.settings.get(&key) else { return Arc::default() };
        let version = settings.resource_version().unwrap_or_default();
        let mut known = self.healths.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, scripts)) = known.as_ref().filter(|(of, _)| *of == version) {
            return Arc::clone(scripts);
        }
        let (scripts, problem) = Scripts::read(&settings.data.clone().unwrap_or_default());
        if let Some(problem) = problem {
            tracing::warn!(problem, "a part of Argo CD's configuration is not read");
        }
        let scripts = Arc::new(scripts);
        *known = Some((version, Arc::clone(&scripts)));
        scripts
    }

    /// Health of a live object; none where its kind has none.
    pub(super) fn health_of(&self, id: &ObjectId, live: &Value) -> Option<Health> {
        self.scripts().of(&id.group, &id.kind, live)
    }
}
