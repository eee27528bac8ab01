//! The pool: takes lanes in turn, runs the handler, decides what becomes of the message.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use futures::FutureExt as _;
use mlp_model::{Class, Classified as _};
use opentelemetry::KeyValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument as _, Span, warn};

use super::inflight::Inflight;
use super::lanes::Lanes;
use super::order::Order;
use super::{Handled, Handler};
use crate::backoff;
use crate::connection::Bus;
use crate::envelope::Malformed;
use crate::event::Event;
use crate::fault::FaultPoint;
use crate::topology::ConsumerSpec;
use crate::{metrics, trace};

/// A lane's key: context and aggregate, or the message itself where it is no event.
pub(super) type Key = String;

/// One delivery, held until it is settled.
pub(super) struct Job {
    pub(super) message: Message,
    pub(super) sequence: u64,
    pub(super) delivered: u64,
    pub(super) event: Result<Event, Malformed>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Acknowledge.
    Ack,
    /// Deliver again after the delay; `excused` when it was for no fault of the message's own.
    PutBack { delay: Duration, excused: bool },
    /// To the dead letters, with a stable reason and a text for people.
    Bury { reason: String, detail: String },
}

/// What intake, workers and keep-alive share.
pub(super) struct Shared {
    pub(super) bus: Bus,
    pub(super) spec: ConsumerSpec,
    pub(super) lanes: Mutex<Lanes<Key, Job>>,
    pub(super) order: Mutex<Order<Key>>,
    /// One permit per lane that is ready to run.
    pub(super) ready: Semaphore,
    /// One permit per message that may be held.
    pub(super) buffer: Arc<Semaphore>,
    pub(super) inflight: Inflight,
    pub(super) labels: [KeyValue; 3],
}

impl Shared {
    pub(super) fn new(bus: Bus, spec: ConsumerSpec) -> Self {
        let limit = usize::try_from(spec.max_ack_pending).unwrap_or(usize::MAX);
        Self {
            lanes: Mutex::default(),
            order: Mutex::new(Order::new(limit)),
            ready: Semaphore::new(0),
            buffer: Arc::new(Semaphore::new(spec.buffer)),
            inflight: Inflight::default(),
            labels: metrics::consumer(&spec.stream, &spec.durable),
            bus,
            spec,
        }
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes<Key, Job>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn order(&self) -> MutexGuard<'_, Order<Key>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything held is settled, at most as long as a drain may take.
    pub(super) async fn drain(&self) {
        let all = u32::try_from(self.spec.buffer).unwrap_or(u32::MAX);
        let idle = self.buffer.acquire_many(all);
        if tokio::time::timeout(self.bus.drain_within(), idle).await.is_err() {
            warn!(durable = self.spec.durable, "consumer not idle in time, putting the rest back");
        }
    }
}

/// One worker of the pool; ends when it is aborted.
pub(super) async fn run<H: Handler>(shared: Arc<Shared>, handler: Arc<H>) {
    while let Ok(permit) = shared.ready.acquire().await {
        permit.forget();
        let Some((key, job)) = shared.lanes().next() else { continue };
        process(&shared, handler.as_ref(), &key, job).await;
        if shared.lanes().done(&key) {
            shared.ready.add_permits(1);
        }
    }
}

async fn process<H: Handler>(shared: &Shared, handler: &H, key: &Key, job: Job) {
    shared.bus.metrics().lane_depth.add(-1, &shared.labels);
    let wait = shared.order().arrived(key, job.sequence, Instant::now());
    if let Some(delay) = wait {
        shared.settle(key, job, Verdict::PutBack { delay, excused: true }).await;
        return;
    }
    let span = job.event.as_ref().map_or_else(|_| Span::none(), |event| trace::process(event, &shared.spec));
    async {
        let verdict = decide(shared, handler, &job).await;
        shared.settle(key, job, verdict).await;
    }
    .instrument(span)
    .await;
}

async fn decide<H: Handler>(shared: &Shared, handler: &H, job: &Job) -> Verdict {
    let event = match &job.event {
        Ok(event) => event,
        Err(malformed) => return bury(malformed.reason(), malformed.to_string()),
    };
    let attempts = shared.order().attempts(job.sequence, job.delivered);
    let tried = shared.order().tries(job.sequence);
    let ends_processes = job.delivered > shared.spec.max_deliver.saturating_mul(DEADLY_FACTOR);
    if attempts > shared.spec.max_deliver.saturating_mul(2) && (tried || ends_processes) {
        let detail =
            format!("delivered {} times without an answer; does the handler end the process?", job.delivered);
        return bury("NeverAnswered", detail);
    }
    shared.bus.faults().hit(FaultPoint::Received);
    shared.inflight.runs(job.sequence);
    let started = Instant::now();
    let running = AssertUnwindSafe(handler.handle(event)).catch_unwind();
    let outcome = tokio::time::timeout(shared.spec.handler_cap, running).await;
    let metrics = shared.bus.metrics();
    metrics.process_duration.record(started.elapsed().as_secs_f64(), &shared.labels);
    metrics.consumed.add(1, &shared.labels);
    let delay = || backoff::redelivery(&shared.spec.back_off, attempts);
    let (class, reason, detail) = match outcome {
        Ok(Ok(Ok(handled))) => {
            metrics.stale.add(u64::from(handled == Handled::Stale), &shared.labels);
            return Verdict::Ack;
        }
        Ok(Ok(Err(error))) => (error.class(), error.reason(), chain(&error)),
        Ok(Err(_panic)) => {
            (Class::Transient, "HandlerPanicked", "the handler panicked, see its log".to_owned())
        }
        Err(_elapsed) => {
            let detail = format!("the handler ran longer than {} s", shared.spec.handler_cap.as_secs());
            (Class::Transient, "HandlerTimedOut", detail)
        }
    };
    trace::failed(&Span::current(), reason);
    match class {
        Class::Terminal => bury(reason, detail),
        Class::Waiting(delay) if job.delivered < shared.spec.max_deliver.saturating_mul(WAITING_FACTOR) => {
            Verdict::PutBack { delay: delay.max(SHORTEST_WAIT), excused: true }
        }
        Class::Transient if attempts < shared.spec.max_deliver => {
            warn!(reason, detail, attempts, "event will be delivered again");
            Verdict::PutBack { delay: delay(), excused: false }
        }
        Class::Transient | Class::Waiting(_) => {
            bury(reason, format!("after {} deliveries: {detail}", job.delivered))
        }
    }
}

/// From how many times `maxDeliver` deliveries on an event is taken to end the processes that handle it,
/// though this one has not tried it: fewer may have been put back for no fault of its own.
const DEADLY_FACTOR: u64 = 4;
/// How many times more deliveries than `maxDeliver` an event may take that only waits.
const WAITING_FACTOR: u64 = 8;
/// A handler that asks for no delay gets this one: a NAK always has a delay.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

fn bury(reason: &str, detail: String) -> Verdict {
    Verdict::Bury { reason: reason.to_owned(), detail }
}

/// An error with its causes, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
