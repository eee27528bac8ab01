//! Writing a status: skipped when equal, fenced by `resourceVersion`, only what changed.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::controller::Object;
use crate::error::Error;
use crate::fresh;

/// Where a kind keeps its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Behind the `status` subresource, as all of our kinds.
    #[default]
    Subresource,
    /// In the object itself, as Argo CD's `Application`.
    Object,
}

/// Makes the status of `object` equal to `status`; returns the object as it is now, the same one
/// where nothing had to be written. Fields of the live status that K does not know stay.
///
/// # Errors
/// Any [`Error`] of the patch; 409 (`Transient`) when `object` is not the newest version, so that a
/// status computed from an old object never overwrites a newer one.
pub async fn write<K: Object, S: Serialize>(
    api: &Api<K>,
    manager: &str,
    object: Arc<K>,
    status: &S,
) -> Result<Arc<K>, Error> {
    write_at(Place::Subresource, api, manager, object, status).await
}

/// As [`write()`], for a kind that keeps its status at `place`.
///
/// # Errors
/// As [`write()`].
pub async fn write_at<K: Object, S: Serialize>(
    place: Place,
    api: &Api<K>,
    manager: &str,
    object: Arc<K>,
    status: &S,
) -> Result<Arc<K>, Error> {
    let name = object.name_any();
    let action = format!("write the status of {name}");
    let encode = |source| Error::Encode { action: action.clone(), source };
    let current = serde_json::to_value(&*object).map_err(encode)?.get_mut("status").map(Value::take);
    let wanted = serde_json::to_value(status).map_err(encode)?;
    let Some(change) = merge_patch(&current.unwrap_or(Value::Null), &wanted) else {
        return Ok(object);
    };
    let Some(version) = object.resource_version() else {
        return Err(Error::Incomplete { action, field: "metadata.resourceVersion" });
    };
    let body = json!({"metadata": {"resourceVersion": version}, "status": change});
    patch(place, api, manager, &name, &body).await.map(Arc::new).map_err(|source| Error::of(action, source))
}

/// Sends `body` as a merge patch to where the kind keeps its status.
pub(crate) async fn patch<K: Object>(
    place: Place,
    api: &Api<K>,
    manager: &str,
    name: &str,
    body: &Value,
) -> Result<K, kube::Error> {
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let patched = match place {
        Place::Subresource => api.patch_status(name, &params, &Patch::Merge(body)).await?,
        Place::Object => api.patch(name, &params, &Patch::Merge(body)).await?,
    };
    fresh::note(&patched);
    Ok(patched)
}

/// The JSON merge patch (RFC 7396) that turns `from` into `to`, or none where they are equal.
fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return Some(to.clone());
    };
    let mut change = Map::new();
    for (key, value) in to {
        if let Some(inner) = merge_patch(from.get(key).unwrap_or(&Value::Null), value) {
            change.insert(key.clone(), inner);
        }
    }
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        change.insert(key.clone(), Value::Null);
    }
    (!change.is_empty()).then_some(Value::Object(change))
}

#[cfg(test)]
mod tests;
