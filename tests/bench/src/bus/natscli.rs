//! `nats bench js pub sync`, the yardstick.

use std::path::{Path, PathBuf};

use mlp_tilt::toolchain::pins::NATS;
use mlp_tilt::{Progress, Toolchain};
use tokio::process::Command;

use super::{PAYLOAD, STREAM_BYTES};
use crate::{Error, rig};

/// The pinned `nats`, built when it is nowhere.
pub(super) async fn find() -> Result<PathBuf, Error> {
    Ok(Toolchain::new(&rig::layout()?, None).find_or_build(&NATS, &Progress::stderr()).await?)
}

/// Messages a second of all publishers together, each waiting for its acknowledgement.
pub(super) async fn publish_sync(
    tool: &Path,
    url: &str,
    publishers: usize,
    messages: usize,
) -> Result<f64, Error> {
    let mut command = Command::new(tool);
    command.args(["--server", url, "--no-context", "bench", "js", "pub", "sync", "bench.sync"]);
    command.args(["--create", "--purge", "--no-progress", "--storage=file", "--replicas=1"]);
    command.arg(format!("--maxbytes={STREAM_BYTES}B"));
    command.args([
        format!("--size={PAYLOAD}B"),
        format!("--msgs={messages}"),
        format!("--clients={publishers}"),
    ]);
    let output = command.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("nats bench failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    rate(&said).ok_or_else(|| format!("nats bench printed no rate: {said}").into())
}

/// The number before `msgs/sec` in the line about all publishers.
fn rate(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.contains("stats:"))?;
    let (_, rest) = line.split_once("stats:")?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_all_is_read() {
        let several = "  [1] 389 msgs/sec ~ 195 KiB/sec\n  [2] 385 msgs/sec ~ 193 KiB/sec\n\n \
            NATS JetStream synchronous publisher aggregated stats: 2,937 msgs/sec ~ 1.4 MiB/sec\n \
            message rates min 367 | avg 373 | max 389 | stddev 8 msgs\n";
        assert_eq!(rate(several), Some(2937.0));
        assert_eq!(
            rate("\nNATS JetStream synchronous publisher stats: 927 msgs/sec ~ 1.4 MiB/sec ~ min: 1us\n"),
            Some(927.0)
        );
        assert_eq!(rate("nats: error: no servers"), None);
    }
}
