//! The control plane as processes: start, find again, look at, stop.
//!
//! In: a [`Layout`] and [`Options`]. Out: a [`Plane`] whose API is ready, with nodes, a default
//! StorageClass and the platform's namespace. Starting a plane that runs changes nothing; its
//! state survives [`Plane::stop`].

mod apiserver;
mod broker;
mod component;
mod controllers;
mod error;
mod etcd;
mod kwok;
mod logs;
pub mod nats;
mod options;
mod start;
mod status;
mod telemetry;
pub mod volumes;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use kube::Client;
use mlp_model::Secret;
use serde::{Deserialize, Serialize};

pub use error::PlaneError;
pub use options::{Broker, Nodes, Options};
pub use status::{ComponentStatus, Endpoints};

use crate::kubeconfig::{self, Proof};
use crate::layout::{Layout, LayoutError, write_private};
use crate::network::Network;
use crate::pki::Authority;
use crate::ports::Ports;
use crate::process::Watchdog;
use crate::progress::Progress;
use component::Component;

/// User of the certificate by which the API server speaks to kubelets.
const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// What `attach` must know about how the plane was started. No secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shape {
    nodes: Nodes,
    broker: bool,
    telemetry: bool,
}

impl Shape {
    fn of(options: &Options) -> Self {
        Self {
            nodes: options.nodes,
            broker: !matches!(options.broker, Broker::None),
            telemetry: options.telemetry,
        }
    }

    /// The components in groups; a group starts when the one before is ready.
    fn groups(self) -> [Vec<Component>; 3] {
        let mut stores = vec![etcd::ETCD];
        if self.broker {
            stores.push(broker::NATS_SERVER);
        }
        if self.telemetry {
            stores.extend([telemetry::JAEGER, telemetry::PROMETHEUS]);
        }
        let mut controllers = vec![controllers::KUBE_CONTROLLER_MANAGER, controllers::KUBE_SCHEDULER];
        if self.nodes.simulated() {
            controllers.push(kwok::KWOK);
        }
        [stores, vec![apiserver::KUBE_APISERVER], controllers]
    }

    fn components(self) -> impl DoubleEndedIterator<Item = Component> {
        self.groups().into_iter().flatten()
    }
}

/// A control plane that runs.
pub struct Plane {
    layout: Layout,
    shape: Shape,
    ports: Ports,
    network: Network,
    client: Client,
    /// Ends what this process started when it ends; none for a detached plane.
    _watchdog: Option<Watchdog>,
}

impl Plane {
    /// Finds or builds the tools, starts what does not run yet, and waits until all is ready.
    ///
    /// # Errors
    /// The first thing that went wrong, with its remedy. What was started before goes on unless
    /// the plane is not detached.
    pub async fn start(layout: &Layout, options: Options, progress: &Progress) -> Result<Self, PlaneError> {
        start::start(layout, options, progress).await
    }

    /// The plane that another process started.
    ///
    /// # Errors
    /// None runs, or its state cannot be read.
    pub async fn attach(layout: &Layout) -> Result<Self, PlaneError> {
        if !layout.exists() {
            return Err(PlaneError::NotUp);
        }
        layout.open()?;
        let shape = load_shape(layout)?.ok_or(PlaneError::NotUp)?;
        apiserver::KUBE_APISERVER.attach(layout).ok_or(PlaneError::NotUp)?;
        Ok(Self {
            layout: layout.clone(),
            shape,
            ports: Ports::load(layout)?,
            network: Network::open(layout)?,
            client: admin_client(layout).await?,
            _watchdog: None,
        })
    }

    /// Stops every process of the layout's plane, in reverse order; harmless when none runs.
    /// State stays.
    ///
    /// # Errors
    /// A process survived even SIGKILL, or another `mlp` is at work.
    pub async fn stop(layout: &Layout, progress: &Progress) -> Result<(), PlaneError> {
        if !layout.exists() && !layout.run().is_dir() {
            return Ok(());
        }
        let _lock = lock(layout)?;
        let everything = Shape { nodes: Nodes::Both, broker: true, telemetry: true };
        logs::stop(layout).await?;
        let mut result = Ok(());
        for component in everything.components().rev() {
            let Some(mut process) = component.attach(layout) else { continue };
            let stopped =
                progress.step(format!("stopping {}", component.name()), process.stop(component.stop_grace));
            result = result.and(stopped.await);
        }
        Ok(result?)
    }

    /// Stops the plane and removes its state; the cache of tools stays.
    ///
    /// # Errors
    /// As [`Plane::stop`], or a file cannot be removed.
    pub async fn wipe(layout: &Layout, progress: &Progress) -> Result<(), PlaneError> {
        Self::stop(layout, progress).await?;
        Ok(layout.wipe()?)
    }

    /// The administrator's client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Another client of the administrator, bound to the runtime of the caller.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn new_client(&self) -> Result<Client, PlaneError> {
        admin_client(&self.layout).await
    }

    /// The folders.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The address ranges, for the real node.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Which nodes the cluster has.
    #[must_use]
    pub const fn nodes(&self) -> Nodes {
        self.shape.nodes
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig("admin")
    }

    /// User and password of the platform's account, for a broker that asks for a password.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn nats_login(&self) -> Result<(&'static str, Secret<String>), PlaneError> {
        Ok((broker::USER, broker::password(&self.layout)?))
    }

    /// Makes a service account `mlp-system/<name>` (bound to the cluster role, if one is named)
    /// and gives a kubeconfig that proves itself by its token; `layout.token(name)` is the token.
    ///
    /// # Errors
    /// The API refused, or a file cannot be written.
    pub async fn service_kubeconfig(&self, name: &str, role: Option<&str>) -> Result<PathBuf, PlaneError> {
        crate::cluster::account(&self.client, name, role).await?;
        let token = crate::cluster::token(&self.client, name).await?;
        let token_file = self.layout.token(name);
        write_private(&token_file, token.expose().as_bytes())?;
        let path = self.layout.kubeconfig(name);
        let authority = self.layout.pki().join("ca.crt");
        let server = self.endpoints().kubernetes;
        kubeconfig::write(&path, &server, &authority, name, Proof::TokenFile(&token_file))?;
        Ok(path)
    }

    /// Bounds every log of the platform; call it now and then from a process that stays. A
    /// detached plane has a shell that does it.
    pub fn trim_logs(&self) {
        logs::trim_all(&self.layout.logs());
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Plane")
            .field("state", &self.layout.state())
            .field("shape", &self.shape)
            .finish()
    }
}

fn load_shape(layout: &Layout) -> Result<Option<Shape>, LayoutError> {
    match fs::read(layout.state().join("plane.json")) {
        Ok(bytes) => {
            let shape = serde_json::from_slice(&bytes);
            shape.map(Some).map_err(|error| layout.corrupt(format!("plane.json: {error}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(layout.corrupt(format!("plane.json: {error}"))),
    }
}

/// Held while the plane is started or stopped.
fn lock(layout: &Layout) -> Result<File, PlaneError> {
    let path = layout.state().join("lock");
    let broken = |source| LayoutError::Io { action: "lock", path: path.clone(), source };
    let file = File::create(&path).map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PlaneError::Busy),
        Err(TryLockError::Error(source)) => Err(broken(source).into()),
    }
}

/// A client by the administrator's kubeconfig.
async fn admin_client(layout: &Layout) -> Result<Client, PlaneError> {
    kubeconfig::client(&layout.kubeconfig("admin")).await.map_err(|source| PlaneError::Client { source })
}

/// The authority that signs identities of the Kubernetes API.
const CLUSTER: Authority = Authority::Cluster;
