//! The intake: pulls as much as memory allows, sorts into lanes, watches for a pull that stalls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::pull::{Pull, Pulled};
use super::worker::{Job, Shared};
use crate::backoff::Backoff;
use crate::connection::REQUEST_TIMEOUT;
use crate::error::ConsumeError;
use crate::{ensure, envelope};

/// Delays between attempts to pull where nobody answers.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(2) };
/// A message whose lane is full comes again after about this long, longer each time: the server counts
/// these deliveries too.
const LANE_FULL: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };

/// How long an inbox that is being left may still deliver.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

struct Intake<'a> {
    shared: &'a Arc<Shared>,
    shutdown: &'a CancellationToken,
    pull: Pull,
    /// Room reserved for the open request.
    reserved: Option<OwnedSemaphorePermit>,
    failures: u32,
    /// Since when messages wait at the server and none came.
    waiting_since: Option<Instant>,
    /// Until then, one message is pulled at a time.
    cautious_until: Instant,
}

/// Pulls until `shutdown`, then reads what was sent before and returns.
pub(super) async fn run(shared: &Arc<Shared>, shutdown: &CancellationToken) -> Result<(), ConsumeError> {
    let mut connection = shared.bus.connection();
    connection.mark_unchanged();
    let mut watch = tokio::time::interval((shared.spec.stall_after / 3).min(Duration::from_secs(10)));
    let Some(pull) = shutdown.run_until_cancelled(open(shared)).await else { return Ok(()) };
    let now = Instant::now();
    let mut intake = Intake {
        shared,
        shutdown,
        pull,
        reserved: None,
        failures: 0,
        waiting_since: None,
        cautious_until: now,
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = connection.changed() => intake.reconnected().await,
            _ = watch.tick() => intake.watch().await?,
            pulled = intake.pull.next() => intake.take(pulled).await?,
            room = room(shared), if !intake.pull.is_open() => intake.request(room).await,
        }
    }
    intake.finish_pull(REQUEST_TIMEOUT).await;
    // What is not measured any more is not late: the next reader measures it anew.
    shared.bus.metrics().lag.record(0, &shared.labels);
    Ok(())
}

/// Opens a pull, however long the broker takes.
async fn open(shared: &Shared) -> Pull {
    let mut attempt = 0;
    loop {
        match Pull::new(&shared.bus, &shared.spec).await {
            Ok(pull) => return pull,
            Err(error) => {
                attempt += 1;
                debug!(%error, "pull not opened yet");
                tokio::time::sleep(RETRY.delay(attempt)).await;
            }
        }
    }
}

/// Waits for room for a quarter of the buffer, and takes all there is.
async fn room(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let quarter = (shared.spec.buffer / 4).max(1);
    let free = shared.buffer.available_permits().max(quarter);
    let wanted = u32::try_from(free).unwrap_or(u32::MAX);
    Arc::clone(&shared.buffer).acquire_many_owned(wanted).await.ok()
}

impl Intake<'_> {
    fn forget_request(&mut self) {
        self.pull.abandon();
        self.reserved = None;
    }

    /// A message that the client cannot read (headers that are no text) ends the connection, and
    /// with it every delivery behind it. Pulled alone it harms no other, and ends at the server's
    /// limit; so after each reconnect messages are pulled one by one for a while, and on a new
    /// inbox: the server honours earlier requests as long as their inbox is subscribed to.
    async fn reconnected(&mut self) {
        self.cautious_until = Instant::now() + self.shared.spec.ack_wait * 3;
        self.replace_pull().await;
    }

    async fn replace_pull(&mut self) {
        self.finish_pull(LEAVE_WITHIN).await;
        self.reserved = None;
        if let Some(pull) = self.shutdown.run_until_cancelled(open(self.shared)).await {
            self.pull = pull;
        }
    }

    /// Unsubscribes and takes in what was sent before; what a broken connection kept comes again.
    async fn finish_pull(&mut self, within: Duration) {
        self.pull.stop().await;
        let until = tokio::time::Instant::now() + within;
        while let Ok(Pulled::Message(message)) = tokio::time::timeout_at(until, self.pull.next()).await {
            self.accept(*message).await;
        }
    }

    async fn request(&mut self, room: Option<OwnedSemaphorePermit>) {
        let Some(mut room) = room else { return };
        if Instant::now() < self.cautious_until
            && let Some(one) = room.split(1)
        {
            room = one;
        }
        if let Err(error) = self.pull.request(room.num_permits()).await {
            debug!(%error, "pull not requested");
            self.pause().await;
            return;
        }
        self.reserved = Some(room);
    }

    async fn take(&mut self, pulled: Pulled) -> Result<(), ConsumeError> {
        match pulled {
            Pulled::Message(message) => {
                self.failures = 0;
                self.waiting_since = None;
                self.accept(*message).await;
                if !self.pull.is_open() {
                    self.reserved = None;
                }
            }
            Pulled::Ended => {
                if !self.pull.is_open() {
                    self.forget_request();
                }
            }
            Pulled::NoResponders => {
                self.forget_request();
                self.pause().await;
            }
            Pulled::ConsumerGone => {
                warn!(durable = self.shared.spec.durable, "consumer is gone, making it again");
                self.forget_request();
                self.ensure().await?;
            }
            Pulled::Closed => self.recreate("the subscription ended").await,
        }
        Ok(())
    }

    async fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(RETRY.delay(self.failures)).await;
    }

    async fn recreate(&mut self, why: &str) {
        warn!(durable = self.shared.spec.durable, why, "making the pull anew");
        self.shared.bus.metrics().recreated.add(1, &self.shared.labels);
        self.replace_pull().await;
        self.waiting_since = None;
    }

    async fn ensure(&mut self) -> Result<(), ConsumeError> {
        match ensure::consumer(&self.shared.bus, &self.shared.spec).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(mlp_model::Classified::class(&error), mlp_model::Class::Transient) => {
                debug!(%error, "consumer not made yet");
                self.pause().await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Measures the lag; makes the pull anew when messages wait and none came for too long.
    async fn watch(&mut self) -> Result<(), ConsumeError> {
        let (spec, bus) = (&self.shared.spec, &self.shared.bus);
        let asked =
            bus.jetstream().get_consumer_from_stream::<pull::Config, _, _>(&spec.durable, &spec.stream);
        let consumer = match asked.await {
            Ok(consumer) => consumer,
            Err(error)
                if matches!(error.kind(), async_nats::jetstream::stream::ConsumerErrorKind::JetStream(_)) =>
            {
                return self.ensure().await;
            }
            Err(_) => return Ok(()),
        };
        let info = consumer.cached_info();
        let unfinished = info.num_pending.saturating_add(info.num_ack_pending as u64);
        bus.metrics().lag.record(unfinished, &self.shared.labels);
        let room = i64::try_from(info.num_ack_pending).unwrap_or(i64::MAX) < spec.max_ack_pending;
        let waits = info.num_pending > 0 && room && self.pull.is_open();
        let since = self.waiting_since.take().filter(|_| waits).unwrap_or_else(Instant::now);
        if waits && since.elapsed() >= spec.stall_after {
            self.recreate("messages wait and none is delivered").await;
        } else {
            self.waiting_since = waits.then_some(since);
        }
        Ok(())
    }

    /// Sorts one message into its lane.
    async fn accept(&mut self, message: Message) {
        let Some(permit) = self.permit().await else { return };
        let Some(reply) = message.reply.clone() else { return };
        let (sequence, delivered) = match message.info() {
            Ok(info) => (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1)),
            Err(error) => {
                warn!(%error, subject = %message.subject, "not a stream's message, ignored");
                return;
            }
        };
        let shared = self.shared;
        shared.bus.metrics().redelivered.add(u64::from(delivered > 1), &shared.labels);
        if !shared.inflight.insert(sequence, reply) {
            return;
        }
        let (headers, body) = (message.headers.as_ref(), message.payload.clone());
        let event = envelope::decode(&message.subject, headers, body, delivered);
        let key = match &event {
            Ok(event) => format!("{}/{}", event.source, event.aggregate),
            Err(_) => format!("#{sequence}"),
        };
        let job = Job { message, sequence, delivered, event, permit };
        if shared.lanes().depth(&key) >= (shared.spec.buffer / 4).max(1) {
            let delay = LANE_FULL.delay(u32::try_from(delivered).unwrap_or(u32::MAX));
            shared.put_back(&key, &job, delay, true).await;
            shared.inflight.remove(sequence);
            return;
        }
        shared.bus.metrics().lane_depth.add(1, &shared.labels);
        if shared.lanes().push(key, job) {
            shared.ready.add_permits(1);
        }
    }

    /// One permit of the reserved room, else of what is free.
    async fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.reserved.as_mut().and_then(|reserved| reserved.split(1)) {
            return Some(permit);
        }
        let free = Arc::clone(&self.shared.buffer).acquire_owned();
        self.shutdown.run_until_cancelled(free).await?.ok()
    }
}
