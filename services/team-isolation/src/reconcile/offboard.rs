//! The way out that can be undone: with the rights cut, work is stopped and data stays.
//!
//! What a workload was is written on the workload, in the same patch that stops it: a kill at any
//! instant loses nothing, and undoing needs no memory of ours.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Resource, ResourceExt};
use mlp_model::labels;
use mlp_reconcile::{Error as CallError, pages};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TeamReconciler;
use crate::domain::SERVICE;
use crate::domain::offboarding::{self, Workload};
use crate::error::Error;

/// Objects that are listed at once.
const BATCH: u32 = 200;

impl TeamReconciler {
    /// Stops everything in these namespaces; returns how many pods are left.
    pub(super) async fn stop_work(&self, namespaces: &[String]) -> Result<usize, Error> {
        let mut left = 0;
        for namespace in namespaces {
            self.change_bindings(namespace, offboarding::cut).await?;
            for workload in &offboarding::WORKLOADS {
                let api = api(&self.client, namespace, workload);
                for object in
                    all(&api, ListParams::default(), &format!("the {} of {namespace}", workload.plural))
                        .await?
                {
                    if let Some(patch) = offboarding::stop(workload, &value(&object)) {
                        change(&api, &object, patch).await?;
                    }
                }
            }
            left += self.end_pods(namespace).await?;
        }
        Ok(left)
    }

    /// Lets everything go on that was stopped here.
    pub(super) async fn resume_work(&self, namespaces: &[String]) -> Result<(), Error> {
        for namespace in namespaces {
            self.change_bindings(namespace, offboarding::give_back).await?;
            for workload in &offboarding::WORKLOADS {
                let api = api(&self.client, namespace, workload);
                for object in
                    all(&api, ListParams::default(), &format!("the {} of {namespace}", workload.plural))
                        .await?
                {
                    if let Some(patch) = offboarding::resume(workload, &value(&object)) {
                        change(&api, &object, patch).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes the bindings that the team made itself; the platform's are in the plan.
    async fn change_bindings(
        &self,
        namespace: &str,
        patch: impl Fn(&Value) -> Option<Value>,
    ) -> Result<(), Error> {
        let api = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        let not_ours = ListParams::default().labels(&format!("{}!={SERVICE}", labels::MANAGED_BY));
        for binding in all(&api, not_ours, &format!("the RoleBindings of {namespace}")).await? {
            if let Some(patch) = patch(&value(&binding)) {
                change(&api, &binding, patch).await?;
            }
        }
        Ok(())
    }

    /// Ends pods that no controller will end; returns how many have not finished.
    async fn end_pods(&self, namespace: &str) -> Result<usize, Error> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let unfinished =
            ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed").limit(BATCH);
        let listed = pods.list(&unfinished).await;
        let listed =
            listed.map_err(|source| CallError::of(format!("list the pods of {namespace}"), source))?;
        for pod in &listed.items {
            if pod.metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
                && pod.metadata.deletion_timestamp.is_none()
            {
                let name = pod.name_any();
                let ended = pods.delete(&name, &DeleteParams::default()).await;
                let ended =
                    ended.map_err(|source| CallError::of(format!("end pod {namespace}/{name}"), source));
                if let Some(error) = ended.err().filter(|error| !error.is_not_found()) {
                    return Err(error.into());
                }
            }
        }
        Ok(listed.items.len())
    }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn api(client: &Client, namespace: &str, workload: &Workload) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(workload.group, "v1", workload.kind);
    Api::namespaced_with(
        client.clone(),
        namespace,
        &ApiResource::from_gvk_with_plural(&kind, workload.plural),
    )
}

/// All objects, page by page; `what` they are is for the error.
async fn all<K>(api: &Api<K>, wanted: ListParams, what: &str) -> Result<Vec<K>, CallError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let listed = pages(wanted.limit(BATCH), |page| async move { api.list(&page).await }, Some).await;
    listed.map_err(|source| CallError::of(format!("list {what}"), source))
}

/// Changes what was seen, and nothing newer; what has gone meanwhile needs no change.
async fn change<K>(api: &Api<K>, object: &K, mut patch: Value) -> Result<(), CallError>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    let name = object.name_any();
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(object.resource_version()));
    }
    let params = PatchParams { field_manager: Some(SERVICE.to_owned()), ..PatchParams::default() };
    let changed = api.patch(&name, &params, &Patch::Merge(&patch)).await;
    let action = || format!("stop or resume {}/{name}", api.resource_url());
    match changed.map_err(|source| CallError::of(action(), source)) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
