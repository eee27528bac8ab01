//! What all harness processes share: the checkout, the toolchain, the watchdog.

use std::fs::{self, File};
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
pub async fn tool(tool: &Tool) -> Result<PathBuf, HarnessError> {
    Ok(Toolchain::new(&layout()?, None).find_or_build(tool, &Progress::stderr()).await?)
}

/// Ends `process` when this test process is killed.
pub(crate) fn guard(process: Identity) {
    static WATCHDOG: OnceLock<Option<Watchdog>> = OnceLock::new();
    if let Some(watchdog) = WATCHDOG.get_or_init(|| Watchdog::start().ok()) {
        let _ = watchdog.guard(process);
    }
}

/// Runs the pinned kubectl with a kubeconfig; gives what it printed.
///
/// # Errors
/// It cannot be had, or the API server refused; the message is kubectl's.
pub async fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String, HarnessError> {
    let program = tool(&mlp_tilt::toolchain::pins::KUBECTL).await?;
    let mut command = tokio::process::Command::new(&program);
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments).kill_on_drop(true);
    let output = command.output().await;
    let output = output.map_err(|source| HarnessError::Io { path: program.display().to_string(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(HarnessError::Kubectl(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A folder of the cache, locked against other test processes while it is filled.
pub(crate) fn cache(root: &Path, name: &str) -> Result<(PathBuf, File), HarnessError> {
    let folder = root.join(".mlp/cache").join(name);
    let locked = || {
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    let lock = locked().map_err(|source| HarnessError::Io { path: folder.display().to_string(), source })?;
    Ok((folder, lock))
}

/// Runs what prepares a program for a test; what it said, or the remedy, is the error.
pub(crate) async fn succeed(
    language: &'static str,
    mut command: tokio::process::Command,
    remedy: &str,
) -> Result<(), HarnessError> {
    let why = match command.output().await {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("{error}: {remedy}"),
    };
    Err(HarnessError::Example { language, why })
}
