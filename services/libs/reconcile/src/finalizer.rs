//! Adding and removing one finalizer, fenced by `resourceVersion`.
//!
//! The patch names the version it was computed from: a finalizer that somebody else added or
//! removed meanwhile is never lost, the call answers 409 and the reconcile is retried.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use crate::controller::Object;
use crate::error::Error;
use crate::fresh;

/// Makes sure that `object` carries `finalizer`; returns the object as it is now, so that later
/// fenced writes name the right version. An object that is being deleted is returned as it is: the
/// API server takes no new finalizers then.
///
/// # Errors
/// Any [`Error`] of the patch; 409 (`Transient`) when the object changed meanwhile.
pub async fn ensure<K: Object>(
    api: &Api<K>,
    manager: &str,
    object: Arc<K>,
    finalizer: &str,
) -> Result<Arc<K>, Error> {
    let deleting = object.meta().deletion_timestamp.is_some();
    if deleting || has(&*object, finalizer) {
        return Ok(object);
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    patch(api, manager, &*object, &finalizers).await.map(Arc::new)
}

/// Removes `finalizer` from `object` where it has it. An object that is gone counts as done.
///
/// # Errors
/// Any [`Error`] of the patch but "not found"; 409 (`Transient`) when the object changed meanwhile.
pub async fn remove<K: Object>(
    api: &Api<K>,
    manager: &str,
    object: &K,
    finalizer: &str,
) -> Result<(), Error> {
    if !has(object, finalizer) {
        return Ok(());
    }
    let finalizers: Vec<_> = object.finalizers().iter().filter(|name| *name != finalizer).cloned().collect();
    match patch(api, manager, object, &finalizers).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Whether `object` carries `finalizer`.
pub fn has<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|name| name == finalizer)
}

async fn patch<K: Object>(
    api: &Api<K>,
    manager: &str,
    object: &K,
    finalizers: &[String],
) -> Result<K, Error> {
    let name = object.name_any();
    let action = format!("change finalizers of {name}");
    let Some(version) = object.resource_version() else {
        return Err(Error::Incomplete { action, field: "metadata.resourceVersion" });
    };
    let body = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let patched = api.patch(&name, &params, &Patch::Merge(&body)).await;
    let patched = patched.map_err(|source| Error::of(action, source))?;
    fresh::note(&patched);
    Ok(patched)
}

#[cfg(test)]
mod tests;
