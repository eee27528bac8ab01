//! From the broker to a handler.
//!
//! One intake pulls as much as memory allows and sorts messages into lanes, one per aggregate. A
//! pool of workers takes lanes in turn: in order within a lane, in parallel across lanes. The
//! message owns its acknowledgement; the class of the handler's error decides it:
//!
//! - `Ok` → ack; `Waiting` and `Transient` → NAK with delay; `Terminal` → dead letter, then TERM;
//! - a panic, or a handler above its cap → as `Transient`;
//! - the last failed delivery → dead letter, then TERM.
//!
//! While a message of an aggregate waits for its redelivery, later ones of the same aggregate are
//! put back too, at no cost to their own count of attempts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mlp_model::{Class, Classified};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::backoff::Backoff;
use crate::connection::Bus;
use crate::ensure;
use crate::error::{ConsumeError, EnsureError};
use crate::event::Event;
use crate::topology::ConsumerSpec;

mod exhausted;
mod inflight;
mod intake;
mod lanes;
mod order;
mod pull;
mod settle;
mod worker;

/// Delays between attempts to find the consumer's stream at start.
const START: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(10) };

/// What a handler did with an event; each is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handled {
    /// The effect is made.
    Done,
    /// This version, or a later one, was handled before.
    Stale,
    /// Not of interest here.
    Ignored,
}

/// What a service does about an event. Activation takes no input: look at the resource the event
/// names, never trust the event's content over it. Runs at least once per event.
pub trait Handler: Send + Sync + 'static {
    /// Why handling failed; its class decides what becomes of the message.
    type Error: Classified + Send + Sync + 'static;

    /// Handles one event. May be stopped at any await when it exceeds the consumer's cap.
    fn handle(&self, event: &Event) -> impl Future<Output = Result<Handled, Self::Error>> + Send;
}

impl Bus {
    /// Works a durable consumer until `shutdown`; then stops pulling, finishes what it holds, puts
    /// back what does not finish in [`crate::BusOptions::drain_within`], and returns.
    ///
    /// While the broker or the stream is not there it waits.
    ///
    /// # Errors
    /// [`ConsumeError`] when the consumer cannot be made as defined, or a worker died.
    pub async fn consume<H: Handler>(
        &self,
        spec: ConsumerSpec,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<(), ConsumeError> {
        let Some(ensured) = shutdown.run_until_cancelled(ensure_patiently(self, &spec)).await else {
            return Ok(());
        };
        ensured?;
        let shared = Arc::new(worker::Shared::new(self.clone(), spec));
        let handler = Arc::new(handler);
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..shared.spec.workers {
            workers.spawn(worker::run(Arc::clone(&shared), Arc::clone(&handler)));
        }
        workers.spawn(inflight::keep_alive(Arc::clone(&shared)));
        workers.spawn(exhausted::sweep(Arc::clone(&shared)));
        let ended = tokio::select! {
            ended = intake::run(&shared, &shutdown) => ended,
            Some(_ended) = workers.join_next() => Err(ConsumeError::WorkerDied(shared.spec.durable.clone())),
        };
        shared.drain().await;
        workers.shutdown().await;
        shared.put_back_rest().await;
        ended
    }
}

/// Waits for a broker that is not up, and for a stream that is not made yet.
async fn ensure_patiently(bus: &Bus, spec: &ConsumerSpec) -> Result<(), EnsureError> {
    let mut attempt = 0;
    loop {
        match ensure::consumer(bus, spec).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.class(), Class::Transient) => {
                attempt += 1;
                let delay = START.delay(attempt);
                warn!(%error, durable = spec.durable, delay = ?delay, "consumer not ready, trying again");
                tokio::time::sleep(delay).await;
            }
            Err(error) => return Err(error),
        }
    }
}
