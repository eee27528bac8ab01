//! Who makes NetworkPolicy true: a name that the operator gives, or what each node says of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use mlp_crds::Team;
use mlp_model::labels::SIMULATED_NODE;
use mlp_reconcile::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::notes::Network;

/// The value of `--network-policy-enforcer` that leaves the answer to the nodes.
const NODES: &str = "nodes";
/// The condition by which a node says that policies hold on it.
const ENFORCED: &str = "NetworkPolicyEnforced";
/// How often nodes are asked. A node that joins is unknown for so long.
const INTERVAL: Duration = Duration::from_secs(30);
/// A word older than this, in seconds, is none: who said it may be gone.
const STALE: i64 = 120;
/// Nodes that are asked, at most; those beyond are taken to be like these.
const MOST: u32 = 500;

/// What is known of it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Enforcer(Arc<Mutex<Network>>);

impl Enforcer {
    /// As the operator says: the name of the cluster's network, [`NODES`], or nothing.
    pub fn named(maybe_name: Option<&str>) -> Self {
        let network = match maybe_name {
            None => Network::Unknown,
            Some(NODES) => Network::default(),
            Some(name) => Network::By(name.to_owned()),
        };
        Self(Arc::new(Mutex::new(network)))
    }

    /// As it is known now.
    pub fn network(&self) -> Network {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the nodes again and again, and has every team looked at when the answer changes, until `stop`.
    /// Without nodes to ask it only waits.
    pub async fn follow(&self, client: &Client, teams: &Handle<Team>, stop: CancellationToken) {
        if !matches!(self.network(), Network::Nodes { .. }) {
            return stop.cancelled().await;
        }
        let mut ticks = tokio::time::interval(INTERVAL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match ask(client).await {
                Ok(network) if network != self.network() => {
                    *self.0.lock().unwrap_or_else(PoisonError::into_inner) = network;
                    for team in teams.store().state() {
                        teams.wake(mlp_reconcile::ObjectRef::from_obj(&*team));
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "nodes were not asked whether they enforce NetworkPolicy")
                }
            }
        }
    }
}

async fn ask(client: &Client) -> Result<Network, kube::Error> {
    let real = ListParams::default().labels(&format!("!{SIMULATED_NODE}")).limit(MOST);
    let nodes = Api::<Node>::all(client.clone()).list(&real).await?.items;
    let oldest = Timestamp::now().as_second() - STALE;
    let says_so = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.clone().any(|condition| {
            let heard = condition.last_heartbeat_time.as_ref().map_or(i64::MIN, |time| time.0.as_second());
            condition.type_ == ENFORCED && condition.status == "True" && heard > oldest
        })
    };
    let open = nodes.iter().filter(|node| !says_so(node)).map(ResourceExt::name_any).collect();
    Ok(Network::Nodes { real: nodes.len(), open })
}
