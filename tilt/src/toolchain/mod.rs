//! Finding the pinned tools, or building them once.
//!
//! In: a [`Tool`] of [`pins`]. Out: the path of a binary. Order: `--assets`, `KUBEBUILDER_ASSETS`,
//! `PATH` (pinned version only), the cache; else `go build` from `tilt/toolchain/<folder>/go.mod`.

mod build;
mod error;
mod lookup;
pub mod pins;

use std::path::PathBuf;

pub use build::OLDEST_GO;
pub use error::ToolchainError;
pub use lookup::{Found, Places};
pub use pins::Tool;

use crate::layout::Layout;
use crate::progress::Progress;

/// Knows where tools are and how to build them.
#[derive(Clone, Debug)]
pub struct Toolchain {
    places: Places,
    modules: PathBuf,
}

impl Toolchain {
    /// The toolchain of a checkout. `assets` is a folder of binaries that a person prefers.
    #[must_use]
    pub fn new(layout: &Layout, assets: Option<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = Places {
            assets,
            kubebuilder_assets: std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from),
            path: std::env::split_paths(&path).collect(),
            cache: layout.tools(),
        };
        Self::with_places(places, layout.toolchain_modules())
    }

    /// A toolchain that looks only at `places` and builds from the Go modules under `modules`.
    #[must_use]
    pub const fn with_places(places: Places, modules: PathBuf) -> Self {
        Self { places, modules }
    }

    /// Where the tool is, if it is anywhere; builds nothing.
    #[must_use]
    pub fn find(&self, tool: &Tool) -> Option<Found> {
        self.places.find(tool)
    }

    /// The tool's binary, built first when it is nowhere.
    ///
    /// # Errors
    /// Go is missing or too old, or the build failed; each says what to do.
    pub async fn find_or_build(&self, tool: &Tool, progress: &Progress) -> Result<PathBuf, ToolchainError> {
        if let Some(found) = self.find(tool) {
            return Ok(found.path().to_owned());
        }
        let target = self.places.cached(tool);
        let go = self.places.go();
        build::build(tool, go.as_deref(), &self.modules, &target, progress).await?;
        Ok(target)
    }

    /// The Go that builds what is missing, as `go version` prints it, for `mlp doctor`.
    ///
    /// # Errors
    /// It is missing, broken or too old; each with its remedy.
    pub async fn go(&self) -> Result<String, ToolchainError> {
        build::check_go(&self.places.go().ok_or(ToolchainError::GoMissing)?).await
    }

    /// Every pinned tool with the place where it was found, for `mlp doctor`.
    #[must_use]
    pub fn inventory(&self) -> Vec<(Tool, Option<Found>)> {
        pins::TOOLS.iter().map(|tool| (*tool, self.find(tool))).collect()
    }
}

#[cfg(test)]
mod tests;
