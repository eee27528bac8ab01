//! Reading dead letters.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::StreamExt as _;

use super::{CONSUMER, DELIVERIES, DETAIL, HEADERS, ORIGIN, REASON, SEQUENCE, STREAM, SUBJECT, unblock};
use crate::connection::Bus;
use crate::envelope::{Reader, TRACEPARENT};
use crate::error::{EnsureError, Source};
use crate::event::Event;

/// How long the next dead letter may take before a listing fails.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// Which dead letters; nothing set means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this consumer.
    pub consumer: Option<String>,
    /// Of this team.
    pub team: Option<String>,
    /// With this reason.
    pub reason: Option<String>,
    /// With this sequence in DEADLETTER.
    pub sequence: Option<u64>,
}

/// A message that a consumer gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Sequence in DEADLETTER.
    pub sequence: u64,
    /// RFC 3339 time at which it was given up.
    pub time: String,
    /// The durable that gave it up.
    pub consumer: String,
    /// The stream it came from.
    pub stream: String,
    /// Its sequence there.
    pub stream_sequence: u64,
    /// The subject it was delivered on.
    pub subject: String,
    /// How often it was delivered.
    pub deliveries: u64,
    /// A stable word.
    pub reason: String,
    /// What the handler said, with causes.
    pub error: String,
    /// `traceparent` of the span that gave it up.
    pub traceparent: Option<String>,
    /// The original header block, byte for byte.
    pub headers: Bytes,
    /// The original body, byte for byte.
    pub data: Bytes,
}

impl DeadLetter {
    /// The original as an event, where it is one.
    pub fn event(&self) -> Option<Event> {
        let headers = unblock(&self.headers)?;
        crate::envelope::decode(&self.subject, Some(&headers), self.data.clone(), self.deliveries).ok()
    }

    fn read(sequence: u64, time: String, headers: Option<&HeaderMap>, data: Bytes) -> Self {
        let read = Reader(headers);
        let text = |name| read.optional(name).ok().flatten().unwrap_or_default();
        Self {
            sequence,
            time,
            consumer: text(CONSUMER),
            stream: text(ORIGIN),
            stream_sequence: text(SEQUENCE).parse().unwrap_or_default(),
            subject: text(SUBJECT),
            deliveries: text(DELIVERIES).parse().unwrap_or_default(),
            reason: text(REASON),
            error: text(DETAIL),
            traceparent: Some(text(TRACEPARENT)).filter(|text| !text.is_empty()),
            headers: BASE64.decode(text(HEADERS)).unwrap_or_default().into(),
            data,
        }
    }

    fn is_wanted(&self, filter: &Filter) -> bool {
        let team = || crate::subject::Topic::delivered(&self.subject).ok().map(|topic| topic.team);
        filter.team.as_ref().is_none_or(|wanted| team().as_ref() == Some(wanted))
            && filter.reason.as_ref().is_none_or(|wanted| *wanted == self.reason)
            && filter.sequence.is_none_or(|wanted| wanted == self.sequence)
    }
}

impl Bus {
    /// Dead letters, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`EnsureError::Unavailable`] when the broker or the DEADLETTER stream does not answer.
    pub async fn dead_letters(&self, filter: &Filter, limit: usize) -> Result<Vec<DeadLetter>, EnsureError> {
        let failed = |source: Source| EnsureError::Unavailable { what: format!("stream {STREAM}"), source };
        let consumer = filter.consumer.as_deref().unwrap_or("*");
        let config = pull::OrderedConfig {
            filter_subject: format!("mlp.deadletter.{consumer}.>"),
            deliver_policy: DeliverPolicy::All,
            ..Default::default()
        };
        let stream =
            self.jetstream().get_stream_no_info(STREAM).await.map_err(|error| failed(error.into()))?;
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(error.into()))?;
        let mut waiting = consumer.cached_info().num_pending;
        let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
        let mut found = Vec::new();
        while waiting > 0 && found.len() < limit {
            let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
            let next = next.map_err(|elapsed| failed(elapsed.into()))?;
            let message = next.ok_or_else(|| failed("the listing ended early".into()))?;
            let message = message.map_err(|error| failed(error.into()))?;
            let info = message.info().map_err(failed)?;
            waiting = info.pending;
            let time = crate::tail::rfc3339(info.published.unix_timestamp_nanos());
            let (sequence, data) = (info.stream_sequence, message.payload.clone());
            let letter = DeadLetter::read(sequence, time, message.headers.as_ref(), data);
            if letter.is_wanted(filter) {
                found.push(letter);
            }
        }
        Ok(found)
    }
}
