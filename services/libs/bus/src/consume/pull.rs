//! One pull request at a time over one inbox.
//!
//! Written on the wire protocol's own terms, because the drain depends on it: after unsubscribing,
//! what the server sent before is still read, so that a shutdown loses no delivery.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::{StatusCode, Subscriber};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::connection::Bus;
use crate::error::Source;
use crate::topology::ConsumerSpec;

/// How long the server keeps a pull request open; less where messages come again sooner, so that
/// no request of a broken connection lives to see a redelivery.
const EXPIRES: Duration = Duration::from_secs(5);
/// Without any word this long after its expiry, a pull request is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// What came.
pub(super) enum Pulled {
    /// A message.
    Message(Box<Message>),
    /// The request is over; make another.
    Ended,
    /// The consumer is gone; make it again.
    ConsumerGone,
    /// Nobody answers: no leader, or no such consumer.
    NoResponders,
    /// The subscription is over.
    Closed,
}

#[derive(Serialize)]
struct Request {
    batch: usize,
    expires: u64,
}

pub(super) struct Pull {
    bus: Bus,
    subject: String,
    inbox: String,
    expires: Duration,
    subscriber: Subscriber,
    open: usize,
    lost_at: Instant,
}

impl Pull {
    pub(super) async fn new(bus: &Bus, spec: &ConsumerSpec) -> Result<Self, Source> {
        let inbox = bus.client().new_inbox();
        let subscriber = bus.client().subscribe(inbox.clone()).await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", spec.stream, spec.durable);
        let expires = EXPIRES.min(spec.ack_wait / 2);
        Ok(Self { bus: bus.clone(), subject, inbox, expires, subscriber, open: 0, lost_at: Instant::now() })
    }

    /// Whether a request is open.
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Forgets the open request: it was made on another connection, or is lost.
    pub(super) fn abandon(&mut self) {
        self.open = 0;
    }

    /// Asks for up to `batch` messages.
    pub(super) async fn request(&mut self, batch: usize) -> Result<(), Source> {
        let expires = u64::try_from(self.expires.as_nanos()).unwrap_or(u64::MAX);
        let body = serde_json::to_vec(&Request { batch, expires })?;
        let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
        self.bus.client().publish_with_reply(subject, inbox, body.into()).await?;
        self.open = batch;
        self.lost_at = Instant::now() + self.expires + LOST_AFTER;
        Ok(())
    }

    /// The next message or end of the request. Cancel safe.
    pub(super) async fn next(&mut self) -> Pulled {
        let received = tokio::select! {
            received = self.subscriber.next() => received,
            () = tokio::time::sleep_until(self.lost_at), if self.open > 0 => {
                self.open = 0;
                return Pulled::Ended;
            }
        };
        let Some(message) = received else { return Pulled::Closed };
        match message.status {
            None | Some(StatusCode::OK) => {
                self.open = self.open.saturating_sub(1);
                let context = self.bus.jetstream().clone();
                Pulled::Message(Box::new(Message { message, context }))
            }
            Some(StatusCode::IDLE_HEARTBEAT) => Pulled::Ended,
            Some(StatusCode::NO_RESPONDERS) => {
                self.open = 0;
                Pulled::NoResponders
            }
            Some(_) => {
                self.open = 0;
                let said = message.description.as_deref().unwrap_or_default();
                if said.eq_ignore_ascii_case("Consumer Deleted") {
                    Pulled::ConsumerGone
                } else {
                    Pulled::Ended
                }
            }
        }
    }

    /// Unsubscribes; [`Pull::next`] then gives what was sent before, and `Closed`.
    pub(super) async fn stop(&mut self) {
        self.open = 0;
        let _connection_gone = self.subscriber.drain().await;
    }
}
