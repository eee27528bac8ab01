//! What is learned from one look at a pod, node, namespace or claim.
//!
//! Times come from the object where it knows them, so that looking again, later or twice, teaches the
//! same. `seen` stands in only where the object says nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Namespace, Node, PersistentVolumeClaim, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use mlp_model::labels;

use super::ledger::{Controller, NamespaceRecord, NodeRecord, NodeState, PodRecord, Tenancy};
use super::quantity::Amounts;
use super::time::Millis;

/// Labels that name a node's pool, in order of preference.
const POOLS: [&str; 4] =
    ["mlplatform.dev/node-pool", "eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool", "node-pool"];

/// What a pod says about its run, or none while it has not begun to run on a node.
pub fn pod(pod: &Pod, seen: Millis) -> Option<PodRecord> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref()?;
    let status = pod.status.as_ref()?;
    let phase = status.phase.as_deref().unwrap_or_default();
    let containers = || status.container_statuses.iter().flatten();
    // A pod that waits, for a node or for its image, costs nothing: nothing of it runs.
    let started = containers().filter_map(began).min().or_else(|| {
        let running = matches!(phase, "Running" | "Succeeded" | "Failed");
        running.then(|| status.start_time.as_ref().map_or(seen, millis))
    })?;
    let ended = matches!(phase, "Succeeded" | "Failed")
        .then(|| containers().filter_map(finished).max().unwrap_or(seen));
    let request = (meta.generation.unwrap_or(0), (started, request(spec)));
    Some(PodRecord {
        uid: meta.uid.clone()?,
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        node: spec.node_name.clone().filter(|name| !name.is_empty())?,
        controller: controller(meta),
        started,
        ended,
        requests: BTreeMap::from([request]),
    })
}

fn millis(time: &Time) -> Millis {
    time.0.as_millisecond()
}

fn began(status: &ContainerStatus) -> Option<Millis> {
    let of = |state: &ContainerState| {
        let running = state.running.as_ref().and_then(|it| it.started_at.as_ref());
        running.or(state.terminated.as_ref().and_then(|it| it.started_at.as_ref())).map(millis)
    };
    let now = status.state.as_ref().and_then(of);
    let before = status.last_state.as_ref().and_then(of);
    now.into_iter().chain(before).min()
}

fn finished(status: &ContainerStatus) -> Option<Millis> {
    status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(millis)
}

/// What the scheduler reserves for a pod: the containers together, or the largest of the init
/// containers where that is more, and the runtime's overhead.
fn request(spec: &k8s_openapi::api::core::v1::PodSpec) -> Amounts {
    let of = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        Amounts::read(requests.into_iter().flatten())
    };
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let inits = || spec.init_containers.iter().flatten();
    let sidecars = inits().filter(is_sidecar).map(of).fold(Amounts::default(), Amounts::plus);
    let running = spec.containers.iter().map(of).fold(sidecars, Amounts::plus);
    let largest =
        inits().filter(|container| !is_sidecar(container)).map(of).fold(Amounts::default(), Amounts::max);
    let overhead = Amounts::read(spec.overhead.iter().flatten());
    running.max(largest.plus(sidecars)).plus(overhead)
}

/// The controller of a pod; a ReplicaSet of a Deployment stands for the Deployment.
fn controller(meta: &ObjectMeta) -> Option<Controller> {
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    let hash = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    Some(match deployment {
        Some(name) => Controller { kind: "Deployment".into(), name: name.to_owned() },
        None => Controller { kind: owner.kind.clone(), name: owner.name.clone() },
    })
}

/// What a node says about its capacity.
pub fn node(node: &Node, seen: Millis) -> Option<NodeRecord> {
    let meta = &node.metadata;
    let status = node.status.as_ref()?;
    let labels = meta.labels.clone().unwrap_or_default();
    let pool = POOLS.iter().find_map(|key| labels.get(*key)).cloned().unwrap_or_else(|| "default".to_owned());
    let capacity = Amounts::read(status.capacity.iter().flatten());
    let allocatable = Amounts::read(status.allocatable.iter().flatten());
    let started = meta.creation_timestamp.as_ref().map_or(seen, millis);
    let state = NodeState { capacity, allocatable, labels };
    Some(NodeRecord {
        uid: meta.uid.clone()?,
        name: meta.name.clone()?,
        pool,
        started,
        ended: None,
        states: vec![(seen, state)],
    })
}

/// Whose a namespace is, by its labels.
pub fn namespace(namespace: &Namespace, seen: Millis, platform: &[&str]) -> Option<NamespaceRecord> {
    let meta = &namespace.metadata;
    let name = meta.name.clone()?;
    let label =
        |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key)).filter(|value| !value.is_empty());
    let cost_center = label(labels::COST_CENTER).cloned();
    let tenancy = match label(labels::TEAM) {
        Some(team) => {
            Tenancy::Team { cost_center: cost_center.unwrap_or_else(|| team.clone()), team: team.clone() }
        }
        None if platform.contains(&name.as_str()) || cost_center.as_deref() == Some("platform") => {
            Tenancy::Platform
        }
        None => Tenancy::Unallocated,
    };
    let started = meta.creation_timestamp.as_ref().map_or(seen, millis);
    Some(NamespaceRecord { uid: meta.uid.clone()?, name, started, states: vec![(seen, tenancy)] })
}

/// Namespace and uid of a claim that holds storage. Storage has no price yet, so
/// that a team's claims make its cost one that is too low, and says so.
pub fn claim(claim: &PersistentVolumeClaim) -> Option<(String, String)> {
    let bound = claim.status.as_ref()?.phase.as_deref() == Some("Bound");
    bound.then(|| Some((claim.metadata.namespace.clone()?, claim.metadata.uid.clone()?)))?
}

#[cfg(test)]
mod tests;
