//! The API server's audit log: who was refused what. The source is an adapter: a file, as the API server or a
//! log shipper writes it, or a log group of CloudWatch, where EKS puts it; each line is one `audit.k8s.io/v1`
//! Event.
//!
//! Reading begins at the end: what was refused before this process began is in the teams' statuses already, or
//! past caring.

mod cloudwatch;
mod event;
mod file;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use mlp_aws::Source;
use tokio_util::sync::CancellationToken;

pub use event::Refused;

/// Where the audit log is.
#[derive(Clone, Debug)]
pub enum AuditLog {
    /// A file on this machine.
    File(PathBuf),
    /// A log group of CloudWatch.
    CloudWatch {
        /// Its name: `/aws/eks/<cluster>/cluster`.
        group: String,
        /// Where AWS is called.
        source: Source,
    },
}

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_millis(500);
/// How often CloudWatch is asked; an account has a few such calls a second for all that read its logs.
const CLOUDWATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Reads the log until `stop`, and hands on what was refused. A log that is not there yet, or cannot be read, is
/// tried again.
pub async fn follow(log: AuditLog, stop: CancellationToken, mut refused: impl FnMut(Refused)) {
    let (mut reader, interval) = match log {
        AuditLog::File(path) => (Reader::File(file::Tail::at_end(path)), FILE_INTERVAL),
        AuditLog::CloudWatch { group, source } => {
            let group = cloudwatch::Group::from(group, source, Timestamp::now());
            (Reader::CloudWatch(Box::new(group)), CLOUDWATCH_INTERVAL)
        }
    };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let lines = tokio::select! {
            () = stop.cancelled() => return,
            lines = reader.lines() => lines,
        };
        lines.iter().filter_map(|line| event::refused(line)).for_each(&mut refused);
    }
}

enum Reader {
    File(file::Tail),
    CloudWatch(Box<cloudwatch::Group>),
}

impl Reader {
    /// What was added; a failure is told, and counts as nothing.
    async fn lines(&mut self) -> Vec<String> {
        let (name, read) = match self {
            Self::File(tail) => {
                let read = tail.lines().await.map_err(|error| error.to_string());
                (tail.path().display().to_string(), read)
            }
            Self::CloudWatch(group) => {
                let read = group.lines().await.map_err(|error| error.to_string());
                (group.name().to_owned(), read)
            }
        };
        read.unwrap_or_else(|error| {
            tracing::warn!(log = name, error, "the audit log cannot be read");
            Vec::new()
        })
    }
}
