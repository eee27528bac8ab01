//! The way out that can be undone: with the rights cut, work is stopped and data stays.
//!
//! What a workload was is written on the workload, in the same patch that stops it: a kill at any
//! instant loses nothing, and undoing needs no memory of ours.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use mlp_model::labels;
use mlp_reconcile::Error as CallError;
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
                for object in list(&self.client, namespace, workload).await? {
                    if let Some(patch) = offboarding::stop(workload, &value(&object)) {
                        change(&self.client, namespace, workload, &object, &patch).await?;
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
                for object in list(&self.client, namespace, workload).await? {
                    if let Some(patch) = offboarding::resume(workload, &value(&object)) {
                        change(&self.client, namespace, workload, &object, &patch).await?;
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
        let ours = format!("{}!={SERVICE}", labels::MANAGED_BY);
        let api = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default().labels(&ours)).await;
        let listed = listed
            .map_err(|source| CallError::of(format!("list the RoleBindings of {namespace}"), source))?;
        for binding in listed {
            let Some(mut patch) = patch(&serde_json::to_value(&binding).unwrap_or_default()) else {
                continue;
            };
            if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), json!(binding.resource_version()));
            }
            let name = binding.name_any();
            let params = PatchParams { field_manager: Some(SERVICE.to_owned()), ..PatchParams::default() };
            let patched = api.patch(&name, &params, &Patch::Merge(&patch)).await;
            patched
                .map_err(|source| CallError::of(format!("change RoleBinding {namespace}/{name}"), source))?;
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

fn value(object: &DynamicObject) -> Value {
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

/// All objects of a kind, page by page.
async fn list(client: &Client, namespace: &str, workload: &Workload) -> Result<Vec<DynamicObject>, Error> {
    let api = api(client, namespace, workload);
    let action = || format!("list the {} of {namespace}", workload.plural);
    let mut all = Vec::new();
    let mut page = ListParams::default().limit(BATCH);
    loop {
        let listed = api.list(&page).await.map_err(|source| CallError::of(action(), source))?;
        all.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(BATCH).continue_token(&token),
            None => return Ok(all),
        }
    }
}

async fn change(
    client: &Client,
    namespace: &str,
    workload: &Workload,
    object: &DynamicObject,
    patch: &Value,
) -> Result<(), Error> {
    let name = object.name_any();
    let mut patch = patch.clone();
    // Fenced: what is written on it is what was seen.
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(object.resource_version()));
    }
    let params = PatchParams { field_manager: Some(SERVICE.to_owned()), ..PatchParams::default() };
    let patched = api(client, namespace, workload).patch(&name, &params, &Patch::Merge(&patch)).await;
    match patched {
        Ok(_) => Ok(()),
        Err(source) => {
            let error = CallError::of(format!("stop or resume {} {namespace}/{name}", workload.kind), source);
            if error.is_not_found() { Ok(()) } else { Err(error.into()) }
        }
    }
}
