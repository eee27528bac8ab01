//! What the tests share: a server with the platform's streams, facts, a handler that records.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlp_bus::{Bus, BusOptions, ConsumerSpec, Event, Faults, Handled, Handler, StreamSpec, Topology};
use mlp_harness::{NatsOptions, NatsServer, wait_until};
use mlp_model::{Class, Classified, Context, Fact, FactId, Flow};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Whatever is awaited happens within this, or the test fails.
pub const LIMIT: Duration = Duration::from_secs(30);

pub async fn server() -> NatsServer {
    NatsServer::start(NatsOptions { sync_always: false, ..NatsOptions::default() }).await.unwrap()
}

pub fn options(url: &str) -> BusOptions {
    crate::telemetry::install();
    BusOptions {
        servers: url.split(',').map(str::to_owned).collect(),
        client_name: "test".into(),
        drain_within: Duration::from_secs(5),
        faults: Faults::new(|_| ()),
        ..BusOptions::default()
    }
}

pub async fn connect(url: &str) -> Bus {
    Bus::connect(options(url)).await.unwrap()
}

/// The platform's streams, small.
pub fn streams(replicas: usize) -> Vec<StreamSpec> {
    let mut streams = Topology::builtin().unwrap().with_replicas(replicas).streams;
    streams.iter_mut().for_each(|stream| stream.max_bytes = 64 * 1024 * 1024);
    streams
}

/// A connection to a server with the platform's streams.
pub async fn platform(server: &NatsServer) -> Bus {
    let bus = connect(&server.url()).await;
    bus.ensure_streams(&streams(1)).await.unwrap();
    bus
}

pub fn spec(durable: &str) -> ConsumerSpec {
    ConsumerSpec {
        ack_wait: Duration::from_secs(2),
        back_off: vec![Duration::from_millis(200), Duration::from_millis(400)],
        max_deliver: 3,
        ..ConsumerSpec::new(durable, "TEAM", &["mlp.team.>"])
    }
}

/// The `version`-th fact of an aggregate of team ml.
pub fn fact(aggregate: &str, version: u64) -> Fact {
    fact_of("ml", aggregate, version)
}

pub fn fact_of(team: &str, aggregate: &str, version: u64) -> Fact {
    let message_type = "mlp.team.events.v1.TeamIsolated";
    Fact {
        id: FactId::derive("Team", aggregate, version, message_type),
        context: Context::Team,
        name: "team-isolated".into(),
        message_type: message_type.into(),
        team: team.into(),
        aggregate: aggregate.into(),
        version,
        subject: format!("teams/{team}"),
        time: "2026-11-23T13:00:00Z".into(),
        data: format!("{aggregate}:{version}").into_bytes(),
        flow: Flow::derive(aggregate, 1).traceparent(),
        cause: None,
    }
}

pub async fn publish_all(bus: &Bus, facts: &[Fact]) {
    for fact in facts {
        bus.publisher().publish(fact).await.unwrap();
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("scripted {0:?}")]
pub struct Scripted(pub Class);

impl Classified for Scripted {
    fn class(&self) -> Class {
        self.0
    }

    fn reason(&self) -> &'static str {
        "Scripted"
    }
}

pub const TRANSIENT: Result<Handled, Scripted> = Err(Scripted(Class::Transient));
pub const TERMINAL: Result<Handled, Scripted> = Err(Scripted(Class::Terminal));

/// Every call of a handler, in order, with what it answered.
pub type Log = Arc<Mutex<Vec<(Event, Option<Handled>)>>>;

pub struct Recorder<F> {
    pub log: Log,
    pub script: F,
}

impl<F, R> Handler for Recorder<F>
where
    F: Fn(Event) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Handled, Scripted>> + Send,
{
    type Error = Scripted;

    async fn handle(&self, event: &Event) -> Result<Handled, Scripted> {
        let answer = (self.script)(event.clone()).await;
        self.log.lock().unwrap().push((event.clone(), answer.as_ref().ok().copied()));
        answer
    }
}

/// A consumer loop in the background.
pub struct Running {
    pub log: Log,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), mlp_bus::ConsumeError>>,
}

pub fn run<F, R>(bus: &Bus, spec: ConsumerSpec, script: F) -> Running
where
    F: Fn(Event) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Handled, Scripted>> + Send + 'static,
{
    let log = Log::default();
    run_handler(bus, spec, Recorder { log: Arc::clone(&log), script }, log)
}

pub fn run_handler(bus: &Bus, spec: ConsumerSpec, handler: impl Handler, log: Log) -> Running {
    let (bus, shutdown) = (bus.clone(), CancellationToken::new());
    let token = shutdown.clone();
    let task = tokio::spawn(async move { bus.consume(spec, handler, token).await });
    Running { log, shutdown, task }
}

pub async fn done(_: Event) -> Result<Handled, Scripted> {
    Ok(Handled::Done)
}

impl Running {
    /// (aggregate, version) of every call that made its effect.
    pub fn effects(&self) -> Vec<(String, u64)> {
        let log = self.log.lock().unwrap();
        let made = log.iter().filter(|(_, handled)| *handled == Some(Handled::Done));
        made.map(|(event, _)| (event.aggregate.clone(), event.version)).collect()
    }

    pub async fn wait_for_effects(&self, count: usize) {
        let what = format!("{count} effects");
        let seen = || async { (self.effects().len() >= count).then_some(()) };
        if wait_until(LIMIT, &what, seen).await.is_err() {
            panic!("{what} not seen, but {:?}", self.effects());
        }
    }

    pub async fn stop(self) -> Vec<(Event, Option<Handled>)> {
        self.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task).await.expect("the loop ends").unwrap().unwrap();
        Arc::try_unwrap(self.log)
            .map_or_else(|log| log.lock().unwrap().clone(), |log| log.into_inner().unwrap())
    }
}

/// A plain client, for what a stranger does.
pub async fn stranger(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

pub async fn consumer_info(server: &NatsServer, durable: &str) -> async_nats::jetstream::consumer::Info {
    let stream = stranger(server).await.get_stream("TEAM").await.unwrap();
    stream.consumer_info(durable).await.unwrap()
}

/// Waits until a consumer has nothing pending and nothing unacknowledged.
pub async fn wait_settled(server: &NatsServer, durable: &str) -> async_nats::jetstream::consumer::Info {
    let settled = || async {
        let info = consumer_info(server, durable).await;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(info)
    };
    wait_until(LIMIT, "the consumer to settle", settled).await.unwrap()
}
