//! Builds what is measured, in the profile of this benchmark.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::{Error, rig};

/// Builds a package's binary and says where it is.
pub(crate) async fn build(package: &str) -> Result<PathBuf, Error> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(rig::layout()?.root()).args(["build", "--quiet", "-p", package]).kill_on_drop(true);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("see `cargo build`");
        return Err(format!("{package} does not build: {first}").into());
    }
    let here = std::env::current_exe()?;
    let folder = here.parent().map(Path::to_path_buf).unwrap_or_default();
    Some(folder.join(package))
        .filter(|path| path.is_file())
        .ok_or_else(|| format!("{package} has no binary").into())
}
