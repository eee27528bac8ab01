//! kwok: keeps the simulated nodes alive and moves their pods through their phases.
//!
//! It manages nodes that carry our label and no others, so that a real node is never faked.

use std::time::Duration;

use mlp_model::labels::SIMULATED_NODE;

use super::PlaneError;
use super::component::{Component, Invocation, Probe, Site};
use super::controllers::identity;
use crate::toolchain::pins;

/// The phases of simulated nodes and pods; kwok 0.8 has none of its own.
const STAGES: &str = include_str!("stages.yaml");

/// User name of kwok; `cluster` gives it its rights.
pub(super) const USER: &str = "mlp:kwok";

pub(super) const KWOK: Component = Component {
    tool: pins::KWOK,
    ports: &["kwok"],
    probe: Probe::Page("kwok", "/healthz"),
    ready_limit: Duration::from_secs(60),
    stop_grace: Duration::from_secs(5),
    invocation,
};

fn invocation(site: &Site) -> Result<Invocation, PlaneError> {
    let stages = site.write_config("kwok.yaml", STAGES)?;
    let kubeconfig = site.layout.kubeconfig("kwok");
    identity(site, "kwok", USER, &kubeconfig)?;
    let arguments = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", stages.display()),
        "--manage-all-nodes=false".into(),
        format!("--manage-nodes-with-label-selector={SIMULATED_NODE}=true"),
        format!("--server-address=127.0.0.1:{}", site.port("kwok")?),
        format!("--cidr={}", site.network.simulated_pods()),
        "--node-ip=192.0.2.1".into(),
        "--node-port=0".into(),
        "--v=WARN".into(),
        "--node-lease-duration-seconds=40".into(),
    ];
    Ok(Invocation::new(arguments).with_file(STAGES))
}
