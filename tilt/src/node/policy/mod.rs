//! The agent that makes NetworkPolicy true on the real node, as a CNI plugin with policy does elsewhere.
//!
//! In: pods of the node, namespaces and policies, by watch. Out: one table of nftables in the node's own
//! network namespace, replaced as a whole whenever it would differ, and a condition of the node that says
//! so. It ends with the node; the rules hold as long as the node's namespaces, whether it runs or not.

mod rules;

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{StreamExt as _, future, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::NodeError;
use rules::Cluster;

/// Name of the agent: its process and its log.
pub(super) const AGENT: &str = "network-agent";
/// Where the agent says that the rules are in force, in the node's own `/run`.
pub(super) const READY: &str = "/run/mlp-node/network-agent";
/// Its user in the cluster, and the role of that user.
pub(super) const USER: &str = "mlp:network-agent";
/// The condition of the node that says who makes policies true; its heartbeat is renewed while they are.
const ENFORCED: &str = "NetworkPolicyEnforced";
/// Changes within this time are one.
const SETTLE: Duration = Duration::from_millis(25);
/// After how long what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it says that what the API holds is in force; whoever has not heard for longer takes it as not so.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// What the kernel may take for a table.
const APPLY_LIMIT: Duration = Duration::from_secs(10);
/// How much of what nft says is shown.
const SAID: usize = 400;

/// Keeps the rules of the network namespace that it runs in as the API says; `pods` is the node's pod
/// network in CIDR notation; [`READY`] is written once the rules are in force. Ends on an error only.
///
/// # Errors
/// The kubeconfig cannot be used, or a watch ended for good.
pub async fn run(kubeconfig: &Path, node: &str, pods: &str) -> Result<Infallible, NodeError> {
    let client = crate::kubeconfig::client(kubeconfig).await;
    let client = client.map_err(|error| failed(format!("{}: {error}", kubeconfig.display())))?;
    let here = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let (on_node, pod_news) = follow(Api::<Pod>::all(client.clone()), here);
    let all = watcher::Config::default;
    let (namespaces, namespace_news) = follow(Api::<Namespace>::all(client.clone()), all());
    let (policies, policy_news) = follow(Api::<NetworkPolicy>::all(client.clone()), all());
    let mut news = stream::select_all([pod_news, namespace_news, policy_news]);
    let mut in_force = String::new();
    let mut said: Option<Instant> = None;
    loop {
        // What failed is tried again, whether there is news or not.
        let heard = tokio::time::timeout(AGAIN, news.next()).await;
        if matches!(heard, Ok(None)) {
            return Err(failed("a watch ended"));
        }
        tokio::time::sleep(SETTLE).await;
        while future::poll_immediate(news.next()).await.flatten().is_some() {}
        if !(is_ready(&on_node) && is_ready(&namespaces) && is_ready(&policies)) {
            continue;
        }
        let script = rules::script(&cluster(&on_node, &namespaces, &policies), pods);
        let mut is_in_force = script == in_force;
        if !is_in_force {
            let mut command = Command::new("nft");
            command.args(["-f", "-"]);
            match feed(command, &script).await {
                Ok(()) => {
                    (in_force, is_in_force) = (script, true);
                    std::fs::write(READY, "").map_err(|source| NodeError::io("write", READY, source))?;
                }
                Err(error) => eprintln!("{error}"),
            }
        }
        let due = said.is_none_or(|last| last.elapsed() >= HEARTBEAT);
        if due && is_in_force {
            // A node that kubelet has not registered yet has no status.
            match say_so(&client, node, said.is_none()).await {
                Ok(()) => said = Some(Instant::now()),
                Err(error) => eprintln!("{error}"),
            }
        }
    }
}

/// The rules before anything is known of the cluster: no pod has traffic.
pub(super) fn closed(pods: &str) -> String {
    rules::script(&Cluster::default(), pods)
}

/// Runs a command with a text as its input.
pub(super) async fn feed(mut command: Command, script: &str) -> Result<(), NodeError> {
    let work = async {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(script.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let ended = tokio::time::timeout(APPLY_LIMIT, work).await.map_err(|_| failed("nft does not end"))?;
    let output = ended.map_err(|error| failed(format!("nft: {error}; install the package nftables")))?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).chars().take(SAID).collect();
    Err(failed(format!("nft does not take the rules: {said}")))
}

/// What the agent may: read what decides, and say on its node that it does.
pub(super) fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": USER},
        "rules": [
            {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
        ],
    })
}

/// Gives the role to the user.
pub(super) fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    })
}

fn failed(what: impl Into<String>) -> NodeError {
    NodeError::Policy { what: what.into() }
}

/// What the watch knows, and a word whenever it knows something else.
fn follow<K>(api: Api<K>, config: watcher::Config) -> (Store<K>, BoxStream<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(api, config).default_backoff().modify(|object| object.managed_fields_mut().clear());
    let news = events.reflect(writer).map(|event| {
        if let Err(error) = event {
            eprintln!("watch of {}: {error}", K::plural(&()));
        }
    });
    (store, news.boxed())
}

fn is_ready<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let ready = std::pin::pin!(store.wait_until_ready());
    future::FutureExt::now_or_never(ready).is_some()
}

fn cluster(pods: &Store<Pod>, namespaces: &Store<Namespace>, policies: &Store<NetworkPolicy>) -> Cluster {
    let mut policies: Vec<_> = policies.state().iter().map(|policy| (**policy).clone()).collect();
    policies.sort_by_key(|policy| (policy.namespace(), policy.name_any()));
    let mut pods: Vec<_> = pods.state().iter().filter_map(|pod| seen(pod)).collect();
    pods.sort_by_key(|pod| pod.address);
    let namespaces = namespaces.state();
    let labels = namespaces.iter().map(|namespace| (namespace.name_any(), namespace.labels().clone()));
    Cluster { pods, namespaces: labels.collect(), policies }
}

/// A pod as the rules see it; none without an address of its own, and none that has ended: its address may
/// be another's by now.
fn seen(pod: &Pod) -> Option<rules::Pod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if ended || spec.host_network == Some(true) {
        return None;
    }
    let declared = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports = declared.filter_map(|port| {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        Some(((port.name.clone()?, protocol), u16::try_from(port.container_port).ok()?))
    });
    Some(rules::Pod {
        namespace: pod.namespace().unwrap_or_default(),
        labels: pod.labels().clone(),
        address: status.pod_ip.as_ref()?.parse().ok()?,
        ports: ports.collect(),
    })
}

/// Says on the node that policies hold there.
async fn say_so(client: &Client, node: &str, first: bool) -> Result<(), NodeError> {
    let now = Timestamp::now().to_string();
    let mut condition = json!({
        "type": ENFORCED, "status": "True", "reason": "RulesInForce",
        "message": "the platform's network agent turns NetworkPolicy into packet rules of this node",
        "lastHeartbeatTime": now,
    });
    if let (true, Some(fields)) = (first, condition.as_object_mut()) {
        fields.insert("lastTransitionTime".to_owned(), now.into());
    }
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let patched = Api::<Node>::all(client.clone()).patch_status(node, &PatchParams::default(), &patch).await;
    patched.map(drop).map_err(|error| NodeError::api(format!("patch the status of node {node}"), error))
}
