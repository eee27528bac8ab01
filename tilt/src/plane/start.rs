//! Bringing the plane up, group by group.

use std::time::SystemTime;

use futures::future::try_join_all;
use kube::Client;

use super::component::{Component, Site};
use super::{CLUSTER, KUBELET_CLIENT, Plane, PlaneError, Shape, admin_client, kwok, lock, logs};
use crate::cluster;
use crate::kubeconfig::{self, Proof};
use crate::layout::{Layout, write_private};
use crate::network::Network;
use crate::pki::{Leaf, Pki};
use crate::ports::Ports;
use crate::process::{Process, Watchdog};
use crate::progress::Progress;
use crate::toolchain::Toolchain;

use super::Options;

pub(super) async fn start(
    layout: &Layout,
    options: Options,
    progress: &Progress,
) -> Result<Plane, PlaneError> {
    layout.open()?;
    let _lock = lock(layout)?;
    let shape = Shape::of(&options);
    let starter = Starter {
        toolchain: Toolchain::new(layout, options.assets.clone()),
        watchdog: watchdog(&options)?,
        progress,
    };
    for component in shape.components() {
        starter.toolchain.find_or_build(&component.tool, progress).await?;
    }
    let site = prepare(layout, options, shape)?;
    if site.options.detach {
        logs::keep(layout)?;
    }
    let client = admin_client(layout).await?;
    let [stores, server, controllers] = shape.groups();
    starter.group(&site, &stores, None).await?;
    starter.group(&site, &server, Some(&client)).await?;
    let nodes = site.options.nodes;
    let pools = if nodes.simulated() { site.options.pools.as_slice() } else { &[] };
    progress
        .step("preparing the cluster", async {
            cluster::before_controllers(&client, kwok::USER, KUBELET_CLIENT).await?;
            cluster::simulate_nodes(&client, pools, nodes.real()).await
        })
        .await?;
    starter.group(&site, &controllers, Some(&client)).await?;
    progress.step("waiting for the controllers", cluster::controllers_work(&client)).await?;
    let text = serde_json::to_vec(&shape).map_err(|error| layout.corrupt(error.to_string()))?;
    write_private(&layout.state().join("plane.json"), &text)?;
    Ok(Plane {
        layout: layout.clone(),
        shape,
        ports: site.ports,
        network: site.network,
        client,
        _watchdog: starter.watchdog,
    })
}

/// Ports, keys and the administrator's kubeconfig: everything that needs no process.
fn prepare(layout: &Layout, options: Options, shape: Shape) -> Result<Site, PlaneError> {
    let mut ports = if options.fresh_ports { Ports::default() } else { Ports::load(layout)? };
    let purposes: Vec<&str> = shape.components().flat_map(|component| component.ports).copied().collect();
    let running: Vec<&str> = shape
        .components()
        .filter(|component| component.attach(layout).is_some())
        .flat_map(|component| component.ports)
        .copied()
        .collect();
    ports.assign(layout, &purposes, |purpose| running.contains(&purpose))?;
    let pki = Pki::open(layout, SystemTime::now())?;
    let site = Site { layout: layout.clone(), options, ports, network: Network::open(layout)?, pki };
    let admin = site.pki.ensure(&Leaf::client("admin", "mlp-admin", &["system:masters"]))?;
    let server = format!("https://127.0.0.1:{}", site.port("kube-apiserver")?);
    let authority = site.pki.authority(CLUSTER).certificate;
    let path = layout.kubeconfig("admin");
    kubeconfig::write(&path, &server, &authority, "mlp-admin", Proof::Certificate(&admin))?;
    Ok(site)
}

fn watchdog(options: &Options) -> Result<Option<Watchdog>, PlaneError> {
    if options.detach {
        return Ok(None);
    }
    let watchdog = Watchdog::start();
    let failed = |source| crate::process::ProcessError::Spawn { name: "sh".into(), source };
    Ok(Some(watchdog.map_err(failed)?))
}

struct Starter<'a> {
    toolchain: Toolchain,
    watchdog: Option<Watchdog>,
    progress: &'a Progress,
}

impl Starter<'_> {
    /// Starts the components together and waits for all.
    async fn group(
        &self,
        site: &Site,
        components: &[Component],
        api: Option<&Client>,
    ) -> Result<(), PlaneError> {
        try_join_all(components.iter().map(|component| self.component(site, component, api)))
            .await
            .map(|_| ())
    }

    async fn component(
        &self,
        site: &Site,
        component: &Component,
        api: Option<&Client>,
    ) -> Result<(), PlaneError> {
        let program = self.toolchain.find_or_build(&component.tool, self.progress).await?;
        let spec = component.spec(site, program)?;
        let mut process = match component.attach(&site.layout) {
            Some(process) if process.runs_as(&spec) => process,
            changed => {
                if let Some(mut process) = changed {
                    process.stop(component.stop_grace).await?;
                }
                self.progress
                    .step(format!("starting {}", component.name()), async { Process::spawn(&spec) })
                    .await?
            }
        };
        if let Some(watchdog) = &self.watchdog {
            let failed = |source| crate::process::ProcessError::Spawn { name: "sh".into(), source };
            watchdog.guard(process.identity()).map_err(failed)?;
        }
        let ready = process.ready(component.ready_limit, || component.is_ready(&site.ports, api));
        Ok(self.progress.step(format!("{} ready", component.name()), ready).await?)
    }
}
