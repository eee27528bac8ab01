//! What a handler sees of a message.

use bytes::Bytes;
use mlp_model::{Fact, FactId};

use crate::subject::{SubjectError, Topic};

/// One delivered fact. The body is kept as bytes: re-encoding would drop unknown fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Deterministic id; the same on every delivery and after a redrive.
    pub id: FactId,
    /// CloudEvents `source`: `/mlp/<context>`.
    pub source: String,
    /// CloudEvents `type`: full protobuf message name.
    pub message_type: String,
    /// CloudEvents `subject`: the aggregate's path, for example `teams/ml`.
    pub subject: String,
    /// The tokens of the NATS subject.
    pub topic: Topic,
    /// The team concerned, or `_platform`.
    pub team: String,
    /// uid of the aggregate.
    pub aggregate: String,
    /// Transition number of the aggregate; fence by it.
    pub version: u64,
    /// RFC 3339 time of the transition; empty where the sender gave none.
    pub time: String,
    /// `traceparent` of the flow's root.
    pub flow: Option<String>,
    /// `traceparent` of the span that published.
    pub traceparent: Option<String>,
    /// Encoded protobuf message.
    pub data: Bytes,
    /// How often the server has delivered this message, from 1.
    pub delivery: u64,
}

impl Event {
    /// The event that consumers of a published fact receive on first delivery.
    ///
    /// # Errors
    /// [`SubjectError`] when one of the fact's parts is no valid token.
    pub fn of(fact: &Fact) -> Result<Self, SubjectError> {
        let topic = Topic::of(fact)?;
        Ok(Self {
            id: fact.id.clone(),
            source: crate::envelope::source(fact.context),
            message_type: fact.message_type.clone(),
            subject: fact.subject.clone(),
            team: topic.team.clone(),
            aggregate: topic.aggregate.clone(),
            topic,
            version: fact.version,
            time: fact.time.clone(),
            flow: Some(fact.flow.clone()).filter(|flow| !flow.is_empty()),
            traceparent: fact.cause.clone(),
            data: Bytes::from(fact.data.clone()),
            delivery: 1,
        })
    }
}
