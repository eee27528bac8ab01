//! What Jaeger's query API answers (`/api/traces/{id}`), as far as a tree needs it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The body of `/api/traces/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) data: Vec<Trace>,
}

/// One trace.
#[derive(Debug, Deserialize)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
    #[serde(default)]
    pub(crate) processes: BTreeMap<String, Process>,
}

/// One span; times in microseconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
    pub(crate) operation_name: String,
    #[serde(default)]
    pub(crate) references: Vec<Reference>,
    pub(crate) start_time: u64,
    pub(crate) duration: u64,
    #[serde(rename = "processID")]
    pub(crate) process_id: String,
    #[serde(default)]
    pub(crate) tags: Vec<Tag>,
}

/// A parent (`CHILD_OF`) or link (`FOLLOWS_FROM`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) ref_type: String,
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
}

/// An attribute.
#[derive(Debug, Deserialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: serde_json::Value,
}

/// Who emitted a span.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) service_name: String,
}

impl Trace {
    /// The service that emitted `span`.
    pub(crate) fn service(&self, span: &Span) -> &str {
        self.processes.get(&span.process_id).map_or("?", |process| process.service_name.as_str())
    }
}

impl Span {
    /// The parent in the same trace, where there is one.
    pub(crate) fn parent(&self) -> Option<&str> {
        let child_of =
            |reference: &&Reference| reference.ref_type == "CHILD_OF" && reference.trace_id == self.trace_id;
        self.references.iter().find(child_of).map(|reference| reference.span_id.as_str())
    }

    /// The spans that this one links to.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(|reference| reference.ref_type == "FOLLOWS_FROM")
    }

    /// Whether the span ended in an error.
    pub(crate) fn failed(&self) -> bool {
        self.tags.iter().any(|tag| tag.key == "error" && tag.value == true)
    }
}
