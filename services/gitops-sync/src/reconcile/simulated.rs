//! Whether an Application's pods run on nodes that execute nothing: such pods are Ready and serve
//! nobody, and that must show.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, Client};
use mlp_model::labels;
use tokio::sync::Mutex;

use super::ApplicationReconciler;
use super::render::Desired;
use crate::error::Error;

/// Pods counted per workload.
const PODS: u32 = 500;
/// How long an answer about nodes counts.
const FRESH: Duration = Duration::from_secs(10);

/// Names of nodes that execute nothing, asked for at most once in a while.
#[derive(Default)]
pub(super) struct Nodes(Mutex<Option<(Instant, Arc<HashSet<String>>)>>);

impl Nodes {
    async fn simulated(&self, client: &Client) -> Result<Arc<HashSet<String>>, Error> {
        let mut known = self.0.lock().await;
        if let Some((_, names)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(names));
        }
        let simulated = ListParams::default().labels(&format!("{}=true", labels::SIMULATED_NODE));
        let nodes = Api::<Node>::all(client.clone()).list_metadata(&simulated).await;
        let nodes = nodes.map_err(|source| Error::call("list simulated nodes", source))?;
        let names: Arc<HashSet<String>> =
            Arc::new(nodes.items.into_iter().filter_map(|node| node.metadata.name).collect());
        *known = Some((Instant::now(), Arc::clone(&names)));
        Ok(names)
    }
}

impl ApplicationReconciler {
    /// How many pods of the wanted workloads are on simulated nodes, and of how many; none where the
    /// Application has no workload. `scales`: whether others may say how many pods there are.
    pub(super) async fn simulated(
        &self,
        desired: &[Desired],
        scales: bool,
    ) -> Result<Option<(usize, usize)>, Error> {
        let is_empty =
            |one: &Desired| !scales && one.object.pointer("/spec/replicas").is_some_and(|it| it == 0);
        let has_workloads = desired.iter().any(|one| selected(one).is_some());
        let workloads: Vec<(&str, String)> =
            desired.iter().filter(|one| !is_empty(one)).filter_map(selected).collect();
        if workloads.is_empty() {
            return Ok(has_workloads.then_some((0, 0)));
        }
        let nodes = self.nodes.simulated(&self.client).await?;
        if nodes.is_empty() {
            return Ok(Some((0, 0)));
        }
        let (mut some, mut all) = (0_usize, 0_usize);
        for (namespace, selector) in workloads {
            let params = ListParams::default().labels(&selector).limit(PODS);
            let pods = Api::<Pod>::namespaced(self.client.clone(), namespace).list(&params).await;
            let pods = pods.map_err(|source| Error::call(format!("list pods in {namespace}"), source))?;
            let placed = pods.items.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_ref());
            for node in placed {
                all += 1;
                some += usize::from(nodes.contains(node));
            }
        }
        Ok(Some((some, all)))
    }
}

/// Namespace and label selector of a workload's pods.
fn selected(desired: &Desired) -> Option<(&str, String)> {
    let workload = matches!(
        (desired.id.group.as_str(), desired.id.kind.as_str()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job")
    );
    if !workload {
        return None;
    }
    let namespace = desired.id.namespace.as_str();
    if desired.id.kind == "Job" {
        return Some((namespace, format!("batch.kubernetes.io/job-name={}", desired.id.name)));
    }
    let selector: LabelSelector =
        serde_json::from_value(desired.object.pointer("/spec/selector")?.clone()).ok()?;
    let labels = selector.match_labels.unwrap_or_default();
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (!pairs.is_empty()).then(|| (namespace, pairs.join(",")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::identity::ObjectId;
    use crate::domain::object_options::ObjectOptions;

    fn desired(object: Value) -> Desired {
        let id = ObjectId::of(&object).unwrap();
        Desired { id, options: ObjectOptions::default(), kind: None, object, file: String::new(), line: 1 }
    }

    #[test]
    fn pods_are_found_by_the_workloads_selector() {
        let deployment = desired(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "ml-team"},
            "spec": {"selector": {"matchLabels": {"app": "web", "tier": "a"}}}}));
        assert_eq!(selected(&deployment), Some(("ml-team", "app=web,tier=a".to_owned())));
        let job = desired(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"}}),
        );
        assert_eq!(selected(&job), Some(("n", "batch.kubernetes.io/job-name=j".to_owned())));
        let map = desired(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}));
        assert_eq!(selected(&map), None);
    }
}
