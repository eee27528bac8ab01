//! What a person chooses about the plane.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::nats::Operator;
use crate::pools::{self, Pool};

/// Which nodes the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// Only simulated ones: a workload there runs nothing.
    Simulated,
    /// Only the real one.
    Real,
    /// Both; what names no pool prefers the real one.
    Both,
}

impl Nodes {
    /// Whether there are simulated nodes.
    #[must_use]
    pub const fn simulated(self) -> bool {
        matches!(self, Self::Simulated | Self::Both)
    }

    /// Whether there is a real node.
    #[must_use]
    pub const fn real(self) -> bool {
        matches!(self, Self::Real | Self::Both)
    }
}

/// Whether and how the broker runs.
#[derive(Clone, Debug)]
pub enum Broker {
    /// No broker.
    None,
    /// One account, `platform`, with a password that is made at first start.
    Password,
    /// Operator mode; let the resolver's folder be `layout.data("nats-accounts")`.
    Operator(Operator),
}

/// What a person chooses about the plane. [`Options::default`] is what tests of the Kubernetes
/// API want: simulated nodes, no broker, no telemetry, ended with the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder of binaries that a person prefers.
    pub assets: Option<PathBuf>,
    /// Which nodes the cluster has. The real one is started by `node`, not by the plane.
    pub nodes: Nodes,
    /// The pools of simulated nodes.
    pub pools: Vec<Pool>,
    /// The broker.
    pub broker: Broker,
    /// Whether Jaeger and Prometheus run.
    pub telemetry: bool,
    /// Files of Prometheus rules; patterns are allowed in the last part.
    pub prometheus_rules: Vec<PathBuf>,
    /// Whether etcd syncs each write to disk. Off only for benchmarks and tests.
    pub etcd_fsync: bool,
    /// Choose new ports instead of the remembered ones.
    pub fresh_ports: bool,
    /// Let the processes go on when this one ends.
    pub detach: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            assets: None,
            nodes: Nodes::Simulated,
            pools: pools::seed(),
            broker: Broker::None,
            telemetry: false,
            prometheus_rules: Vec::new(),
            etcd_fsync: true,
            fresh_ports: false,
            detach: false,
        }
    }
}

impl Options {
    /// The whole platform, as `mlp up` starts it.
    #[must_use]
    pub fn platform() -> Self {
        Self { broker: Broker::Password, telemetry: true, ..Self::default() }
    }
}
