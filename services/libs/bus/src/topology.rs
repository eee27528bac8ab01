//! Streams and consumers as data: `deploy/streams/*.yaml`.
//!
//! The files are compiled in, so that every service carries the definition it was built with;
//! [`Topology::parse`] reads others. Nothing is ever deleted on the word of a file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::subject::{SubjectError, check_durable};

mod span;

/// `deploy/streams/streams.yaml`.
const STREAMS: &str = include_str!("../../../../deploy/streams/streams.yaml");
/// `deploy/streams/consumers.yaml`.
const CONSUMERS: &str = include_str!("../../../../deploy/streams/consumers.yaml");

/// The longest durable: `-exhausted` is added for the reader of its advisories, within 64.
const DURABLE_MAX: usize = 54;

/// A definition that cannot be applied. The message names the entry and the fix.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The file is not of the expected form.
    #[error("the streams definition cannot be read: {0}")]
    Syntax(String),
    /// A consumer's name is no subject token.
    #[error("a consumer is misnamed")]
    Durable(#[from] SubjectError),
    /// A value is outside its range.
    #[error("{entry}: {field} {problem}")]
    Value {
        /// Name of the stream or consumer.
        entry: String,
        /// The field.
        field: &'static str,
        /// What is wrong and what to write.
        problem: &'static str,
    },
    /// No consumer of that name is defined.
    #[error("no consumer `{0}` in deploy/streams/consumers.yaml; add it there")]
    UnknownConsumer(String),
}

/// One JetStream stream: file storage, `limits` retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamSpec {
    /// Name, for example `TEAM`.
    pub name: String,
    /// What it holds, for people.
    pub description: String,
    /// Subjects it captures.
    pub subjects: Vec<String>,
    /// Copies; 1 embedded, 3 elsewhere (see [`Topology::with_replicas`]).
    #[serde(default = "one")]
    pub replicas: usize,
    /// Messages older than this go.
    #[serde(with = "span")]
    pub max_age: Duration,
    /// The oldest messages go when the stream is larger, in bytes.
    pub max_bytes: i64,
    /// Largest message taken, headers included, in bytes.
    pub max_message_bytes: i32,
    /// How long the broker recognises a repeated `Nats-Msg-Id`. Saves work only; consumers fence.
    #[serde(with = "span", default = "two_minutes")]
    pub duplicate_window: Duration,
}

/// One durable pull consumer and how it is worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerSpec {
    /// Durable name, unique over all streams: `<service>-<context>`.
    pub durable: String,
    /// The stream read.
    pub stream: String,
    /// Subjects read; the consumer's redrive subject is added by [`ConsumerSpec::subjects`].
    pub filters: Vec<String>,
    /// Without an answer for this long, a message is delivered again. Kept alive while it is worked.
    #[serde(with = "span", default = "thirty_seconds")]
    pub ack_wait: Duration,
    /// Delays after the first, second, … failed delivery; the last one repeats. Jitter is added.
    #[serde(with = "span::list", default = "default_back_off")]
    pub back_off: Vec<Duration>,
    /// After so many failed deliveries the message goes to the dead letters.
    #[serde(default = "default_max_deliver")]
    pub max_deliver: u64,
    /// Unacknowledged messages over all instances, delayed ones included.
    #[serde(default = "default_max_ack_pending")]
    pub max_ack_pending: i64,
    /// Handlers that run at once: the worker pool.
    #[serde(default = "default_workers")]
    pub workers: usize,
    /// Messages held in memory at once, running ones included.
    #[serde(default = "default_buffer")]
    pub buffer: usize,
    /// A handler that runs longer is stopped and its message tried again.
    #[serde(with = "span", default = "five_minutes")]
    pub handler_cap: Duration,
    /// With messages waiting and none delivered for this long, the pull is made anew.
    #[serde(with = "span", default = "thirty_seconds")]
    pub stall_after: Duration,
    /// Where a new consumer starts: `all` (the default) or `new`.
    #[serde(default)]
    pub start: Start,
}

/// Where a reader starts in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// From the oldest message kept.
    #[default]
    All,
    /// With the next message.
    New,
}

/// All streams and consumers of the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The streams.
    pub streams: Vec<StreamSpec>,
    /// The consumers.
    pub consumers: Vec<ConsumerSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamFile {
    streams: Vec<StreamSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerFile {
    consumers: Vec<ConsumerSpec>,
}

impl Topology {
    /// The definition in `deploy/streams` as of the build.
    ///
    /// # Errors
    /// [`DefinitionError`] when the files are wrong; a test keeps them right.
    pub fn builtin() -> Result<Self, DefinitionError> {
        Self::parse(STREAMS, CONSUMERS)
    }

    /// Reads the two files (YAML, of which JSON is a part).
    ///
    /// # Errors
    /// [`DefinitionError`] names the entry and the field.
    pub fn parse(streams: &str, consumers: &str) -> Result<Self, DefinitionError> {
        let syntax = |error: serde_saphyr::Error| DefinitionError::Syntax(error.to_string());
        let StreamFile { streams } = serde_saphyr::from_str(streams).map_err(syntax)?;
        let ConsumerFile { consumers } = serde_saphyr::from_str(consumers).map_err(syntax)?;
        streams.iter().try_for_each(StreamSpec::check)?;
        consumers.iter().try_for_each(ConsumerSpec::check)?;
        Ok(Self { streams, consumers })
    }

    /// The same streams with another number of copies (1, 3 or 5).
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.streams.iter_mut().for_each(|stream| stream.replicas = replicas);
        self
    }

    /// The consumer of that name.
    ///
    /// # Errors
    /// [`DefinitionError::UnknownConsumer`] when the files define none.
    pub fn consumer(&self, durable: &str) -> Result<ConsumerSpec, DefinitionError> {
        let found = self.consumers.iter().find(|consumer| consumer.durable == durable);
        found.cloned().ok_or_else(|| DefinitionError::UnknownConsumer(durable.to_owned()))
    }
}

impl StreamSpec {
    /// Checks the ranges that the broker would refuse, or worse accept.
    ///
    /// # Errors
    /// [`DefinitionError::Value`] names the field.
    pub fn check(&self) -> Result<(), DefinitionError> {
        let refuse =
            |field, problem| Err(DefinitionError::Value { entry: self.name.clone(), field, problem });
        match self {
            _ if self.subjects.is_empty() => refuse("subjects", "is empty; name at least one"),
            _ if ![1, 3, 5].contains(&self.replicas) => refuse("replicas", "must be 1, 3 or 5"),
            _ if self.max_bytes <= 0 => refuse("maxBytes", "must be above 0: streams are bounded"),
            _ if self.max_age.is_zero() => refuse("maxAge", "must be above 0: streams are bounded"),
            _ if self.max_message_bytes <= 0 => refuse("maxMessageBytes", "must be above 0"),
            _ => Ok(()),
        }
    }
}

impl ConsumerSpec {
    /// A consumer of `stream` with the default limits.
    pub fn new(durable: &str, stream: &str, filters: &[&str]) -> Self {
        Self {
            durable: durable.to_owned(),
            stream: stream.to_owned(),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            ack_wait: thirty_seconds(),
            back_off: default_back_off(),
            max_deliver: default_max_deliver(),
            max_ack_pending: default_max_ack_pending(),
            workers: default_workers(),
            buffer: default_buffer(),
            handler_cap: five_minutes(),
            stall_after: thirty_seconds(),
            start: Start::All,
        }
    }

    /// Every subject the consumer reads: its filters and its own redrive subject.
    pub fn subjects(&self) -> Vec<String> {
        let mut subjects = self.filters.clone();
        subjects.push(format!("mlp.redrive.{}.>", self.durable));
        subjects
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`DefinitionError`] names the field.
    pub fn check(&self) -> Result<(), DefinitionError> {
        check_durable(&self.durable)?;
        let refuse =
            |field, problem| Err(DefinitionError::Value { entry: self.durable.clone(), field, problem });
        let buffer = i64::try_from(self.buffer).unwrap_or(i64::MAX);
        match self {
            _ if self.durable.len() > DURABLE_MAX => refuse("durable", "must have at most 54 characters"),
            _ if self.filters.is_empty() => refuse("filters", "is empty; name at least one subject"),
            _ if self.ack_wait < Duration::from_secs(1) => refuse("ackWait", "must be at least 1s"),
            _ if self.back_off.is_empty() => refuse("backOff", "is empty; name at least one delay"),
            _ if self.back_off.contains(&Duration::ZERO) => {
                refuse("backOff", "must hold no 0s: a NAK has a delay")
            }
            _ if self.max_deliver == 0 => refuse("maxDeliver", "must be above 0: poison must end"),
            _ if self.workers == 0 => refuse("workers", "must be above 0"),
            _ if self.buffer < self.workers => refuse("buffer", "must be at least workers"),
            _ if self.max_ack_pending < buffer => refuse("maxAckPending", "must be at least buffer"),
            _ if self.handler_cap.is_zero() => refuse("handlerCap", "must be above 0s"),
            _ if self.stall_after < Duration::from_secs(1) => refuse("stallAfter", "must be at least 1s"),
            _ => Ok(()),
        }
    }
}

fn one() -> usize {
    1
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn default_back_off() -> Vec<Duration> {
    [1, 5, 15, 60, 300].map(Duration::from_secs).to_vec()
}

fn default_max_deliver() -> u64 {
    10
}

fn default_max_ack_pending() -> i64 {
    1024
}

fn default_workers() -> usize {
    8
}

fn default_buffer() -> usize {
    64
}

#[cfg(test)]
mod tests;
