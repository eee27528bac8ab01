//! What a failed attempt to publish means.

use std::error::Error as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// May pass: no leader, no answer, too many requests.
    Retry,
    /// The server has no room; it stored nothing.
    Full,
    /// The server will refuse the same message again.
    Refused,
}

/// Codes by which a server says that it has no room.
const FULL: [ErrorCode; 5] = [
    ErrorCode::STREAM_STORE_FAILED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
];

pub(super) fn of(error: &PublishError) -> Verdict {
    match error.kind() {
        // No responders: no leader, or the stream is not made yet.
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending => Verdict::Retry,
        PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxPayloadExceeded => Verdict::Refused,
        PublishErrorKind::Other => {
            let said = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
            said.map_or(Verdict::Retry, of_server)
        }
    }
}

fn of_server(error: &jetstream::Error) -> Verdict {
    if FULL.contains(&error.error_code()) {
        Verdict::Full
    } else if error.code() == 429 || error.code() >= 500 {
        Verdict::Retry
    } else {
        Verdict::Refused
    }
}
