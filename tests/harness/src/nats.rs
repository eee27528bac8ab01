//! Real nats-server processes, one per test, each with its own port and store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mlp_tilt::plane::nats::{Access, Cluster, Config};
use mlp_tilt::ports::free_port;
use mlp_tilt::process::{Process, ProcessError, Spec, probe};
use mlp_tilt::toolchain::pins::NATS_SERVER;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{HarnessError, start, wait_until};

/// How long a server may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a server may take to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long a cluster may take to elect the leader of its metadata.
const ELECTION_LIMIT: Duration = Duration::from_secs(30);
/// How often another port is tried when somebody was faster.
const PORT_TRIES: usize = 5;

/// How long a SIGSTOP may be on its way.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Whether every thread of a process is stopped, by `/proc`.
fn is_stopped(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        // The state follows the name, which is in brackets and may hold anything.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// How a server differs from the usual one.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// Sync each write before the acknowledgement, as the platform does. On.
    pub sync_always: bool,
    /// Largest message, in bytes; the server's default when none.
    pub max_payload: Option<u32>,
    /// Bound of all streams together, in bytes.
    pub max_file_store: Option<u64>,
    /// Folder of the streams, for instance on a small file system; a temporary one when none.
    pub store: Option<PathBuf>,
    /// Who may connect. Everyone.
    pub access: Access,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self { sync_always: true, max_payload: None, max_file_store: None, store: None, access: Access::Open }
    }
}

/// A running (or stopped, or paused) server. Killed on drop.
#[derive(Debug)]
pub struct NatsServer {
    binary: PathBuf,
    folder: TempDir,
    config: Config,
    process: Mutex<Option<Process>>,
}

impl NatsServer {
    /// Starts a server and waits until JetStream answers.
    ///
    /// # Errors
    /// The tool is missing, or the server did not become ready; the message holds its log.
    pub async fn start(options: NatsOptions) -> Result<Self, HarnessError> {
        let binary = start::tool(&NATS_SERVER).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let server = Self::prepare(&binary, &options, "test", None)?;
            match server.restart().await {
                Err(error) if tries < PORT_TRIES && is_port_race(&error) => {}
                other => return other.map(|()| server),
            }
        }
    }

    fn prepare(
        binary: &Path,
        options: &NatsOptions,
        name: &str,
        cluster: Option<Cluster>,
    ) -> Result<Self, HarnessError> {
        let folder = TempDir::with_prefix("mlp-nats-").map_err(|source| io("a temporary folder", source))?;
        let config = Config {
            name: name.into(),
            host: "127.0.0.1".into(),
            port: free_port().ok_or(HarnessError::NoPort)?,
            monitor_port: Some(free_port().ok_or(HarnessError::NoPort)?),
            store: options.store.clone().unwrap_or_else(|| folder.path().join("store")),
            sync_always: options.sync_always,
            max_file_store: options.max_file_store,
            max_payload: options.max_payload,
            cluster,
            access: options.access.clone(),
        };
        Ok(Self { binary: binary.into(), folder, config, process: Mutex::new(None) })
    }

    /// The address for clients: `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.config.port)
    }

    /// Port of the monitoring pages (`/varz`, `/connz`, `/jsz`).
    #[must_use]
    pub fn monitor_port(&self) -> u16 {
        self.config.monitor_port.unwrap_or_default()
    }

    /// The process id, for measuring; `None` while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.lock().as_ref().map(|process| process.identity().pid)
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        mlp_tilt::process::tail(&self.log(), 60)
    }

    /// Ends the server gracefully. Port and store stay for [`NatsServer::restart`].
    ///
    /// # Errors
    /// It survived even SIGKILL.
    pub async fn stop(&self) -> Result<(), HarnessError> {
        let process = self.lock().take();
        if let Some(mut process) = process {
            process.stop(STOP_GRACE).await?;
        }
        Ok(())
    }

    /// Ends the server at once, as a crash does.
    pub fn kill(&self) {
        if let Some(mut process) = self.lock().take() {
            process.kill_now();
        }
    }

    /// Starts the server again, on the same port and store; one that still runs is stopped first.
    ///
    /// # Errors
    /// It did not become ready.
    pub async fn restart(&self) -> Result<(), HarnessError> {
        self.launch().await?;
        self.wait_ready("/healthz").await
    }

    /// Freezes the server: connections stay open, nobody answers. Returns once every thread has stopped:
    /// one that the signal has not reached yet would answer.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        let Some(pid) = self.pid() else { return };
        let deadline = std::time::Instant::now() + STOP_LIMIT;
        while !is_stopped(pid) && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a frozen server go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    async fn launch(&self) -> Result<(), HarnessError> {
        self.stop().await?;
        let file = self.folder.path().join("nats.conf");
        fs::write(&file, self.config.render()).map_err(|source| io(&file.display().to_string(), source))?;
        let spec = Spec {
            name: NATS_SERVER.name.into(),
            program: self.binary.clone(),
            arguments: vec!["--config".into(), file.display().to_string()],
            environment: BTreeMap::new(),
            log: self.log(),
            record: None,
        };
        let process = Process::spawn(&spec)?;
        start::guard(process.identity());
        *self.lock() = Some(process);
        Ok(())
    }

    async fn wait_ready(&self, page: &str) -> Result<(), HarnessError> {
        let Some(mut process) = self.lock().take() else { return Ok(()) };
        let result = process.ready(READY_LIMIT, || probe::answers(self.monitor_port(), page)).await;
        *self.lock() = Some(process);
        Ok(result?)
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.lock().as_mut() {
            process.signal(signal);
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("nats.log")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Several servers that replicate.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts a cluster of `size` servers and waits until it has a leader for its metadata.
    ///
    /// # Errors
    /// A server did not start, or no leader was elected in time.
    pub async fn start(size: usize) -> Result<Self, HarnessError> {
        Self::start_with(size, NatsOptions::default()).await
    }

    /// The same with options that hold for each server; each gets a store of its own.
    ///
    /// # Errors
    /// As [`NatsCluster::start`].
    pub async fn start_with(size: usize, options: NatsOptions) -> Result<Self, HarnessError> {
        let binary = start::tool(&NATS_SERVER).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::launch(size, &options, &binary).await {
                Err(error) if tries < PORT_TRIES && is_port_race(&error) => {}
                other => return other,
            }
        }
    }

    async fn launch(size: usize, options: &NatsOptions, binary: &Path) -> Result<Self, HarnessError> {
        let routes: Vec<u16> =
            (0..size).map(|_| free_port().ok_or(HarnessError::NoPort)).collect::<Result<_, _>>()?;
        let mut servers = Vec::new();
        for (index, port) in routes.iter().enumerate() {
            let cluster = Cluster { name: "test".into(), port: *port, routes: routes.clone() };
            let own = NatsOptions {
                store: options.store.as_ref().map(|store| store.join(index.to_string())),
                ..options.clone()
            };
            let server = NatsServer::prepare(binary, &own, &format!("test-{index}"), Some(cluster))?;
            server.launch().await?;
            servers.push(server);
        }
        for server in &servers {
            server.wait_ready("/healthz?js-enabled-only=true").await?;
        }
        let cluster = Self { servers };
        cluster.wait_for_leader(ELECTION_LIMIT).await?;
        Ok(cluster)
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// The addresses of all, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// Waits until a running server reports that it leads the metadata, and gives its index.
    ///
    /// # Errors
    /// None does within the limit.
    pub async fn wait_for_leader(&self, limit: Duration) -> Result<usize, HarnessError> {
        let found = wait_until(limit, "the election of a metadata leader", || async {
            for (index, server) in self.servers.iter().enumerate() {
                let (_, page) = probe::get(server.monitor_port(), "/jsz").await.unwrap_or_default();
                let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_default();
                let leader = page.pointer("/meta_cluster/leader").and_then(serde_json::Value::as_str);
                let healthy = probe::answers(server.monitor_port(), "/healthz").await;
                if healthy && leader == Some(server.config.name.as_str()) {
                    return Some(index);
                }
            }
            None
        });
        Ok(found.await?)
    }
}

fn is_port_race(error: &HarnessError) -> bool {
    matches!(error, HarnessError::Process(ProcessError::Ended { tail, .. }) if tail.contains("address already in use"))
}

fn io(path: &str, source: std::io::Error) -> HarnessError {
    HarnessError::Io { path: path.into(), source }
}
