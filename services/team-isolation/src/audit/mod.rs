//! The API server's audit log: who was refused what. The source is an adapter: here a file, as the API
//! server or a log shipper writes it; each line is one `audit.k8s.io/v1` Event.
//!
//! Reading begins at the end of the file: what was refused before this process began is in the teams'
//! statuses already, or past caring.

mod event;
mod file;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use event::Refused;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Reads `path` until `stop`, and hands on what was refused. A file that is not there yet, or cannot be
/// read, is tried again.
pub async fn follow(path: PathBuf, stop: CancellationToken, mut refused: impl FnMut(Refused)) {
    let mut tail = file::Tail::at_end(path);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match tail.lines().await {
            Ok(lines) => lines.iter().filter_map(|line| event::refused(line)).for_each(&mut refused),
            Err(error) => {
                tracing::warn!(path = %tail.path().display(), %error, "the audit log cannot be read")
            }
        }
    }
}
