//! What all harness processes share: the checkout, the toolchain, the watchdog.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mlp_tilt::process::{Identity, Watchdog};
use mlp_tilt::toolchain::Tool;
use mlp_tilt::{Layout, Progress, Toolchain};

use crate::HarnessError;

/// The checkout that this crate was built in.
pub(crate) fn layout() -> Result<Layout, HarnessError> {
    Ok(Layout::discover(Path::new(env!("CARGO_MANIFEST_DIR")))?)
}

/// The binary of a pinned tool, built when it is nowhere.
pub(crate) async fn tool(tool: &Tool) -> Result<PathBuf, HarnessError> {
    Ok(Toolchain::new(&layout()?, None).find_or_build(tool, &Progress::stderr()).await?)
}

/// Ends `process` when this test process is killed.
pub(crate) fn guard(process: Identity) {
    static WATCHDOG: OnceLock<Option<Watchdog>> = OnceLock::new();
    if let Some(watchdog) = WATCHDOG.get_or_init(|| Watchdog::start().ok()) {
        let _ = watchdog.guard(process);
    }
}
