//! The calls of a plan: stage after stage, and within a stage at the same time.
//!
//! Every write of an existing object is fenced by its uid; the namespace is made by a create, which
//! fails where an apply would take over what somebody else made in the meantime.

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use mlp_model::labels;
use mlp_reconcile::Error as CallError;
use mlp_reconcile::controller::Object as Kubernetes;
use serde_json::{Value, json};

use super::TeamReconciler;
use super::observe::team_of;
use crate::domain::SERVICE;
use crate::domain::model::DeclaredTeam;
use crate::domain::objects::{Key, Kind, Object};
use crate::domain::plan::{Action, Observed, Plan, Stage, Step};
use crate::error::Error;

/// Calls of one team at the same time: all of a stage, for a team of a few namespaces.
const CONCURRENT_CALLS: usize = 12;

impl TeamReconciler {
    /// Makes the calls of a plan. Rights wait until the quota of their namespace is in force.
    pub(super) async fn carry_out(
        &self,
        team: &DeclaredTeam,
        plan: &Plan,
        observed: &Observed,
    ) -> Result<(), Error> {
        for stage in [Stage::CutRights, Stage::Namespaces, Stage::Base, Stage::Rights, Stage::Sweep] {
            let steps = plan.stage(stage);
            let due =
                steps.filter(|step| stage != Stage::Rights || !plan.waits.contains(&step.key().namespace));
            let calls = due.map(|step| self.carry_out_step(team.name.as_str(), step, observed));
            let mut calls = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_CALLS);
            let mut first_error = None;
            // All calls of the stage are made, so that one refused object does not hold up the rest.
            while let Some(done) = calls.next().await {
                first_error = first_error.or(done.err());
            }
            if let Some(error) = first_error {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn carry_out_step(&self, team: &str, step: &Step, observed: &Observed) -> Result<(), Error> {
        let key = step.key();
        let live = observed.live.get(&key);
        match &step.action {
            Action::Create(Object::Namespace(namespace)) => {
                let params = PostParams { field_manager: Some(SERVICE.to_owned()), ..PostParams::default() };
                let created = Api::<Namespace>::all(self.client.clone()).create(&params, namespace).await;
                let created =
                    created.map_err(|source| match CallError::of(format!("create {key}"), source) {
                        error if error.is_conflict() => Error::NamespaceAppeared(key.name.clone()),
                        error => error.into(),
                    })?;
                self.made.add(team, created.metadata.uid.clone().unwrap_or_default());
                self.caches.recent.wrote(team, key, serde_json::to_value(created).unwrap_or_default());
            }
            Action::Create(object) | Action::Apply(object) => {
                let written = self.apply(object, live).await?;
                self.caches.recent.wrote(team, key, written);
            }
            Action::Delete(target) => {
                self.delete(target, live).await?;
                self.caches.recent.deleted(team, key, live);
            }
        }
        Ok(())
    }

    async fn apply(&self, object: &Object, live: Option<&Value>) -> Result<Value, CallError> {
        let key = object.key();
        match object {
            Object::Namespace(desired) => write(&Api::all(self.client.clone()), &key, desired, live).await,
            Object::ServiceAccount(desired) => write(&self.api(object), &key, desired, live).await,
            Object::ResourceQuota(desired) => write(&self.api(object), &key, desired, live).await,
            Object::LimitRange(desired) => write(&self.api(object), &key, desired, live).await,
            Object::ConfigMap(desired) => write(&self.api(object), &key, desired, live).await,
            Object::Secret(desired) => write(&self.api(object), &key, desired, live).await,
            Object::NetworkPolicy(desired) => write(&self.api(object), &key, desired, live).await,
            Object::RoleBinding(desired) => {
                let api = self.api(object);
                match write(&api, &key, desired, live).await {
                    // The role that a binding names never changes: the binding is made anew.
                    Err(CallError::Refused { code: 422, .. }) => {
                        self.delete(&key, None).await?;
                        write(&api, &key, desired, None).await
                    }
                    written => written,
                }
            }
        }
    }

    fn api<K>(&self, object: &Object) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &object.key().namespace)
    }

    /// Deletes an object of ours; one that is gone counts as done.
    async fn delete(&self, key: &Key, live: Option<&Value>) -> Result<(), CallError> {
        use k8s_openapi::api::{core::v1 as core, networking::v1 as networking, rbac::v1 as rbac};
        match key.kind {
            // Namespaces go with what they hold, in `remove`.
            Kind::Namespace => Ok(()),
            Kind::ServiceAccount => self.drop_object::<core::ServiceAccount>(key, live).await,
            Kind::ResourceQuota => self.drop_object::<core::ResourceQuota>(key, live).await,
            Kind::LimitRange => self.drop_object::<core::LimitRange>(key, live).await,
            Kind::ConfigMap => self.drop_object::<core::ConfigMap>(key, live).await,
            Kind::Secret => self.drop_object::<core::Secret>(key, live).await,
            Kind::NetworkPolicy => self.drop_object::<networking::NetworkPolicy>(key, live).await,
            Kind::Role => self.drop_object::<rbac::Role>(key, live).await,
            Kind::RoleBinding => self.drop_object::<rbac::RoleBinding>(key, live).await,
        }
    }

    async fn drop_object<K>(&self, key: &Key, live: Option<&Value>) -> Result<(), CallError>
    where
        K: Kubernetes + Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let uid =
            live.and_then(|live| live.pointer("/metadata/uid")).and_then(Value::as_str).map(str::to_owned);
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let api = Api::<K>::namespaced(self.client.clone(), &key.namespace);
        match api
            .delete(&key.name, &params)
            .await
            .map_err(|source| CallError::of(format!("delete {key}"), source))
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Makes an object that is not there, or applies it. A create costs the API server a fraction of an
/// apply, and a new team is nothing but creates.
async fn write<K: Kubernetes>(
    api: &Api<K>,
    key: &Key,
    desired: &K,
    live: Option<&Value>,
) -> Result<Value, CallError> {
    if live.is_none() {
        let params = PostParams { field_manager: Some(SERVICE.to_owned()), ..PostParams::default() };
        let action = || format!("create {key}");
        match api.create(&params, desired).await.map_err(|source| CallError::of(action(), source)) {
            // A copy never takes the place of what the team has of the same name.
            Err(error) if error.is_conflict() && (!is_copy(key) || is_ours(api, key).await?) => {}
            Err(error) => return Err(error),
            Ok(created) => {
                return serde_json::to_value(created)
                    .map_err(|source| CallError::Encode { action: action(), source });
            }
        }
    }
    let moved = own_by_apply(api, key).await?;
    let seen = live.and_then(|live| live.pointer("/metadata/resourceVersion")).and_then(Value::as_str);
    // What was seen of the object has not changed by our own taking over of its fields.
    let version = match (moved, seen) {
        (Some((before, after)), Some(seen)) if before == seen => Some(after),
        (_, seen) => seen.map(str::to_owned),
    };
    send(api, key, desired, live, version).await
}

const fn is_copy(key: &Key) -> bool {
    matches!(key.kind, Kind::ConfigMap | Kind::Secret)
}

async fn is_ours<K: Kubernetes>(api: &Api<K>, key: &Key) -> Result<bool, CallError> {
    let found = api.get_metadata_opt(&key.name).await;
    let found = found.map_err(|source| CallError::of(format!("look at {key}"), source))?;
    Ok(found.is_some_and(|live| team_of(&live).is_some()))
}

/// Makes what a create stated a matter of apply. A create is noted as an Update of its manager, and
/// what an Update states no apply can take back (KEP-555). Costs a write once, and gives the object's
/// version before and after it.
async fn own_by_apply<K: Kubernetes>(api: &Api<K>, key: &Key) -> Result<Option<(String, String)>, CallError> {
    let action = || format!("take over the fields of {key}");
    let found = api.get_metadata_opt(&key.name).await.map_err(|source| CallError::of(action(), source))?;
    let Some(live) = found else { return Ok(None) };
    let mut entries = live.metadata.managed_fields.unwrap_or_default();
    let ours = |entry: &ManagedFieldsEntry, operation: &str| {
        entry.manager.as_deref() == Some(SERVICE) && entry.operation.as_deref() == Some(operation)
    };
    if entries.iter().any(|entry| ours(entry, "Apply")) {
        return Ok(None);
    }
    let Some(created) = entries.iter_mut().find(|entry| ours(entry, "Update")) else { return Ok(None) };
    created.operation = Some("Apply".to_owned());
    let metadata = json!({"resourceVersion": live.metadata.resource_version, "managedFields": entries});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let patched = api.patch_metadata(&key.name, &PatchParams::default(), &patch).await;
    let patched = patched.map_err(|source| CallError::of(action(), source))?;
    Ok(live.metadata.resource_version.zip(patched.metadata.resource_version))
}

/// Applies one object; `live` fences against one that was deleted and made again.
async fn send<K: Kubernetes>(
    api: &Api<K>,
    key: &Key,
    desired: &K,
    live: Option<&Value>,
    version: Option<String>,
) -> Result<Value, CallError> {
    let action = || format!("apply {key}");
    let encode = |source| CallError::Encode { action: action(), source };
    let mut body = serde_json::to_value(desired).map_err(encode)?;
    let uid = live.and_then(|live| live.pointer("/metadata/uid"));
    if let (Some(uid), Some(metadata)) = (uid, body.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.insert("uid".to_owned(), uid.clone());
        // Headroom moves between quotas by what was seen of each: a quota that has changed since, even
        // only in its use, is looked at again.
        if let (Kind::ResourceQuota, Some(version)) = (key.kind, version) {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
        // A namespace that is adopted is taken as it was offered: an offer that changed meanwhile is looked at again.
        let labelled = live.and_then(|live| live.pointer("/metadata/labels")?.get(labels::TEAM));
        let seen = live.and_then(|live| live.pointer("/metadata/resourceVersion"));
        if let (Kind::Namespace, None, Some(version)) = (key.kind, labelled, seen) {
            metadata.insert("resourceVersion".to_owned(), version.clone());
        }
    }
    let written = api.patch(&key.name, &PatchParams::apply(SERVICE).force(), &Patch::Apply(&body)).await;
    let written = written.map_err(|source| CallError::of(action(), source))?;
    serde_json::to_value(written).map_err(encode)
}
