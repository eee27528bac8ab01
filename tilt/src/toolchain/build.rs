//! Building one tool from its pinned Go module, once, into the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::ToolchainError;
use super::pins::Tool;
use crate::progress::Progress;

/// The oldest Go that builds every pinned module.
pub const OLDEST_GO: (u32, u32) = (1, 26);

/// A build that takes longer than this is stuck (the slowest took five minutes on two cores).
const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);

/// How much of a failed build's output is kept in the error, in characters from the end.
const OUTPUT_KEPT: usize = 2_000;

/// Builds `tool` into `target` unless another process has done so meanwhile.
///
/// The lock file beside the target is held during the build; the binary appears by a rename, so
/// nobody ever runs half of one.
pub(super) async fn build(
    tool: &Tool,
    go: Option<&Path>,
    modules: &Path,
    target: &Path,
    progress: &Progress,
) -> Result<(), ToolchainError> {
    let folder = target.parent().unwrap_or(target);
    fs::create_dir_all(folder).map_err(|source| ToolchainError::Cache { path: folder.into(), source })?;
    let _lock = lock(folder, tool, progress).await?;
    if super::lookup::is_executable(target) {
        return Ok(());
    }
    let go = go.ok_or(ToolchainError::GoMissing)?;
    check_go(go).await?;
    let module_folder = modules.join(tool.folder);
    if !module_folder.join("go.mod").is_file() {
        return Err(ToolchainError::NoModule { tool: tool.name, path: module_folder });
    }
    let unfinished = folder.join(format!("{}.unfinished", tool.name));
    let step = format!(
        "building {} {} (about {} min the first time)",
        tool.name, tool.version, tool.cold_build_minutes
    );
    progress.step(step, go_build(go, tool, &module_folder, &unfinished)).await?;
    fs::rename(&unfinished, target).map_err(|source| ToolchainError::Cache { path: target.into(), source })
}

async fn go_build(go: &Path, tool: &Tool, module_folder: &Path, output: &Path) -> Result<(), ToolchainError> {
    let flags = format!("-s -w {}", tool.linker_flags);
    let mut command = Command::new(go);
    command
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(output)
        .arg(tool.package)
        .current_dir(module_folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let outcome = tokio::time::timeout(BUILD_LIMIT, command.output()).await;
    let result = outcome.map_err(|_| ToolchainError::BuildTimeout { tool: tool.name, limit: BUILD_LIMIT })?;
    let result = result.map_err(|source| ToolchainError::GoBroken { source })?;
    if result.status.success() {
        return Ok(());
    }
    Err(ToolchainError::BuildFailed { tool: tool.name, version: tool.version, output: tail(&result.stderr) })
}

/// What `go version` prints, when that Go is new enough.
pub(super) async fn check_go(go: &Path) -> Result<String, ToolchainError> {
    let output = Command::new(go).arg("version").stdin(Stdio::null()).output().await;
    let output = output.map_err(|source| ToolchainError::GoBroken { source })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_go_version(&text) {
        Some(version) if version >= OLDEST_GO => Ok(text),
        _ => Err(ToolchainError::GoTooOld { found: text }),
    }
}

/// `go version go1.26.8 linux/amd64` → (1, 26).
fn parse_go_version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor = word.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((1, minor.parse().ok()?))
}

async fn lock(folder: &Path, tool: &Tool, progress: &Progress) -> Result<File, ToolchainError> {
    let path: PathBuf = folder.join("lock");
    let broken = |source| ToolchainError::Cache { path: path.clone(), source };
    let file = File::create(&path).map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::Error(source)) => Err(broken(source)),
        Err(fs::TryLockError::WouldBlock) => {
            let step = format!("waiting for another process that builds {}", tool.name);
            let wait = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
            let locked =
                progress.step(step, wait).await.map_err(|error| broken(std::io::Error::other(error)))?;
            locked.map_err(broken)
        }
    }
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let skipped = text.chars().count().saturating_sub(OUTPUT_KEPT);
    text.trim().chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read() {
        assert_eq!(parse_go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(parse_go_version("go version go1.27rc1 linux/arm64"), Some((1, 27)));
        assert_eq!(parse_go_version("command not found"), None);
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let long = "x".repeat(OUTPUT_KEPT) + "end";
        assert_eq!(tail(long.as_bytes()).len(), OUTPUT_KEPT);
        assert!(tail(long.as_bytes()).ends_with("end"));
    }
}
