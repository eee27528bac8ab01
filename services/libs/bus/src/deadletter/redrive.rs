//! Sending a dead letter back to the consumer that gave it up, and to no other.

use async_nats::HeaderMap;
use mlp_model::{Class, Classified, Context};
use serde_json::json;

use super::{DeadLetter, Filter, STREAM, unblock};
use crate::connection::Bus;
use crate::error::{EnsureError, PublishError, Source};
use crate::fault::FaultPoint;
use crate::subject::{MALFORMED, REDRIVE, ROOT, Topic};

/// At most this many dead letters are sent back by one call.
const REDRIVE_LIMIT: usize = 10_000;

/// A dead letter that was sent back, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// Sequence in DEADLETTER.
    pub sequence: u64,
    /// The consumer it goes to.
    pub consumer: String,
    /// The subject it is sent on.
    pub subject: String,
}

/// Why a redrive stopped. What was sent before stays sent.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The dead letters cannot be read.
    #[error("the dead letters cannot be read")]
    List(#[from] EnsureError),
    /// The original's headers are not text, so the client cannot send them.
    #[error("dead letter {0} has headers that are not UTF-8; it can be read but not sent back")]
    Headers(u64),
    /// The origin is no stream of ours.
    #[error("dead letter {0} names no stream of a context; it can be read but not sent back")]
    Origin(u64),
    /// The message, or the audit record, was not stored.
    #[error("dead letter {sequence} was not sent back")]
    Publish {
        /// Sequence in DEADLETTER.
        sequence: u64,
        /// What failed.
        source: PublishError,
    },
    /// It was sent back and is still listed.
    #[error("dead letter {sequence} was sent back and could not be removed; sending it again is harmless")]
    Remove {
        /// Sequence in DEADLETTER.
        sequence: u64,
        /// What failed.
        source: Source,
    },
}

impl Classified for RedriveError {
    fn class(&self) -> Class {
        match self {
            Self::List(error) => error.class(),
            Self::Headers(_) | Self::Origin(_) => Class::Terminal,
            Self::Publish { source, .. } => source.class(),
            Self::Remove { .. } => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::List(error) => error.reason(),
            Self::Headers(_) => "InvalidHeaders",
            Self::Origin(_) => "UnknownOrigin",
            Self::Publish { source, .. } => source.reason(),
            Self::Remove { .. } => "NotRemoved",
        }
    }
}

impl Bus {
    /// Sends dead letters back to their consumers. Each is stored under an id made of its place in
    /// DEADLETTER, recorded in AUDIT as asked for by `who`, then removed; repeating after a crash
    /// is harmless. With `dry_run` nothing is sent.
    ///
    /// # Errors
    /// [`RedriveError`] names the dead letter at which it stopped.
    pub async fn redrive(
        &self,
        filter: &Filter,
        who: &str,
        dry_run: bool,
    ) -> Result<Vec<Redriven>, RedriveError> {
        let mut done = Vec::new();
        for letter in self.dead_letters(filter, REDRIVE_LIMIT).await? {
            let subject = subject(&letter)?;
            let headers = headers(&letter)?;
            let redriven = Redriven { sequence: letter.sequence, consumer: letter.consumer.clone(), subject };
            if !dry_run {
                self.send_back(&letter, &redriven.subject, headers, who).await?;
            }
            done.push(redriven);
        }
        Ok(done)
    }

    async fn send_back(
        &self,
        letter: &DeadLetter,
        subject: &str,
        headers: HeaderMap,
        who: &str,
    ) -> Result<(), RedriveError> {
        let (sequence, publisher) = (letter.sequence, self.publisher());
        let failed = |source| RedriveError::Publish { sequence, source };
        let id = format!("redrive/{}/{}/{}", letter.consumer, letter.stream, letter.stream_sequence);
        let data = letter.data.clone();
        publisher.store(&letter.stream, subject, &id, headers, data).await.map_err(failed)?;
        self.faults().hit(FaultPoint::RedriveStored);
        let record = json!({
            "action": "redrive", "by": who, "consumer": letter.consumer, "stream": letter.stream,
            "sequence": letter.stream_sequence, "reason": letter.reason, "subject": letter.subject,
        });
        let audit = format!("mlp.audit.redrive.{}", letter.consumer);
        let body = record.to_string().into_bytes().into();
        publisher.store("AUDIT", &audit, &id, HeaderMap::new(), body).await.map_err(failed)?;
        let removed = async {
            let stream = self.jetstream().get_stream_no_info(STREAM).await?;
            stream.delete_message(sequence).await.map_err(Source::from)
        };
        removed.await.map(|_| ()).map_err(|source| RedriveError::Remove { sequence, source })
    }
}

fn subject(letter: &DeadLetter) -> Result<String, RedriveError> {
    if let Ok(topic) = Topic::delivered(&letter.subject) {
        return Ok(topic.redrive(&letter.consumer));
    }
    let context = Context::ALL.into_iter().find(|context| context.stream() == letter.stream);
    let context = context.ok_or(RedriveError::Origin(letter.sequence))?.as_str();
    Ok(format!("{ROOT}.{REDRIVE}.{}.{context}.{MALFORMED}", letter.consumer))
}

/// The original headers without the broker's own.
fn headers(letter: &DeadLetter) -> Result<HeaderMap, RedriveError> {
    let original = unblock(&letter.headers).ok_or(RedriveError::Headers(letter.sequence))?;
    let mut kept = HeaderMap::new();
    for (name, values) in original.iter() {
        let text: &str = name.as_ref();
        if !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) {
            values.iter().for_each(|value| kept.append(name.clone(), value.clone()));
        }
    }
    Ok(kept)
}
