//! From a fact to the broker's acknowledgement.
//!
//! The second await is the acknowledgement, and nothing counts before it. Retries carry the same
//! `Nats-Msg-Id`, so an attempt that was stored unseen is recognised. Stream subjects are never
//! published to without waiting for the acknowledgement.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use mlp_model::{Classified as _, Fact};
use tracing::{Instrument as _, debug};

use crate::backoff::Backoff;
use crate::connection::Bus;
use crate::envelope::{self, TRACEPARENT};
use crate::error::PublishError;
use crate::fault::FaultPoint;
use crate::{metrics, trace};

mod verdict;

use verdict::Verdict;

/// How long one publish is tried: longer than an election takes (5 to 7 s were measured).
pub const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);
/// The largest protobuf message taken, so that it fits a stream with its headers.
pub const FACT_LIMIT: usize = 192 * 1024;
/// Delays between attempts.
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };

/// Where the broker stored a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The stream.
    pub stream: String,
    /// Its sequence there; of the first copy, when it is a duplicate.
    pub sequence: u64,
    /// Whether the broker had the fact already.
    pub duplicate: bool,
}

/// Publishes facts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    bus: Bus,
    deadline: Duration,
}

impl Publisher {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, deadline: PUBLISH_DEADLINE }
    }

    /// The same publisher giving up after another time than [`PUBLISH_DEADLINE`].
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Publishes a fact and waits until the broker has stored it.
    ///
    /// # Errors
    /// [`PublishError`]; its class says whether the same fact may be tried again.
    pub async fn publish(&self, fact: &Fact) -> Result<Published, PublishError> {
        let (topic, mut headers, body) = envelope::encode(fact)?;
        if body.len() > FACT_LIMIT {
            return Err(PublishError::TooLarge { size: body.len(), limit: FACT_LIMIT });
        }
        let span = trace::send(fact, &topic);
        let hop = trace::traceparent(&span).or_else(|| fact.cause.clone());
        if let Some(hop) = hop.or_else(|| Some(fact.flow.clone())).filter(|hop| !hop.is_empty()) {
            headers.insert(TRACEPARENT, hop);
        }
        let (stream, started) = (fact.context.stream(), Instant::now());
        let stored = self
            .store(stream, &topic.to_string(), fact.id.as_str(), headers, body)
            .instrument(span.clone())
            .await;
        let (labels, metrics) = (metrics::publisher(stream, &topic.template()), self.bus.metrics());
        metrics.publish_duration.record(started.elapsed().as_secs_f64(), &labels);
        match &stored {
            Ok(published) => {
                metrics.published.add(1, &labels);
                metrics.duplicates.add(u64::from(published.duplicate), &labels);
            }
            Err(error) => trace::failed(&span, error.reason()),
        }
        stored
    }

    /// Notes that a fact will never be published.
    pub(crate) fn gave_up(&self, fact: &Fact, error: &PublishError) {
        let (id, reason) = (fact.id.as_str(), error.reason());
        tracing::error!(id, reason, %error, subject = fact.subject, "fact given up, it cannot be published");
        let [system, stream, _] = metrics::publisher(fact.context.stream(), "");
        self.bus.metrics().dead.add(1, &[system, stream, opentelemetry::KeyValue::new("error.type", reason)]);
    }

    /// Stores one message under an id of its own, retrying what may pass.
    pub(crate) async fn store(
        &self,
        stream: &str,
        subject: &str,
        id: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Published, PublishError> {
        headers.insert(NATS_MESSAGE_ID, id);
        headers.insert(NATS_EXPECTED_STREAM, stream);
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.attempt(subject, headers.clone(), body.clone()).await {
                Ok(ack) => {
                    self.bus.faults().hit(FaultPoint::PublishAcked);
                    return Ok(Published {
                        stream: ack.stream,
                        sequence: ack.sequence,
                        duplicate: ack.duplicate,
                    });
                }
                Err(error) => error,
            };
            let delay = RETRY.delay(attempt);
            match verdict::of(&error) {
                Verdict::Retry if started.elapsed() + delay < self.deadline => {
                    debug!(stream, attempt, %error, "publish will be tried again");
                    tokio::time::sleep(delay).await;
                }
                Verdict::Retry if self.is_frozen(stream, &error).await => {
                    return Err(self.give_up(Verdict::Full, stream, body.len(), error));
                }
                verdict => return Err(self.give_up(verdict, stream, body.len(), error)),
            }
        }
    }

    async fn attempt(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<PublishAck, async_nats::jetstream::context::PublishError> {
        let jetstream = self.bus.jetstream();
        let acknowledgement = jetstream.publish_with_headers(subject.to_owned(), headers, body).await?;
        self.bus.faults().hit(FaultPoint::PublishSent);
        acknowledgement.await
    }

    /// Whether the stream has a leader that answers questions and yet stores nothing: nats-server
    /// does this from 2.14 on after a write error.
    async fn is_frozen(&self, stream: &str, error: &async_nats::jetstream::context::PublishError) -> bool {
        error.kind() == PublishErrorKind::TimedOut && self.bus.jetstream().get_stream(stream).await.is_ok()
    }

    fn give_up(
        &self,
        verdict: Verdict,
        stream: &str,
        size: usize,
        error: async_nats::jetstream::context::PublishError,
    ) -> PublishError {
        let stream = stream.to_owned();
        match verdict {
            Verdict::Full => PublishError::StorageFull { stream, source: error.into() },
            Verdict::Refused if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                PublishError::TooLarge { size, limit: FACT_LIMIT }
            }
            Verdict::Refused => PublishError::Refused { stream, source: error.into() },
            Verdict::Retry => {
                PublishError::NoAck { stream, seconds: self.deadline.as_secs(), source: error.into() }
            }
        }
    }
}
