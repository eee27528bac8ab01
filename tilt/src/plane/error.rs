//! Why the plane does not run.

use mlp_model::{Class, Classified};

use crate::cluster::ClusterError;
use crate::layout::LayoutError;
use crate::pki::PkiError;
use crate::ports::PortError;
use crate::process::ProcessError;
use crate::toolchain::ToolchainError;

/// Why the plane does not run.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// A tool is missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The state folder cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A port cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Keys cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A process did not start or end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The cluster could not be prepared.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The admin's kubeconfig cannot be used.
    #[error("the administrator's kubeconfig cannot be used; run `cargo mlp down` and `cargo mlp up`")]
    Client {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A component asked for a port that nobody assigned.
    #[error("no port was assigned for {purpose}")]
    PortUnknown {
        /// What for.
        purpose: &'static str,
    },
    /// Another process starts or stops the same platform.
    #[error("another mlp starts or stops this platform; wait until it has ended")]
    Busy,
    /// There is nothing to attach to.
    #[error("no control plane runs here; start it with `cargo mlp up`")]
    NotUp,
}

impl Classified for PlaneError {
    fn class(&self) -> Class {
        match self {
            Self::Toolchain(error) => error.class(),
            Self::Layout(error) => error.class(),
            Self::Port(error) => error.class(),
            Self::Pki(error) => error.class(),
            Self::Process(error) => error.class(),
            Self::Cluster(error) => error.class(),
            Self::Client { .. } | Self::PortUnknown { .. } | Self::NotUp => Class::Terminal,
            Self::Busy => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Toolchain(error) => error.reason(),
            Self::Layout(error) => error.reason(),
            Self::Port(error) => error.reason(),
            Self::Pki(error) => error.reason(),
            Self::Process(error) => error.reason(),
            Self::Cluster(error) => error.reason(),
            Self::Client { .. } => "KubeconfigUnusable",
            Self::PortUnknown { .. } => "PortUnknown",
            Self::Busy => "PlaneBusy",
            Self::NotUp => "PlaneNotUp",
        }
    }
}
