//! Deleting what is ours: one object, or all that carry our label and are not wanted any more.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions, PropagationPolicy};
use kube::core::ApiResource;
use kube::{Api, ResourceExt};

use super::{Applier, Ownership, manifest};
use crate::controller::Object;
use crate::error::Error;

/// Objects per page of a list.
const PAGE: u32 = 500;

/// What is left of an object after a deletion was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing.
    Gone,
    /// It waits for finalizers or its grace period; ask again later.
    Deleting,
}

impl Applier {
    /// Deletes one object of ours. Deleting twice is harmless.
    ///
    /// # Errors
    /// [`Error::OwnedByAnother`] when it exists without our label; else the call's error.
    pub async fn delete<K: Object>(&self, namespace: Option<&str>, name: &str) -> Result<Removal, Error>
    where
        K::DynamicType: Default,
    {
        let resource = ApiResource::erase::<K>(&K::DynamicType::default());
        self.delete_dynamic(&resource, namespace, name).await
    }

    /// As [`Applier::delete`], for a kind known at run time only.
    ///
    /// # Errors
    /// As [`Applier::delete`].
    pub async fn delete_dynamic(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Removal, Error> {
        let api = self.api_of(resource, namespace);
        let action = format!("delete {}", manifest::object_name(&resource.kind, namespace, name));
        let found = api.get_metadata_opt(name).await;
        let Some(found) = found.map_err(|source| Error::of(action.clone(), source))? else {
            return Ok(Removal::Gone);
        };
        if let Ownership::Label { key, value } = &*self.ownership
            && found.labels().get(key) != Some(value)
        {
            let live = serde_json::to_value(&found);
            let live = live.map_err(|source| Error::Encode { action: action.clone(), source })?;
            let owner = manifest::owner_of(&live);
            return Err(Error::OwnedByAnother { action, owner, label: format!("{key}={value}") });
        }
        self.delete_found(&api, action, &found.metadata).await
    }

    /// Deletes all objects of ours that match `selector` (further labels) and for which `keep` says
    /// no; returns their names. Ours means label and field manager both: a label alone can be copied.
    ///
    /// # Errors
    /// The first error of a list or delete; what was deleted before stays deleted.
    pub async fn prune<K: Object>(
        &self,
        namespace: Option<&str>,
        selector: &BTreeMap<String, String>,
        keep: impl Fn(&ObjectMeta) -> bool + Send,
    ) -> Result<Vec<String>, Error>
    where
        K::DynamicType: Default,
    {
        let resource = ApiResource::erase::<K>(&K::DynamicType::default());
        self.prune_dynamic(&resource, namespace, selector, keep).await
    }

    /// As [`Applier::prune`], for a kind known at run time only.
    ///
    /// # Errors
    /// As [`Applier::prune`].
    pub async fn prune_dynamic(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        selector: &BTreeMap<String, String>,
        keep: impl Fn(&ObjectMeta) -> bool + Send,
    ) -> Result<Vec<String>, Error> {
        let mut params = ListParams::default().labels(&self.selector(selector)).limit(PAGE);
        let mut pruned = Vec::new();
        loop {
            let list = self.api_of(resource, namespace).list_metadata(&params).await;
            let list = list.map_err(|source| Error::of(format!("list {}", resource.plural), source))?;
            for found in &list.items {
                if !self.manages(&found.metadata) || keep(&found.metadata) {
                    continue;
                }
                let namespace = found.namespace();
                let name = found.name_any();
                let object = manifest::object_name(&resource.kind, namespace.as_deref(), &name);
                let api = self.api_of(resource, namespace.as_deref());
                self.delete_found(&api, format!("delete {object}"), &found.metadata).await?;
                pruned.push(name);
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(pruned),
            }
        }
    }

    /// Deletes the very object that was found, not one that took its name since.
    async fn delete_found(
        &self,
        api: &Api<DynamicObject>,
        action: String,
        found: &ObjectMeta,
    ) -> Result<Removal, Error> {
        if found.deletion_timestamp.is_some() {
            return Ok(Removal::Deleting);
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: found.uid.clone(), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let name = found.name.as_deref().unwrap_or_default();
        match api.delete(name, &params).await.map_err(|source| Error::of(action, source)) {
            Ok(answer) if answer.is_left() => Ok(Removal::Deleting),
            Ok(_) => Ok(Removal::Gone),
            Err(error) if error.is_not_found() => Ok(Removal::Gone),
            Err(error) => Err(error),
        }
    }

    fn manages(&self, meta: &ObjectMeta) -> bool {
        let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
        managers.into_iter().any(|manager| manager == &*self.manager)
    }

    fn selector(&self, further: &BTreeMap<String, String>) -> String {
        let mut terms: Vec<_> = further.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if let Ownership::Label { key, value } = &*self.ownership {
            terms.push(format!("{key}={value}"));
        }
        terms.join(",")
    }
}
