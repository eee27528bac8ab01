//! Processes of ours: start with a bounded log, wait until ready, find again, stop in order.
//!
//! In: a [`Spec`]. Out: a [`Process`], recorded under `.mlp/state/run` with its start time, so
//! that another `mlp` finds it, and so that a record left by a crash never kills a stranger.

mod log;
pub mod probe;
mod record;
mod watchdog;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mlp_model::{Class, Classified};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub use log::{LOG_LIMIT, tail, trim};
pub use record::Identity;
pub use watchdog::Watchdog;

use crate::layout::{LayoutError, create_private_dir, write_private};

/// How often a condition on a process is looked at.
const POLL: Duration = Duration::from_millis(25);

/// How long a killed process may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Why a process is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started at all.
    #[error("cannot start {name}")]
    Spawn {
        /// Name of the process.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended while it was waited for.
    #[error("{name} ended while starting; its log ({}) says:\n{tail}", log.display())]
    Ended {
        /// Name of the process.
        name: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It did not become ready.
    #[error("{name} was not ready within {} s; its log ({}) says:\n{tail}", limit.as_secs(), log.display())]
    NotReady {
        /// Name of the process.
        name: String,
        /// What it was given.
        limit: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It survived SIGKILL, which only the kernel can explain.
    #[error("{name} (pid {pid}) does not end; look at it with `ps {pid}`")]
    Immortal {
        /// Name of the process.
        name: String,
        /// Its process id.
        pid: i32,
    },
    /// A file of the state folder failed.
    #[error("the record of a process cannot be kept")]
    Layout {
        /// Why.
        #[from]
        source: LayoutError,
    },
}

impl Classified for ProcessError {
    fn class(&self) -> Class {
        match self {
            Self::NotReady { .. } => Class::Transient,
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Spawn { .. } => "ProcessNotStarted",
            Self::Ended { .. } => "ProcessEnded",
            Self::NotReady { .. } => "ProcessNotReady",
            Self::Immortal { .. } => "ProcessImmortal",
            Self::Layout { source } => source.reason(),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name, for people, log and record.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables on top of the parent's environment.
    pub environment: BTreeMap<String, String>,
    /// File that gets standard output and error; rotated at start, trimmed by [`trim`].
    pub log: PathBuf,
    /// File that remembers the process; none for processes that nobody else must find.
    pub record: Option<PathBuf>,
}

impl Spec {
    /// What tells two runs of the same configuration from two different ones.
    #[must_use]
    pub fn digest(&self) -> String {
        // PATH is that of whoever calls, who may call from another shell.
        let environment: Vec<_> = self.environment.iter().filter(|(name, _)| *name != "PATH").collect();
        let text = format!("{:?} {:?} {environment:?}", self.program, self.arguments);
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the record file of a process holds.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    identity: Identity,
    #[serde(default)]
    digest: String,
}

/// A process that was started here or found by its record.
#[derive(Debug)]
pub struct Process {
    name: String,
    identity: Identity,
    digest: String,
    log: PathBuf,
    record: Option<PathBuf>,
    child: Option<Child>,
}

impl Process {
    /// Starts a process in a group of its own, with standard input closed.
    ///
    /// # Errors
    /// The binary cannot be run, or log or record cannot be written.
    pub fn spawn(spec: &Spec) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Spawn { name: spec.name.clone(), source };
        if let Some(folder) = spec.log.parent() {
            create_private_dir(folder)?;
        }
        let log = log::open(&spec.log).map_err(failed)?;
        let mut child = Command::new(&spec.program)
            .args(&spec.arguments)
            .envs(&spec.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pid = i32::try_from(child.id()).map_err(|error| failed(std::io::Error::other(error)))?;
        let Some(identity) = Identity::of(pid) else {
            let _ = child.wait();
            return Err(ended(&spec.name, &spec.log));
        };
        let digest = spec.digest();
        let process = Self {
            name: spec.name.clone(),
            identity,
            digest: digest.clone(),
            log: spec.log.clone(),
            record: spec.record.clone(),
            child: Some(child),
        };
        if let Some(record) = &spec.record {
            let text = serde_json::to_vec(&Record { identity, digest }).unwrap_or_default();
            if let Err(error) = write_private(record, &text) {
                identity.signal(Signal::SIGKILL);
                return Err(error.into());
            }
        }
        Ok(process)
    }

    /// Finds a running process by its record. `None` when there is no record or the process that
    /// it names is gone, even if its id lives on in another.
    #[must_use]
    pub fn attach(name: &str, record: &Path, log: &Path) -> Option<Self> {
        let Record { identity, digest } = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
        identity.is_alive().then(|| Self {
            name: name.into(),
            identity,
            digest,
            log: log.into(),
            record: Some(record.into()),
            child: None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id and start time.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it was started as `spec` says, so that starting it again would change nothing.
    #[must_use]
    pub fn runs_as(&self, spec: &Spec) -> bool {
        self.digest == spec.digest()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            // Collects the child, so that its remains do not look like a process.
            let _ = child.try_wait();
        }
        self.identity.is_alive()
    }

    /// Sends a signal to it and its group; says whether it still ran.
    pub fn signal(&mut self, signal: Signal) -> bool {
        self.is_alive() && self.identity.signal(signal)
    }

    /// Waits until `probe` says yes.
    ///
    /// # Errors
    /// It ended, or the limit passed; both with the end of its log.
    pub async fn ready<F>(
        &mut self,
        limit: Duration,
        mut probe: impl FnMut() -> F,
    ) -> Result<(), ProcessError>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + limit;
        loop {
            if !self.is_alive() {
                return Err(ended(&self.name, &self.log));
            }
            if tokio::time::timeout_at(deadline, probe()).await.unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (name, log) = (self.name.clone(), self.log.clone());
                return Err(ProcessError::NotReady { name, limit, tail: tail(&log, 15), log });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end (SIGTERM), ends it after `grace` (SIGKILL), and forgets its record.
    ///
    /// # Errors
    /// It survived even SIGKILL.
    pub async fn stop(&mut self, grace: Duration) -> Result<(), ProcessError> {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
        if !self.gone_within(grace).await {
            self.signal(Signal::SIGKILL);
            if !self.gone_within(KILL_LIMIT).await {
                return Err(ProcessError::Immortal { name: self.name.clone(), pid: self.identity.pid });
            }
        }
        if let Some(record) = &self.record {
            let _ = fs::remove_file(record);
        }
        Ok(())
    }

    /// Ends it at once and collects it; for drops, which cannot wait for a runtime.
    pub fn kill_now(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }

    async fn gone_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// Ends every process whose record lies in `folder`, whatever its other files say: the last resort for
/// a platform whose state is damaged.
///
/// # Errors
/// A process survived even SIGKILL.
pub async fn stop_recorded(folder: &Path, grace: Duration) -> Result<(), ProcessError> {
    let records = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    for record in records.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let name = record.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(mut process) = Process::attach(&name, &record, Path::new("/dev/null")) {
            process.stop(grace).await?;
        }
    }
    Ok(())
}

fn ended(name: &str, log: &Path) -> ProcessError {
    ProcessError::Ended { name: name.into(), log: log.into(), tail: tail(log, 15) }
}

#[cfg(test)]
mod tests;
