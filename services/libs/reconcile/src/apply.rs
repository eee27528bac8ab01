//! Writing owned objects by server-side apply, and only when something differs.
//!
//! Enters: a desired object, complete in the fields that the service cares about. Leaves: the same
//! object on the API server, labelled as ours. Promised: an object of somebody else is never
//! touched; an object that already is as desired costs no write and, with `*_with_live`, no call.

mod manifest;
mod memo;
mod remove;

use std::sync::Arc;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt};
use mlp_model::labels;
use serde_json::Value;

use crate::controller::Object;
use crate::error::Error;
use crate::subset::{self, Verdict};
use manifest::Manifest;
use memo::Memo;
pub use remove::Removal;

/// What [`Applier::apply`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It was as desired.
    Unchanged,
    /// It was not there.
    Created,
    /// It was different.
    Configured,
}

/// How an applier knows its own objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// They carry this label, which the applier sets.
    Label {
        /// Key of the label.
        key: String,
        /// Value of the label.
        value: String,
    },
    /// Whatever is named by a manifest is taken over, as Argo CD does with what git names.
    Adopt,
}

/// Applies and removes objects under one field manager. Cheap to clone.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    manager: Arc<str>,
    ownership: Arc<Ownership>,
    memo: Arc<Memo>,
}

impl Applier {
    /// An applier that writes as field manager `manager` and knows its objects by the label
    /// `app.kubernetes.io/managed-by`.
    pub fn new(client: Client, manager: &str) -> Self {
        let ownership = Ownership::Label { key: labels::MANAGED_BY.to_owned(), value: manager.to_owned() };
        Self { client, manager: manager.into(), ownership: Arc::new(ownership), memo: Arc::default() }
    }

    /// The same applier with another rule of ownership.
    pub fn owning_by(mut self, ownership: Ownership) -> Self {
        self.ownership = Arc::new(ownership);
        self
    }

    /// The same applier over another client, for example one that impersonates.
    pub fn over(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Makes the object be as `desired`; reads it first.
    ///
    /// # Errors
    /// [`Error::OwnedByAnother`] when it exists without our label; else the call's error.
    pub async fn apply<K: Object>(&self, desired: &K) -> Result<Applied, Error>
    where
        K::DynamicType: Default,
    {
        self.converge(&ApiResource::erase::<K>(&K::DynamicType::default()), None, desired).await
    }

    /// As [`Applier::apply`], taking the live object from the caller's cache. `None` means that the
    /// cache has none; then the API server is asked before anything is created.
    ///
    /// # Errors
    /// As [`Applier::apply`].
    pub async fn apply_with_live<K: Object>(&self, live: Option<&K>, desired: &K) -> Result<Applied, Error>
    where
        K::DynamicType: Default,
    {
        self.converge(&ApiResource::erase::<K>(&K::DynamicType::default()), live, desired).await
    }

    /// As [`Applier::apply_with_live`], for a kind known at run time only.
    ///
    /// # Errors
    /// As [`Applier::apply`].
    pub async fn apply_dynamic(
        &self,
        resource: &ApiResource,
        live: Option<&DynamicObject>,
        desired: &DynamicObject,
    ) -> Result<Applied, Error> {
        self.converge(resource, live, desired).await
    }

    /// What the API server would make of `desired`, without writing it: admission, defaults and
    /// validation included.
    ///
    /// # Errors
    /// The call's error, as a write would have met it.
    pub async fn dry_run<K: Object>(&self, desired: &K) -> Result<DynamicObject, Error>
    where
        K::DynamicType: Default,
    {
        let resource = ApiResource::erase::<K>(&K::DynamicType::default());
        self.patch(&Manifest::new(&resource, desired, &self.ownership)?, None, true, true).await
    }

    /// As [`Applier::dry_run`], for a kind known at run time only.
    ///
    /// # Errors
    /// As [`Applier::dry_run`].
    pub async fn dry_run_dynamic(
        &self,
        resource: &ApiResource,
        desired: &DynamicObject,
    ) -> Result<DynamicObject, Error> {
        self.patch(&Manifest::new(resource, desired, &self.ownership)?, None, true, true).await
    }

    async fn converge<K: Object>(
        &self,
        resource: &ApiResource,
        live: Option<&K>,
        desired: &K,
    ) -> Result<Applied, Error> {
        let manifest = Manifest::new(resource, desired, &self.ownership)?;
        let live = match live {
            Some(live) => Some(manifest.encode(live)?),
            None => match self.read(&manifest).await? {
                Some(live) => Some(manifest.encode(&live)?),
                None => None,
            },
        };
        let Some(live) = live else {
            // Not forced: what somebody else creates at this moment is not overwritten.
            self.patch(&manifest, None, false, false).await?;
            return Ok(Applied::Created);
        };
        self.check_ours(&manifest, &live)?;
        self.reconcile_live(&manifest, &live).await
    }

    async fn reconcile_live(&self, manifest: &Manifest, live: &Value) -> Result<Applied, Error> {
        // A manifest other than the last one differs in its hash at least.
        let verdict = subset::compare(&manifest.body, live);
        if verdict == Verdict::Covered || self.memo.knows(manifest, live) {
            return Ok(Applied::Unchanged);
        }
        tracing::debug!(object = manifest.object, ?verdict, "live object differs");
        if let Verdict::Doubt(_) = verdict {
            let result = manifest.encode(&self.patch(manifest, Some(live), true, true).await?)?;
            if memo::without_bookkeeping(&result) == memo::without_bookkeeping(live) {
                self.memo.remember(manifest, live);
                return Ok(Applied::Unchanged);
            }
        }
        let written = self.patch(manifest, Some(live), true, false).await?;
        let version = live.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if version.is_some() && written.resource_version().as_deref() == version {
            // The API server saw no difference where we did; do not ask it again about this state.
            self.memo.remember(manifest, live);
            return Ok(Applied::Unchanged);
        }
        Ok(Applied::Configured)
    }

    async fn read(&self, manifest: &Manifest) -> Result<Option<DynamicObject>, Error> {
        let found = self.api(manifest).get_opt(&manifest.name).await;
        found.map_err(|source| Error::of(format!("read {}", manifest.object), source))
    }

    /// Sends the manifest; `live` fences against an object that was deleted and made again.
    async fn patch(
        &self,
        manifest: &Manifest,
        live: Option<&Value>,
        force: bool,
        dry_run: bool,
    ) -> Result<DynamicObject, Error> {
        let mut body = manifest.body.clone();
        let uid = live.and_then(|live| live.pointer("/metadata/uid"));
        if let (Some(uid), Some(meta)) = (uid, body.get_mut("metadata").and_then(Value::as_object_mut)) {
            meta.insert("uid".to_owned(), uid.clone());
        }
        let params = PatchParams {
            field_manager: Some(self.manager.to_string()),
            force,
            dry_run,
            ..PatchParams::default()
        };
        let patched = self.api(manifest).patch(&manifest.name, &params, &Patch::Apply(&body)).await;
        patched.map_err(|source| Error::of(format!("apply {}", manifest.object), source))
    }

    fn api(&self, manifest: &Manifest) -> Api<DynamicObject> {
        self.api_of(&manifest.resource, manifest.namespace.as_deref())
    }

    fn api_of(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Refuses an object without our label, and one that is going away.
    fn check_ours(&self, manifest: &Manifest, live: &Value) -> Result<(), Error> {
        let action = format!("apply {}", manifest.object);
        if let Ownership::Label { key, value } = &*self.ownership {
            let labels = live.pointer("/metadata/labels");
            let found = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            if found != Some(value) {
                let owner = manifest::owner_of(live);
                return Err(Error::OwnedByAnother { action, owner, label: format!("{key}={value}") });
            }
        }
        match live.pointer("/metadata/deletionTimestamp") {
            Some(Value::String(_)) => Err(Error::Terminating { action }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
