//! Reading along: an ordered consumer per stream, no acknowledgements, nothing left behind.

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::{Stream, StreamExt as _, stream};
use mlp_model::Context;

use crate::connection::Bus;
use crate::envelope::{self, Malformed};
use crate::error::{EnsureError, Source};
use crate::event::Event;
use crate::topology::Start;

/// What to read along.
#[derive(Clone, Debug, Default)]
pub struct TailOptions {
    /// Facts of this team only.
    pub team: Option<String>,
    /// Facts of these contexts; empty means all.
    pub contexts: Vec<Context>,
    /// From the oldest fact kept, or with the next.
    pub start: Start,
    /// End with what is stored at the call, instead of waiting for more.
    pub stored_only: bool,
}

/// One message read along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tailed {
    /// The stream.
    pub stream: String,
    /// Sequence there.
    pub sequence: u64,
    /// RFC 3339 time at which the broker stored it.
    pub stored: String,
    /// The subject.
    pub subject: String,
    /// The event, or what is wrong with it.
    pub event: Result<Event, Malformed>,
}

impl Bus {
    /// Reads facts as they come, in order within a context. With [`Start::All`] the past comes first.
    ///
    /// # Errors
    /// [`EnsureError::Unavailable`] when a stream does not answer; later failures are items.
    pub async fn tail(
        &self,
        options: &TailOptions,
    ) -> Result<impl Stream<Item = Result<Tailed, Source>> + Send + use<>, EnsureError> {
        let all = Context::ALL.to_vec();
        let contexts = if options.contexts.is_empty() { all } else { options.contexts.clone() };
        let mut sources = Vec::with_capacity(contexts.len());
        for context in contexts {
            let opened = self.tail_one(context, options).await;
            let what = format!("stream {}", context.stream());
            let opened = opened.map_err(|source| EnsureError::Unavailable { what, source })?;
            let (messages, limit) = opened;
            let read = |message: Result<_, _>| message.map_err(Source::from).and_then(|found| read(&found));
            sources.push(messages.take(limit).map(read));
        }
        Ok(stream::select_all(sources))
    }

    /// The messages of one stream, and how many of them to read.
    async fn tail_one(
        &self,
        context: Context,
        options: &TailOptions,
    ) -> Result<(pull::Ordered, usize), Source> {
        let team = options.team.as_deref().unwrap_or("*");
        let config = pull::OrderedConfig {
            filter_subject: format!("mlp.{}.*.*.{team}.*", context.as_str()),
            deliver_policy: match options.start {
                Start::All => DeliverPolicy::All,
                Start::New => DeliverPolicy::New,
            },
            ..Default::default()
        };
        let stream = self.jetstream().get_stream_no_info(context.stream()).await?;
        let consumer = stream.create_consumer(config).await?;
        let stored = usize::try_from(consumer.cached_info().num_pending).unwrap_or(usize::MAX);
        let limit = if options.stored_only { stored } else { usize::MAX };
        Ok((consumer.messages().await?, limit))
    }
}

fn read(message: &async_nats::jetstream::Message) -> Result<Tailed, Source> {
    let info = message.info()?;
    Ok(Tailed {
        stream: info.stream.to_owned(),
        sequence: info.stream_sequence,
        stored: rfc3339(info.published.unix_timestamp_nanos()),
        subject: message.subject.to_string(),
        event: envelope::decode(&message.subject, message.headers.as_ref(), message.payload.clone(), 1),
    })
}

/// A server's time as text.
pub(crate) fn rfc3339(nanoseconds: i128) -> String {
    jiff::Timestamp::from_nanosecond(nanoseconds).map(|time| time.to_string()).unwrap_or_default()
}
