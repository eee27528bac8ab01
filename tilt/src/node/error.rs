//! Why there is no real node, each with its remedy.

use std::time::Duration;

use mlp_model::{Class, Classified};

use crate::layout::LayoutError;
use crate::pki::PkiError;
use crate::process::ProcessError;
use crate::toolchain::ToolchainError;

/// Why there is no real node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// This machine cannot have one, or lacks something.
    #[error("{problem}: {remedy}, or run with --nodes simulated")]
    Unfit {
        /// What is missing.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A command of the system failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command with its arguments.
        command: String,
        /// The end of what it printed.
        output: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s; see {see}", limit.as_secs())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
        /// The log that tells more.
        see: String,
    },
    /// The API refused or did not answer.
    #[error("the Kubernetes API did not {action}")]
    Api {
        /// What was asked of it.
        action: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// Network policies cannot be made true.
    #[error("the network agent failed: {what}")]
    Policy {
        /// What failed.
        what: String,
    },
    /// An image recipe of ours cannot be read.
    #[error("the recipe of the image {name} is damaged")]
    Recipe {
        /// Which image.
        name: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file failed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A process did not start or end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Keys cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A tool is missing.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
}

impl NodeError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<std::path::PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Self::Layout(LayoutError::Io { action, path: path.into(), source })
    }

    pub(super) fn api(action: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { action: action.into(), source: Box::new(source) }
    }
}

impl Classified for NodeError {
    fn class(&self) -> Class {
        match self {
            Self::Timeout { .. } | Self::Api { .. } | Self::Policy { .. } => Class::Transient,
            Self::Layout(error) => error.class(),
            Self::Process(error) => error.class(),
            Self::Pki(error) => error.class(),
            Self::Toolchain(error) => error.class(),
            Self::Unfit { .. } | Self::Command { .. } | Self::Recipe { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unfit { .. } => "MachineUnfit",
            Self::Command { .. } => "CommandFailed",
            Self::Timeout { .. } => "NodeNotReady",
            Self::Api { .. } => "KubernetesRefused",
            Self::Policy { .. } => "NetworkAgentFailed",
            Self::Recipe { .. } => "ImageRecipeDamaged",
            Self::Layout(error) => error.reason(),
            Self::Process(error) => error.reason(),
            Self::Pki(error) => error.reason(),
            Self::Toolchain(error) => error.reason(),
        }
    }
}
