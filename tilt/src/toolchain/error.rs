//! Why a tool cannot be had, each with its remedy.

use std::path::PathBuf;
use std::time::Duration;

use mlp_model::{Class, Classified};

use super::build::OLDEST_GO;

/// Why a tool cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// There is no `go` to build with.
    #[error(
        "go is missing: install Go {}.{} or newer (https://go.dev/dl), or name a folder of binaries with --assets",
        OLDEST_GO.0,
        OLDEST_GO.1
    )]
    GoMissing,
    /// There is a `go`, but it does not run.
    #[error("go does not run: install Go {}.{} or newer again (https://go.dev/dl)", OLDEST_GO.0, OLDEST_GO.1)]
    GoBroken {
        /// What the system said.
        source: std::io::Error,
    },
    /// There is a `go`, but it cannot build the pinned modules.
    #[error("`{found}` is too old: install Go {}.{} or newer (https://go.dev/dl)", OLDEST_GO.0, OLDEST_GO.1)]
    GoTooOld {
        /// What `go version` printed.
        found: String,
    },
    /// The build ended with an error.
    #[error(
        "building {tool} {version} failed; check the network to the Go module proxy, then try again:\n{output}"
    )]
    BuildFailed {
        /// Name of the tool.
        tool: &'static str,
        /// Its pinned version.
        version: &'static str,
        /// The end of what `go build` printed.
        output: String,
    },
    /// The build did not end.
    #[error("building {tool} took longer than {} minutes; try again, downloads are kept", limit.as_secs() / 60)]
    BuildTimeout {
        /// Name of the tool.
        tool: &'static str,
        /// How long it was given.
        limit: Duration,
    },
    /// The Go module that pins the tool is not in this checkout.
    #[error("{} has no go.mod to build {tool} from; run inside a complete checkout", path.display())]
    NoModule {
        /// Name of the tool.
        tool: &'static str,
        /// The folder that should hold it.
        path: PathBuf,
    },
    /// The cache cannot be written.
    #[error("cannot write the tool cache at {}; check its owner and the free space", path.display())]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Classified for ToolchainError {
    fn class(&self) -> Class {
        match self {
            Self::BuildFailed { .. } | Self::BuildTimeout { .. } => Class::Transient,
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::GoMissing => "GoMissing",
            Self::GoBroken { .. } => "GoBroken",
            Self::GoTooOld { .. } => "GoTooOld",
            Self::BuildFailed { .. } => "ToolBuildFailed",
            Self::BuildTimeout { .. } => "ToolBuildTimeout",
            Self::NoModule { .. } => "ToolModuleMissing",
            Self::Cache { .. } => "ToolCacheUnwritable",
        }
    }
}
