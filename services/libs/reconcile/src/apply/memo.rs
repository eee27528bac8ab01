//! Live states that were found to need no write although they do not look like it.
//!
//! The API server (or an admission webhook) may keep a field in another form than it was sent.
//! Once it has said so about one state, it is not asked again about the same state.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::manifest::{Manifest, canonical};

/// How many objects are remembered; when full, everything is forgotten and asked again once.
const LIMIT: usize = 10_000;

#[derive(Default)]
pub(super) struct Memo(Mutex<HashMap<String, u64>>);

impl Memo {
    pub(super) fn knows(&self, manifest: &Manifest, live: &Value) -> bool {
        self.lock().get(&manifest.object) == Some(&digest(manifest, live))
    }

    pub(super) fn remember(&self, manifest: &Manifest, live: &Value) {
        let mut known = self.lock();
        if known.len() >= LIMIT {
            known.clear();
        }
        known.insert(manifest.object.clone(), digest(manifest, live));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(manifest: &Manifest, live: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    manifest.resource.api_version.hash(&mut hasher);
    manifest.hash().hash(&mut hasher);
    canonical(&manifest.body).to_string().hash(&mut hasher);
    canonical(&without_bookkeeping(live)).to_string().hash(&mut hasher);
    hasher.finish()
}

/// The object without status and without what changes with every write.
pub(super) fn without_bookkeeping(live: &Value) -> Value {
    let mut value = live.clone();
    if let Some(root) = value.as_object_mut() {
        root.remove("status");
        if let Some(meta) = root.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "resourceVersion", "generation"] {
                meta.remove(field);
            }
        }
    }
    value
}
