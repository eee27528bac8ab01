//! One expected call, and its answer.

use std::fmt;

use bytes::Bytes;
use http::{Method, Response, header, request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::Answer;

/// A call that a test expects, with the answer it gives.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    content_type: Option<&'static str>,
    query: Vec<(String, String)>,
    sending: Option<Value>,
    answer: Planned,
}

#[derive(Clone, Debug)]
enum Planned {
    Json(Value),
    Refusal(u16, String, String),
    Echo,
    Break,
}

/// A call as it arrived.
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    content_type: String,
    body: Value,
}

impl Call {
    fn new(method: Method, path: &str, content_type: Option<&'static str>) -> Self {
        let answer = Planned::Json(json!({}));
        Self { method, path: path.to_owned(), content_type, query: Vec::new(), sending: None, answer }
    }

    /// A read of one object or of a list.
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// A creation.
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path, None)
    }

    /// A replacement.
    pub fn put(path: &str) -> Self {
        Self::new(Method::PUT, path, None)
    }

    /// A deletion.
    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    /// A server-side apply.
    pub fn apply(path: &str) -> Self {
        Self::new(Method::PATCH, path, Some("application/apply-patch+yaml"))
    }

    /// A JSON merge patch, as for status and finalizers.
    pub fn merge(path: &str) -> Self {
        Self::new(Method::PATCH, path, Some("application/merge-patch+json"))
    }

    /// The call carries this query parameter.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The body contains this: maps may have more keys, everything else must be equal.
    pub fn sending(mut self, body: Value) -> Self {
        self.sending = Some(body);
        self
    }

    /// Answers 200 with this body.
    pub fn answers(mut self, body: Value) -> Self {
        self.answer = Planned::Json(body);
        self
    }

    /// Answers 200 with the body that was sent, a uid and a resourceVersion added where missing.
    pub fn echoes(mut self) -> Self {
        self.answer = Planned::Echo;
        self
    }

    /// Answers with an error status.
    pub fn refused(mut self, code: u16, reason: &str, message: &str) -> Self {
        self.answer = Planned::Refusal(code, reason.to_owned(), message.to_owned());
        self
    }

    /// Answers 404.
    pub fn not_found(self) -> Self {
        self.refused(404, "NotFound", "not found")
    }

    /// Answers 409, as to a write of an old version.
    pub fn conflict(self) -> Self {
        self.refused(409, "Conflict", "the object has been modified")
    }

    /// Breaks the connection instead of answering.
    pub fn breaks(mut self) -> Self {
        self.answer = Planned::Break;
        self
    }

    /// Why `seen` is not this call.
    pub(super) fn mismatch(&self, seen: &Seen) -> Option<String> {
        if self.method != seen.method || self.path != seen.path {
            return Some(format!("expected {self}"));
        }
        if self.content_type.is_some_and(|expected| expected != seen.content_type) {
            return Some(format!("expected {self}, content type was {}", seen.content_type));
        }
        if let Some((key, value)) = self.query.iter().find(|pair| !seen.query.contains(pair)) {
            return Some(format!(
                "expected {self} with {key}={value} in the query, which was {:?}",
                seen.query
            ));
        }
        match &self.sending {
            Some(expected) if !contains(&seen.body, expected) => {
                Some(format!("expected a body with\n{expected:#}\n  but it was\n{:#}", seen.body))
            }
            _ => None,
        }
    }

    pub(super) fn answer(&self, seen: &Seen) -> Result<Answer, std::io::Error> {
        match &self.answer {
            Planned::Json(body) => Ok(json_answer(200, body)),
            Planned::Refusal(code, reason, message) => Ok(refusal(*code, reason, message)),
            Planned::Echo => Ok(json_answer(200, &as_stored(seen.body.clone()))),
            Planned::Break => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.method, self.path, self.content_type.unwrap_or_default())
    }
}

impl Seen {
    pub(super) fn new(parts: &request::Parts, body: Value) -> Self {
        let query = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: query.map(|(key, value)| (key.to_owned(), decode(value))).collect(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body,
        }
    }

    pub(super) fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.method, self.path, self.content_type)
    }
}

/// An error status, as the API server words it.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    json_answer(code, &body)
}

pub(super) fn json_answer(code: u16, body: &Value) -> Answer {
    let full = Full::new(Bytes::from(body.to_string()));
    let mut answer = Response::new(full.map_err(|never| match never {}).boxed_unsync());
    if let Ok(code) = http::StatusCode::from_u16(code) {
        *answer.status_mut() = code;
    }
    answer
}

fn as_stored(mut body: Value) -> Value {
    if let Some(root) = body.as_object_mut() {
        let meta = root.entry("metadata").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.entry("uid").or_insert_with(|| json!("uid-of-the-mock"));
            meta.entry("resourceVersion").or_insert_with(|| json!("1"));
        }
    }
    body
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value)))
        }
        _ => whole == part,
    }
}

/// Undoes percent encoding of a query value.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let code = match byte {
            b'%' => [rest.next(), rest.next()].into_iter().flatten().map(char::from).collect::<String>(),
            b'+' => "20".to_owned(),
            other => {
                bytes.push(other);
                continue;
            }
        };
        bytes.push(u8::from_str_radix(&code, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
