//! What was given up, with its bytes, and how it comes back.
//!
//! A dead letter keeps the original body as its own body and the original header block, byte for
//! byte, in one header; around it stand reason, deliveries, consumer and trace. Redrive sends the
//! original to the failing consumer alone, under an id of its own, or the broker would recognise
//! and swallow it.

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;

use crate::connection::Bus;
use crate::envelope::{CE_TRACEPARENT, TRACEPARENT, percent};
use crate::error::{PublishError, Source};
use crate::subject::{DEAD_LETTER, MALFORMED, ROOT, Topic};

mod list;
mod redrive;

pub use list::{DeadLetter, Filter};
pub use redrive::{RedriveError, Redriven};

/// The stream that keeps dead letters.
pub const STREAM: &str = "DEADLETTER";
/// Longest error text kept, in bytes.
const DETAIL_LIMIT: usize = 2048;

const CONSUMER: &str = "mlp-consumer";
const ORIGIN: &str = "mlp-stream";
const SEQUENCE: &str = "mlp-stream-sequence";
const SUBJECT: &str = "mlp-subject";
const DELIVERIES: &str = "mlp-deliveries";
const REASON: &str = "mlp-reason";
const DETAIL: &str = "mlp-error";
const HEADERS: &str = "mlp-headers";

/// Why and where a message is given up.
pub(crate) struct Burial<'a> {
    pub(crate) consumer: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    pub(crate) deliveries: u64,
    pub(crate) reason: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) traceparent: Option<String>,
    pub(crate) flow: Option<String>,
}

/// The message as the stream has it: the client's own reading loses the order of headers.
#[derive(Default, Deserialize)]
struct Stored {
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct StoredReply {
    message: Option<Stored>,
    error: Option<async_nats::jetstream::Error>,
}

struct Original {
    subject: String,
    headers: Vec<u8>,
    body: Bytes,
}

/// Stores a dead letter and waits for the acknowledgement; the same message of the same consumer
/// has the same id. `delivered` stands in where the stream no longer has the message.
pub(crate) async fn bury(
    bus: &Bus,
    burial: &Burial<'_>,
    delivered: Option<&Message>,
) -> Result<(), PublishError> {
    let original = match (fetch(bus, burial.stream, burial.sequence).await, delivered) {
        (Ok(Some(original)), _) => original,
        (_, Some(message)) => Original {
            subject: message.subject.to_string(),
            headers: message.headers.as_ref().map(block).unwrap_or_default(),
            body: message.payload.clone(),
        },
        (Ok(None), None) => return Ok(()),
        (Err(source), None) => {
            return Err(PublishError::NoAck { stream: burial.stream.to_owned(), seconds: 0, source });
        }
    };
    let consumer = burial.consumer;
    let subject = Topic::delivered(&original.subject).map_or_else(
        |_| format!("{ROOT}.{DEAD_LETTER}.{consumer}.{MALFORMED}"),
        |topic| topic.dead_letter(consumer),
    );
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| headers.insert(name, percent::encode(value));
    set(CONSUMER, consumer);
    set(ORIGIN, burial.stream);
    set(SEQUENCE, &burial.sequence.to_string());
    set(SUBJECT, &original.subject);
    set(DELIVERIES, &burial.deliveries.to_string());
    set(REASON, burial.reason);
    set(DETAIL, shorten(burial.detail));
    set(HEADERS, &BASE64.encode(&original.headers));
    if let Some(traceparent) = &burial.traceparent {
        set(TRACEPARENT, traceparent);
    }
    if let Some(flow) = &burial.flow {
        set(CE_TRACEPARENT, flow);
    }
    let id = format!("dead/{consumer}/{}/{}", burial.stream, burial.sequence);
    bus.publisher().store(STREAM, &subject, &id, headers, original.body).await.map(|_| ())
}

/// Reads a message from its stream as raw bytes; `None` when the stream no longer has it.
async fn fetch(bus: &Bus, stream: &str, sequence: u64) -> Result<Option<Original>, Source> {
    let query = serde_json::json!({ "seq": sequence });
    let subject = format!("STREAM.MSG.GET.{stream}");
    let reply: StoredReply = bus.jetstream().request(subject, &query).await?;
    if let Some(error) = reply.error {
        return if error.code() == 404 { Ok(None) } else { Err(error.into()) };
    }
    let stored = reply.message.unwrap_or_default();
    let (headers, body) = (BASE64.decode(&stored.hdrs)?, BASE64.decode(&stored.data)?);
    Ok(Some(Original { subject: stored.subject, headers, body: body.into() }))
}

fn shorten(text: &str) -> &str {
    let cut = text.char_indices().map(|(index, _)| index).take_while(|&index| index <= DETAIL_LIMIT).last();
    if text.len() <= DETAIL_LIMIT { text } else { text.get(..cut.unwrap_or(0)).unwrap_or_default() }
}

/// Headers as a block on the wire; the order of names is not kept by the client.
fn block(headers: &HeaderMap) -> Vec<u8> {
    let mut text = String::from("NATS/1.0\r\n");
    for (name, values) in headers.iter() {
        for value in values {
            let name: &str = name.as_ref();
            text.push_str(&format!("{name}: {}\r\n", value.as_str()));
        }
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Reads a header block; `None` when it is no text or a line has no name.
fn unblock(bytes: &[u8]) -> Option<HeaderMap> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut headers = HeaderMap::new();
    for line in text.split("\r\n").skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let name: async_nats::HeaderName = name.parse().ok()?;
        let value: async_nats::HeaderValue = value.trim().parse().ok()?;
        headers.append(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_blocks_read_back() {
        let mut headers = HeaderMap::new();
        headers.insert("ce-id", "x");
        headers.append("Many", "1");
        headers.append("Many", "2");
        assert_eq!(unblock(&block(&headers)), Some(headers));
        assert_eq!(unblock(b"NATS/1.0\r\nno name\r\n\r\n"), None);
        assert_eq!(unblock(b"NATS/1.0\r\na: \xff\r\n\r\n"), None);
        assert_eq!(unblock(b""), Some(HeaderMap::new()));
    }

    #[test]
    fn long_errors_are_cut_at_a_character() {
        let long = "é".repeat(DETAIL_LIMIT);
        assert!(shorten(&long).len() <= DETAIL_LIMIT && shorten(&long).len() > DETAIL_LIMIT - 3);
        assert_eq!(shorten("short"), "short");
    }
}
