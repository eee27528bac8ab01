//! The five services as processes of this machine: built, started, probed, stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mlp_model::Environment;
use mlp_tilt::Layout;
use mlp_tilt::process::{Process, Spec, Watchdog, probe};

use crate::commands::up::broker;
use crate::exit::Failure;
use crate::platform::ServiceRecord;

/// The services, in the order in which they are listed everywhere.
pub(crate) const SERVICES: [&str; 5] =
    ["team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"];

/// How long a service may take to `/readyz`.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a service may take to drain; a little more than its own limit.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// How much of a log an error shows.
const TAIL_LINES: usize = 15;
/// How often readiness is looked at.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// What every service is told.
pub(crate) struct Surroundings {
    pub(crate) environment: Environment,
    pub(crate) nats_url: String,
    pub(crate) otlp_traces: String,
    pub(crate) otlp_metrics: String,
    /// More variables for one service: (service, name, value).
    pub(crate) extra: Vec<(&'static str, &'static str, String)>,
}

/// Builds the services' binaries with cargo, which prints its own progress; returns their folder. Always
/// all five: for one alone cargo would choose other features of what they share, and build it anew.
pub(crate) async fn build(root: &Path) -> Result<PathBuf, Failure> {
    let mut command =
        mlp_tilt::cargo::without_our_package(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["build", "--quiet"]).kill_on_drop(true);
    for name in SERVICES {
        command.args(["-p", &format!("mlp-{name}")]);
    }
    let status = command.status().await.map_err(|error| {
        Failure::missing(format!("cannot run cargo ({error}); install Rust from https://rustup.rs"))
    })?;
    if !status.success() {
        return Err(Failure::failed("the services do not build; cargo's messages are above"));
    }
    let here = this_binary()?;
    let folder = here.parent().map(Path::to_path_buf);
    folder.ok_or_else(|| Failure::failed("this binary has no folder; run it as `cargo mlp`"))
}

/// Where this program is. A build that replaced it while it runs (`mlp test` makes one) makes Linux say that
/// it was deleted; the new one is at the same place.
pub(crate) fn this_binary() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe();
    let here = here.map_err(|error| Failure::while_doing("finding this binary", &error))?;
    Ok(without_mark(&here))
}

fn without_mark(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(" (deleted)").map_or_else(|| path.to_path_buf(), PathBuf::from)
}

/// Starts one service. One that runs the same binary in the same surroundings is left alone.
pub(crate) async fn start(
    name: &str,
    layout: &Layout,
    binaries: &Path,
    ports: (u16, u16),
    around: &Surroundings,
) -> Result<ServiceRecord, Failure> {
    let (grpc, admin) = ports;
    let record = ServiceRecord {
        grpc: format!("http://127.0.0.1:{grpc}"),
        admin: format!("http://127.0.0.1:{admin}"),
        log: layout.log(name),
    };
    let spec = Spec {
        name: name.to_owned(),
        program: binaries.join(format!("mlp-{name}")),
        arguments: Vec::new(),
        environment: variables(name, layout, ports, around)
            .into_iter()
            .chain([built(binaries, name)])
            .collect(),
        log: layout.log(name),
        record: Some(process_record(name, layout)),
    };
    if let Some(mut process) = attach(name, layout) {
        if process.runs_as(&spec) {
            return Ok(record);
        }
        let stopped = process.stop(STOP_LIMIT).await;
        stopped.map_err(|error| Failure::of(&format!("stopping {name}"), &error))?;
    }
    Process::spawn(&spec).map_err(|error| Failure::of(&format!("starting {name}"), &error))?;
    Ok(record)
}

/// When a service's binary was built, as a variable: a new build is another process.
fn built(binaries: &Path, name: &str) -> (String, String) {
    let modified = std::fs::metadata(binaries.join(format!("mlp-{name}"))).and_then(|file| file.modified());
    let since = modified.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    ("MLP_BUILT".to_owned(), since.unwrap_or_default().as_nanos().to_string())
}

/// Waits until a started service says that it is ready.
pub(crate) async fn wait_ready(name: &str, layout: &Layout, admin_port: u16) -> Result<(), Failure> {
    let ready = async {
        loop {
            let Some(mut process) = attach(name, layout) else { return false };
            if !process.is_alive() {
                return false;
            }
            if probe::answers(admin_port, "/readyz").await {
                return true;
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    };
    let log = layout.log(name);
    let tail = || mlp_tilt::process::tail(&log, TAIL_LINES);
    match tokio::time::timeout(READY_LIMIT, ready).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::failed(format!("{name} ended while starting; its log says:\n{}", tail()))),
        Err(_elapsed) => {
            let missing =
                probe::get(admin_port, "/readyz?verbose").await.map(|(_, body)| body).unwrap_or_default();
            let limit = READY_LIMIT.as_secs();
            Err(Failure::not_ready(format!("{name} was not ready within {limit} s: {missing}\n{}", tail())))
        }
    }
}

/// Stops a service; harmless where it does not run.
pub(crate) async fn stop(name: &str, layout: &Layout) -> Result<(), Failure> {
    let Some(mut process) = attach(name, layout) else { return Ok(()) };
    process.stop(STOP_LIMIT).await.map_err(|error| Failure::while_doing(&format!("stopping {name}"), &error))
}

/// Lets the service end with this process, however it ends.
pub(crate) fn guard(name: &str, layout: &Layout, watchdog: &Watchdog) -> Result<(), Failure> {
    let Some(process) = attach(name, layout) else { return Ok(()) };
    watchdog
        .guard(process.identity())
        .map_err(|error| Failure::while_doing(&format!("guarding {name}"), &error))
}

/// Whether a service's process lives.
pub(crate) fn is_running(name: &str, layout: &Layout) -> bool {
    attach(name, layout).is_some_and(|mut process| process.is_alive())
}

fn attach(name: &str, layout: &Layout) -> Option<Process> {
    Process::attach(name, &process_record(name, layout), &layout.log(name))
}

fn process_record(name: &str, layout: &Layout) -> PathBuf {
    layout.run().join(format!("{name}.json"))
}

fn variables(
    name: &str,
    layout: &Layout,
    (grpc, admin): (u16, u16),
    around: &Surroundings,
) -> BTreeMap<String, String> {
    let path = |path: PathBuf| path.display().to_string();
    let mut all = BTreeMap::from([
        ("MLP_KUBECONFIG".to_owned(), path(layout.kubeconfig(name))),
        ("MLP_ENVIRONMENT".to_owned(), around.environment.to_string()),
        ("MLP_NATS_URL".to_owned(), around.nats_url.clone()),
        ("MLP_NATS_CREDS".to_owned(), path(broker::credentials(layout, name))),
        ("MLP_OTLP_ENDPOINT".to_owned(), around.otlp_traces.clone()),
        ("MLP_METRICS_OTLP_ENDPOINT".to_owned(), around.otlp_metrics.clone()),
        ("MLP_GRPC_LISTEN".to_owned(), format!("127.0.0.1:{grpc}")),
        ("MLP_ADMIN_LISTEN".to_owned(), format!("127.0.0.1:{admin}")),
        ("MLP_LOG_FORMAT".to_owned(), "text".to_owned()),
        // A name that stays: a service that was killed takes its own Lease back at once.
        ("MLP_INSTANCE".to_owned(), format!("{name}-0")),
    ]);
    for (service, variable, value) in &around.extra {
        if *service == name {
            all.insert((*variable).to_owned(), value.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_was_built_anew_is_found_at_its_place() {
        assert_eq!(
            without_mark(Path::new("/x/target/debug/mlp (deleted)")),
            Path::new("/x/target/debug/mlp")
        );
        assert_eq!(without_mark(Path::new("/x/target/debug/mlp")), Path::new("/x/target/debug/mlp"));
    }
}
