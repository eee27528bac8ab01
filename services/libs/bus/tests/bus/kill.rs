//! The process dies at each fault point in turn; the next one finds nothing lost, nothing doubled.
//!
//! The victim is this test binary again, with the fault armed by environment. Its outbox is a file
//! and its effects are lines of a file, so both survive it, as a resource's status does.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mlp_bus::deadletter::Filter;
use mlp_bus::{Bus, Event, FaultPoint, Faults, Handled, Handler, Relay};
use mlp_harness::NatsServer;
use mlp_model::{Fact, FactId, OutboxStore};

use crate::support::*;

const SERVER: &str = "MLP_TEST_SERVER";
const FOLDER: &str = "MLP_TEST_FOLDER";
const FACTS: u64 = 3;

/// An outbox in a file; trimming replaces it at once.
struct FileOutbox(PathBuf);

impl FileOutbox {
    fn write(&self, facts: &[Fact]) {
        let next = self.0.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(facts).unwrap()).unwrap();
        std::fs::rename(next, &self.0).unwrap();
    }

    fn read(&self) -> Vec<Fact> {
        serde_json::from_slice(&std::fs::read(&self.0).unwrap()).unwrap()
    }
}

impl OutboxStore for FileOutbox {
    type Error = Scripted;

    async fn pending(&self, limit: usize) -> Result<Vec<Fact>, Scripted> {
        Ok(self.read().into_iter().take(limit).collect())
    }

    async fn trim(&self, published: &[FactId]) -> Result<(), Scripted> {
        let kept: Vec<_> = self.read().into_iter().filter(|fact| !published.contains(&fact.id)).collect();
        self.write(&kept);
        Ok(())
    }
}

/// Effects as a set of lines: the aggregate's version moves only forward, as a status does.
struct FileEffects(PathBuf);

impl Handler for FileEffects {
    type Error = Scripted;

    async fn handle(&self, event: &Event) -> Result<Handled, Scripted> {
        if event.aggregate == "poison" && !self.0.with_extension("healed").exists() {
            return TERMINAL;
        }
        if event.aggregate == "flaky" && event.delivery == 1 {
            return TRANSIENT;
        }
        let line = format!("{}:{}\n", event.aggregate, event.version);
        let done = std::fs::read_to_string(&self.0).unwrap_or_default();
        if done.lines().any(|other| other == line.trim()) {
            return Ok(Handled::Stale);
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        Ok(Handled::Done)
    }
}

/// One life of the victim: flush the outbox, work until everything is settled, redrive, end.
async fn live(server: &str, folder: &Path) {
    let mut options = options(server);
    options.faults = Faults::default();
    let bus = Bus::connect(options).await.unwrap();
    let outbox = FileOutbox(folder.join("outbox"));
    Relay::new(bus.publisher()).flush(&outbox).await.unwrap();
    let effects = folder.join("effects");
    let mut spec = spec("victim");
    spec.ack_wait = Duration::from_secs(1);
    let running = run_handler(&bus, spec, FileEffects(effects.clone()), Log::default());
    settle(&bus, server, &effects).await;
    running.stop().await;
    bus.drain(LIMIT).await;
}

/// Works until every effect is made, every dead letter sent back and every message answered.
async fn settle(bus: &Bus, server: &str, effects: &Path) {
    let expected = usize::try_from(FACTS).unwrap() + 2;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server).await.unwrap());
    let stream = jetstream.get_stream("TEAM").await.unwrap();
    let finished = || async {
        let dead = bus.dead_letters(&Filter::default(), 10).await.unwrap();
        if !dead.is_empty() {
            std::fs::write(effects.with_extension("healed"), "").unwrap();
            bus.redrive(&Filter::default(), "victim", false).await.unwrap();
        }
        let lines = std::fs::read_to_string(effects).unwrap_or_default().lines().count();
        let info = stream.consumer_info("victim").await.ok()?;
        (lines == expected && info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    };
    mlp_harness::wait_until(LIMIT, "everything to be settled", finished).await.unwrap();
}

/// Does nothing unless the parent asked this process to be the victim.
#[test]
fn victim() {
    let (Ok(server), Ok(folder)) = (std::env::var(SERVER), std::env::var(FOLDER)) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(live(&server, Path::new(&folder)));
}

async fn run_victim(server: &NatsServer, folder: &Path, fault: &str) -> std::process::ExitStatus {
    let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", "kill::victim", "--nocapture"]).kill_on_drop(true);
    victim.env(SERVER, server.url()).env(FOLDER, folder).env("MLP_FAULT", fault);
    let status = victim.stdout(Stdio::null()).stderr(Stdio::null()).status();
    tokio::time::timeout(LIMIT * 2, status).await.expect("the victim ends").unwrap()
}

async fn kill_at(point: FaultPoint) {
    use std::os::unix::process::ExitStatusExt as _;
    let (server, folder) = (server().await, tempfile::tempdir().unwrap());
    let bus = platform(&server).await;
    let mut facts: Vec<_> = (1..=FACTS).map(|version| fact("steady", version)).collect();
    facts.extend([fact("flaky", 1), fact("poison", 1)]);
    FileOutbox(folder.path().join("outbox")).write(&facts);

    let died = run_victim(&server, folder.path(), point.as_str()).await;
    assert_eq!(died.signal(), Some(nix::libc::SIGABRT), "{} was reached", point.as_str());
    let lived = run_victim(&server, folder.path(), "").await;
    assert!(lived.success(), "after {}", point.as_str());

    let info = wait_settled(&server, "victim").await;
    assert_eq!(info.num_ack_pending, 0);
    let mut effects: Vec<_> =
        std::fs::read_to_string(folder.path().join("effects")).unwrap().lines().map(str::to_owned).collect();
    let steady: Vec<_> = effects.iter().filter(|line| line.starts_with("steady")).cloned().collect();
    assert_eq!(steady, ["steady:1", "steady:2", "steady:3"], "in order after {}", point.as_str());
    effects.sort();
    assert_eq!(
        effects,
        ["flaky:1", "poison:1", "steady:1", "steady:2", "steady:3"],
        "after {}",
        point.as_str()
    );
    assert!(FileOutbox(folder.path().join("outbox")).read().is_empty());
    assert!(bus.dead_letters(&Filter::default(), 10).await.unwrap().is_empty());
    let stored = stranger(&server).await.get_stream("TEAM").await.unwrap();
    let facts = stored.info_with_subjects("mlp.team.>").await.unwrap();
    assert_eq!(facts.info.state.messages, 6, "five facts and one redrive, each stored once");
}

#[tokio::test]
async fn killed_at_every_fault_point_nothing_is_lost_or_doubled() {
    for pair in FaultPoint::ALL.chunks(3) {
        futures::future::join_all(pair.iter().map(|point| kill_at(*point))).await;
    }
}
