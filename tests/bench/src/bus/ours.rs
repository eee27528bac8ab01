//! The platform's own publisher and consumer under the same load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use mlp_bus::{Bus, BusOptions, ConsumerSpec, Event, Handled, Handler, Topology};
use mlp_model::{Class, Classified, Context, Fact, FactId, Flow};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PAYLOAD;
use crate::Error;
use crate::percentile::Times;

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Aggregates of one publisher, in turn.
const AGGREGATES: usize = 16;
/// Messages published one after another for the latency.
const SEQUENTIAL: usize = 2_000;

pub(super) async fn connect(url: &str) -> Result<Bus, Error> {
    let servers = vec![url.to_owned()];
    let bus = Bus::connect(BusOptions { servers, client_name: "mlp-bench".into(), ..BusOptions::default() })
        .await?;
    let mut streams = Topology::builtin()?.streams;
    streams.iter_mut().for_each(|stream| stream.max_bytes = super::STREAM_BYTES);
    bus.ensure_streams(&streams).await?;
    Ok(bus)
}

/// Messages a second.
pub(super) struct Rates {
    /// Until the last acknowledgement.
    pub(super) published: f64,
    /// Until the last handler was called.
    pub(super) handled: f64,
}

/// The same number of publishers, each waiting for its acknowledgements, and one consumer.
pub(super) async fn throughput(bus: &Bus, publishers: usize, messages: usize) -> Result<Rates, Error> {
    let consumer = Consumer::start(bus).await?;
    let (each, begun) = (messages / publishers, Instant::now());
    let work = (0..publishers).map(|publisher| {
        let (publisher_bus, run) = (bus.publisher(), consumer.run.clone());
        tokio::spawn(async move {
            for number in 0..each {
                publisher_bus.publish(&fact(&run, publisher, number)).await?;
            }
            Ok::<_, mlp_bus::PublishError>(())
        })
    });
    for published in try_join_all(work).await? {
        published?;
    }
    let published = begun.elapsed();
    let count = each * publishers;
    consumer.wait_for(count).await?;
    let handled = begun.elapsed();
    consumer.stop().await?;
    let rate = |took: Duration| count as f64 / took.as_secs_f64();
    Ok(Rates { published: rate(published), handled: rate(handled) })
}

/// From a publisher's acknowledgement to the handler's call; 0 where the handler was faster.
pub(super) async fn latency(bus: &Bus) -> Result<Times, Error> {
    let consumer = Consumer::start(bus).await?;
    let (publisher, mut acknowledged) = (bus.publisher(), Vec::with_capacity(SEQUENTIAL));
    for number in 0..SEQUENTIAL {
        let fact = fact(&consumer.run, 0, number);
        publisher.publish(&fact).await?;
        acknowledged.push((fact.id.as_str().to_owned(), Instant::now()));
    }
    consumer.wait_for(SEQUENTIAL).await?;
    let calls = consumer.stop().await?;
    let added = acknowledged.into_iter().filter_map(|(id, acknowledged)| {
        calls.get(&id).map(|called| called.saturating_duration_since(acknowledged))
    });
    Ok(Times::of(added))
}

fn fact(run: &str, publisher: usize, number: usize) -> Fact {
    let message_type = "mlp.team.events.v1.TeamIsolated";
    let aggregate = format!("{run}-{publisher}-{}", number % AGGREGATES);
    let version = (number / AGGREGATES + 1) as u64;
    Fact {
        id: FactId::derive("Team", &aggregate, version, message_type),
        context: Context::Team,
        name: "team-isolated".into(),
        message_type: message_type.into(),
        team: run.into(),
        flow: Flow::derive(&aggregate, 1).traceparent(),
        aggregate,
        version,
        subject: "teams/bench".into(),
        time: "2026-01-01T00:00:00Z".into(),
        data: vec![b'x'; PAYLOAD],
        cause: None,
    }
}

/// A consumer whose handler only notes when it was called.
struct Consumer {
    run: String,
    calls: Calls,
    seen: watch::Receiver<usize>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), mlp_bus::ConsumeError>>,
}

/// First call by event id.
type Calls = Arc<Mutex<HashMap<String, Instant>>>;

impl Consumer {
    async fn start(bus: &Bus) -> Result<Self, Error> {
        static RUN: AtomicU64 = AtomicU64::new(0);
        let run = format!("bench{}", RUN.fetch_add(1, Ordering::Relaxed));
        let spec = ConsumerSpec::new(&run, "TEAM", &[&format!("mlp.team.*.*.{run}.*")]);
        let (calls, shutdown, (count, mut seen)) =
            (Calls::default(), CancellationToken::new(), watch::channel(0));
        let (bus, handler, token) = (bus.clone(), Note { calls: calls.clone(), count }, shutdown.clone());
        let publisher = bus.publisher();
        let task = tokio::spawn(async move { bus.consume(spec, handler, token).await });
        // The consumer stands when it has handled a first message, which does not count.
        publisher.publish(&fact(&run, usize::MAX, 0)).await?;
        tokio::time::timeout(LIMIT, seen.wait_for(|count| *count > 0)).await??;
        Ok(Self { run, calls, seen, shutdown, task })
    }

    /// Waits until so many messages were handled after the first one.
    async fn wait_for(&self, messages: usize) -> Result<(), Error> {
        let mut seen = self.seen.clone();
        tokio::time::timeout(LIMIT, seen.wait_for(|count| *count > messages)).await??;
        Ok(())
    }

    async fn stop(self) -> Result<HashMap<String, Instant>, Error> {
        self.shutdown.cancel();
        self.task.await??;
        Ok(std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

struct Note {
    calls: Calls,
    count: watch::Sender<usize>,
}

/// The handler's error: there is none.
#[derive(Debug)]
enum Never {}

impl std::fmt::Display for Never {
    fn fmt(&self, _formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl Classified for Never {
    fn class(&self) -> Class {
        match *self {}
    }

    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Handler for Note {
    type Error = Never;

    async fn handle(&self, event: &Event) -> Result<Handled, Never> {
        let (id, now) = (event.id.as_str().to_owned(), Instant::now());
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.entry(id).or_insert(now);
        self.count.send_replace(calls.len());
        Ok(Handled::Done)
    }
}
