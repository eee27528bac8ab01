//! One real node: kubelet, containerd, kube-proxy and CoreDNS on this machine (Linux, root).
//!
//! In: a [`Plane`] that was started with real nodes. Out: a node of the cluster on which pods run,
//! with Services, DNS, logs, exec, volumes and the images of [`images`].
//!
//! The node lives in namespaces of its own ([`sandbox`], `init.sh`): its network, mounts, processes
//! and host name are not those of the machine, several platforms run side by side, and ending one
//! process ends it all. A link ([`link`]) makes pods and Services reachable from this machine.
//! Read in this order: [`machine`] (what must be installed), [`sandbox`], [`link`], [`runtime`] (the
//! processes), [`config`] (their files), [`policy`] (NetworkPolicy), [`dns`], [`stop`].

mod cgroup;
mod command;
mod config;
mod dns;
mod error;
pub mod images;
mod link;
mod machine;
pub mod policy;
mod runtime;
mod sandbox;
mod site;
mod stop;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams};
use tokio::time::Instant;

pub use error::NodeError;
pub use machine::{Finding, can_run, doctor, ensure_packages};

use crate::layout::Layout;
use crate::network::Network;
use crate::plane::Plane;
use crate::pools::POOL;
use crate::ports::Ports;
use crate::process::{self, ProcessError, Watchdog};
use crate::progress::Progress;
use crate::toolchain::{Toolchain, pins};
use site::{INSIDE, SANDBOX, Site};

/// Name of the node in the cluster.
pub const NAME: &str = "real-general-0";

/// The node is ready, and DNS answers, within this time each.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// How often a condition of the node is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What a person chooses about the node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Labels of the node, on top of what kubelet sets. kubelet may set those of other domains than
    /// `kubernetes.io`, and a few of that.
    pub labels: BTreeMap<String, String>,
    /// Whether pods reach what this machine reaches: five iptables rules and forwarding, both taken
    /// back by [`RealNode::stop`].
    pub egress: bool,
    /// What makes NetworkPolicy true on the node; without it policies are words.
    pub agent: Option<NetworkAgent>,
    /// Let the node go on when this process ends.
    pub detach: bool,
}

/// A program that calls [`policy::run`].
#[derive(Clone, Debug)]
pub struct NetworkAgent {
    /// The program.
    pub program: PathBuf,
    /// Its first words; `--kubeconfig`, `--node` and `--pods` are added.
    pub arguments: Vec<String>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        let labels = [
            (POOL, "general"),
            ("node.kubernetes.io/instance-type", "m5.large"),
            ("topology.kubernetes.io/region", "local"),
            ("topology.kubernetes.io/zone", "local-a"),
            ("eks.amazonaws.com/capacityType", "ON_DEMAND"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { labels: BTreeMap::from(labels), egress: true, agent: None, detach: false }
    }
}

/// A real node that runs.
#[derive(Debug)]
pub struct RealNode {
    site: Site,
    /// Ends the node when this process ends; none for a detached node.
    _watchdog: Option<Watchdog>,
}

impl RealNode {
    /// Installs, builds and starts what is missing, and waits until the node is ready and cluster
    /// DNS answers. Starting a node that runs changes nothing.
    ///
    /// # Errors
    /// This machine cannot have a real node, or the first thing that went wrong.
    pub async fn start(
        plane: &Plane,
        toolchain: &Toolchain,
        options: NodeOptions,
        progress: &Progress,
    ) -> Result<Self, NodeError> {
        let layout = plane.layout();
        ensure_packages(layout, progress).await?;
        let kubelet = toolchain.find_or_build(&pins::KUBELET, progress).await?;
        let kube_proxy = toolchain.find_or_build(&pins::KUBE_PROXY, progress).await?;
        let coredns = toolchain.find_or_build(&pins::COREDNS, progress).await?;
        let images = images::ensure(layout, &coredns, progress).await?;
        let site = Site { layout: layout.clone(), network: *plane.network(), name: NAME.into() };
        let api_port =
            Ports::load(layout).ok().and_then(|ports| ports.get("kube-apiserver")).unwrap_or_default();

        let (sandbox, watchdog) =
            progress.step("starting the real node's namespaces", namespaces(&site, &options)).await?;
        progress.step("starting containerd", runtime::containerd(&site, sandbox, &images)).await?;
        let client = plane.client();
        if let Some(agent) = &options.agent {
            rights(&client).await?;
            let started = runtime::network_agent(&site, sandbox, agent, api_port);
            progress.step("starting the network agent", started).await?;
        }
        let begun = Timestamp::now();
        let programs = [kubelet.as_path(), kube_proxy.as_path()];
        let agents = runtime::agents(&site, sandbox, programs, &options.labels, api_port);
        let fresh = progress.step("starting kubelet and kube-proxy", agents).await?;
        let since = if fresh { begun } else { Timestamp::UNIX_EPOCH };
        progress.step("real node ready", ready(&client, &site, since)).await?;
        progress.step("cluster DNS ready", name_service(&client, &site)).await?;
        Ok(Self { site, _watchdog: watchdog })
    }

    /// The node that another process started; `None` when none runs.
    #[must_use]
    pub fn attach(layout: &Layout) -> Option<Self> {
        let site = stop::site(layout)?;
        site.attach(SANDBOX)?;
        Some(Self { site, _watchdog: None })
    }

    /// Stops the node of this layout and clears what a crash may have left; harmless when there is
    /// nothing. Containers get ten seconds to end. Data, images and volumes stay.
    ///
    /// # Errors
    /// Something survived, by its name.
    pub async fn stop(layout: &Layout, progress: &Progress) -> Result<(), NodeError> {
        stop::stop(layout, progress).await
    }

    /// Removes the node from a cluster that shall have none any more, so that its pods move.
    ///
    /// # Errors
    /// The API refused.
    pub async fn forget(client: &Client) -> Result<(), NodeError> {
        match Api::<Node>::all(client.clone()).delete(NAME, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(|_| ()).map_err(|error| NodeError::api(format!("delete node {NAME}"), error)),
        }
    }

    /// Its addresses.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.site.network
    }

    /// What the kernel's objects of this platform are called: link, control group, packet rules.
    #[must_use]
    pub fn kernel_name(&self) -> String {
        self.site.kernel_name()
    }

    /// Whether every process of the node runs, by name. A node without an agent does not miss it.
    #[must_use]
    pub fn processes(&self) -> Vec<(&'static str, bool)> {
        let has_agent = self.site.record(policy::AGENT).is_file();
        let names = [SANDBOX].into_iter().chain(INSIDE).filter(|name| *name != policy::AGENT || has_agent);
        names.map(|name| (name, self.site.attach(name).is_some())).collect()
    }

    /// Resident memory of everything that runs on the node, containers included, in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let Some(sandbox) = self.site.attach(SANDBOX) else { return 0 };
        stop::members(&self.site, sandbox.identity().pid).into_iter().map(resident).sum()
    }

    /// Bounds the logs of the running processes; call it now and then from a process that stays.
    pub fn trim_logs(&self) {
        for name in [SANDBOX].into_iter().chain(INSIDE) {
            if let Err(error) = process::trim(&self.site.layout.log(name)) {
                tracing::warn!(process = name, %error, "log was not trimmed");
            }
        }
    }
}

/// The namespaces with their control group, link and way out.
async fn namespaces(site: &Site, options: &NodeOptions) -> Result<(i32, Option<Watchdog>), NodeError> {
    if site.attach(SANDBOX).is_none() {
        // What a crash left would be in the way.
        stop::clear(site).await?;
    }
    let (process, _) = sandbox::enter(site).await?;
    let failed = |source| ProcessError::Spawn { name: "sh".into(), source };
    let watchdog = if options.detach { None } else { Some(Watchdog::start().map_err(failed)?) };
    if let Some(watchdog) = &watchdog {
        watchdog.guard(process.identity()).map_err(failed)?;
    }
    let pid = process.identity().pid;
    cgroup::create(&site.kernel_name())?;
    link::connect(site, pid).await?;
    if options.egress {
        link::open_egress(site).await?
    } else {
        link::close_egress(site).await?
    }
    Ok((pid, watchdog))
}

/// Waits until kubelet has said since then that the node is ready.
async fn ready(client: &Client, site: &Site, since: Timestamp) -> Result<(), NodeError> {
    let nodes: Api<Node> = Api::all(client.clone());
    until("the real node's readiness", site, "kubelet", async || {
        let node =
            nodes.get_opt(&site.name).await.map_err(|error| NodeError::api("read the real node", error))?;
        let conditions =
            node.and_then(|node| node.status).and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|condition| {
            let heard = condition.last_heartbeat_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
            condition.type_ == "Ready" && condition.status == "True" && heard.as_second() >= since.as_second()
        }))
    })
    .await
}

/// The network agent's rights in the cluster.
async fn rights(client: &Client) -> Result<(), NodeError> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    dns::apply_one(&roles, policy::USER, policy::role()).await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    dns::apply_one(&bindings, policy::USER, policy::binding()).await
}

/// Applies CoreDNS and waits until it answers.
async fn name_service(client: &Client, site: &Site) -> Result<(), NodeError> {
    dns::apply(client, site).await?;
    until("an answer of cluster DNS", site, "kubelet", async || {
        Ok(dns::answers(site.network.dns_service()).await)
    })
    .await
}

async fn until(
    what: &'static str,
    site: &Site,
    process: &str,
    condition: impl AsyncFn() -> Result<bool, NodeError>,
) -> Result<(), NodeError> {
    let deadline = Instant::now() + READY_LIMIT;
    while !condition().await? {
        if Instant::now() >= deadline {
            let see = site.layout.log(process).display().to_string();
            return Err(NodeError::Timeout { what, limit: READY_LIMIT, see });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}
