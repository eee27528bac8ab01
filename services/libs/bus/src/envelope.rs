//! CloudEvents 1.0 in NATS binary mode: attributes in `ce-*` headers, the protobuf message as body.
//!
//! Header names are written in lower case and read in any case (the binding says insensitive, the
//! broker compares exactly). Values are percent-encoded as the binding says; what does not decode
//! to UTF-8 is refused.

use async_nats::HeaderMap;
use bytes::Bytes;
use mlp_model::{Context, Fact, FactId, Flow};

use crate::event::Event;
use crate::subject::{SubjectError, Topic};

pub(crate) mod percent;

/// The CloudEvents version spoken here.
pub const SPEC_VERSION: &str = "1.0";
/// Media type of the body.
pub const CONTENT_TYPE: &str = "application/protobuf";
/// W3C trace context of the hop: the span that published.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context of the origin: the flow's root; never rewritten on the way.
pub const CE_TRACEPARENT: &str = "ce-traceparent";

/// Why a fact cannot be put on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// One of the fact's parts is no subject token.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A required attribute has no characters.
    #[error("attribute `{0}` is empty; a fact needs it")]
    Empty(&'static str),
}

/// Why a message is no event of ours. Such a message goes to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The subject is outside the grammar.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A required header is absent or empty.
    #[error("header `{0}` is missing; CloudEvents binary mode needs it")]
    Missing(&'static str),
    /// A header occurs with different values.
    #[error("header `{0}` occurs twice with different values")]
    Ambiguous(&'static str),
    /// A header's percent-encoding is broken or does not decode to UTF-8.
    #[error("header `{0}` is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// Another version of CloudEvents.
    #[error("ce-specversion is `{0}`; this platform speaks {SPEC_VERSION}")]
    SpecVersion(String),
    /// The body is not protobuf, or the message is in structured mode.
    #[error("content type is `{0}`; this platform speaks binary mode with {CONTENT_TYPE}")]
    ContentType(String),
    /// The sequence is no number.
    #[error("ce-sequence is `{0}`; it must be the aggregate's transition number")]
    Sequence(String),
}

impl Malformed {
    /// A stable CamelCase word for dead letters and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Subject(_) => "MalformedSubject",
            Self::Missing(_) => "MissingAttribute",
            Self::Ambiguous(_) => "AmbiguousAttribute",
            Self::Encoding(_) => "InvalidEncoding",
            Self::SpecVersion(_) => "UnknownSpecVersion",
            Self::ContentType(_) => "UnknownContentType",
            Self::Sequence(_) => "InvalidSequence",
        }
    }
}

/// CloudEvents `source` of a context's facts.
pub fn source(context: Context) -> String {
    format!("/mlp/{}", context.as_str())
}

/// CloudEvents `dataschema` of a message type: a URI that names the message in the protos.
pub fn data_schema(message_type: &str) -> String {
    format!("proto:{message_type}")
}

/// A fact as subject, headers and body, without trace context of the hop.
///
/// # Errors
/// [`EncodeError`] when a part of the fact has no valid form.
pub fn encode(fact: &Fact) -> Result<(Topic, HeaderMap, Bytes), EncodeError> {
    let topic = Topic::of(fact)?;
    let required = [("id", fact.id.as_str()), ("type", &fact.message_type), ("subject", &fact.subject)];
    if let Some((name, _)) = required.into_iter().find(|(_, value)| value.is_empty()) {
        return Err(EncodeError::Empty(name));
    }
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| headers.insert(name, percent::encode(value));
    set("ce-specversion", SPEC_VERSION);
    set("ce-id", fact.id.as_str());
    set("ce-source", &source(fact.context));
    set("ce-type", &fact.message_type);
    set("ce-subject", &fact.subject);
    set("ce-datacontenttype", CONTENT_TYPE);
    set("content-type", CONTENT_TYPE);
    set("ce-dataschema", &data_schema(&fact.message_type));
    set("ce-partitionkey", &fact.aggregate);
    set("ce-sequence", &format!("{:020}", fact.version));
    if !fact.time.is_empty() {
        set("ce-time", &fact.time);
    }
    if !fact.flow.is_empty() {
        set(CE_TRACEPARENT, &fact.flow);
    }
    Ok((topic, headers, Bytes::from(fact.data.clone())))
}

/// Reads a delivered message.
///
/// # Errors
/// [`Malformed`] names the header or token that is wrong.
pub fn decode(
    subject: &str,
    headers: Option<&HeaderMap>,
    data: Bytes,
    delivery: u64,
) -> Result<Event, Malformed> {
    let read = Reader(headers);
    let version = read.required("ce-specversion")?;
    if version != SPEC_VERSION {
        return Err(Malformed::SpecVersion(version));
    }
    for name in ["content-type", "ce-datacontenttype"] {
        if let Some(found) = read.optional(name)?
            && found != CONTENT_TYPE
        {
            return Err(Malformed::ContentType(found));
        }
    }
    let sequence = read.required("ce-sequence")?;
    let number = sequence.parse().ok().filter(|_| sequence.bytes().all(|b| b.is_ascii_digit()));
    let topic = Topic::delivered(subject)?;
    Ok(Event {
        id: FactId::from_wire(&read.required("ce-id")?),
        source: read.required("ce-source")?,
        message_type: read.required("ce-type")?,
        subject: read.required("ce-subject")?,
        team: topic.team.clone(),
        aggregate: topic.aggregate.clone(),
        topic,
        version: number.ok_or(Malformed::Sequence(sequence))?,
        time: read.optional("ce-time")?.unwrap_or_default(),
        flow: read.trace(CE_TRACEPARENT),
        traceparent: read.trace(TRACEPARENT),
        data,
        delivery,
    })
}

/// Reads headers whatever the case of their names.
pub(crate) struct Reader<'a>(pub(crate) Option<&'a HeaderMap>);

impl Reader<'_> {
    fn required(&self, name: &'static str) -> Result<String, Malformed> {
        self.optional(name)?.filter(|value| !value.is_empty()).ok_or(Malformed::Missing(name))
    }

    pub(crate) fn optional(&self, name: &'static str) -> Result<Option<String>, Malformed> {
        let mut values = self.raw(name);
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(Malformed::Ambiguous(name));
        }
        percent::decode(first).map(Some).ok_or(Malformed::Encoding(name))
    }

    /// A broken trace context is no reason to refuse an event: it reads as none.
    fn trace(&self, name: &'static str) -> Option<String> {
        self.optional(name).ok().flatten().filter(|text| Flow::parse(text).is_some())
    }

    fn raw(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let all = self.0.into_iter().flat_map(HeaderMap::iter);
        let named = all.filter(move |(key, _)| AsRef::<str>::as_ref(*key).eq_ignore_ascii_case(name));
        named.flat_map(|(_, values)| values).map(async_nats::HeaderValue::as_str)
    }
}

#[cfg(test)]
mod tests;
