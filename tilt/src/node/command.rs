//! Commands of the system: run to their end, within a limit.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::NodeError;

/// What a quick command may take: `ip`, `iptables`, `ctr images ls`.
pub(super) const QUICK: Duration = Duration::from_secs(30);

/// How much of a failed command's output is kept, in characters from the end.
const OUTPUT_KEPT: usize = 1_000;

/// Runs a program and gives what it printed on standard output.
pub(super) async fn run<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    limit: Duration,
) -> Result<String, NodeError> {
    run_in(program, arguments, None, limit).await
}

/// The same in a folder.
pub(super) async fn run_in<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    folder: Option<&Path>,
    limit: Duration,
) -> Result<String, NodeError> {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command.stdin(Stdio::null()).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let failed = |output: String| {
        let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        NodeError::Command { command: format!("{program} {}", words.join(" ")), output }
    };
    match tokio::time::timeout(limit, command.output()).await {
        Err(_) => Err(failed(format!("no end within {} s", limit.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(Output { status, stdout, stderr })) if status.success() => {
            tracing::trace!(program, stderr = %String::from_utf8_lossy(&stderr), "command succeeded");
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        }
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            let text = text.trim();
            let skipped = text.chars().count().saturating_sub(OUTPUT_KEPT);
            Err(failed(text.chars().skip(skipped).collect()))
        }
    }
}
