//! A trace as Jaeger's query API gives it, through `mlp trace -o json`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cli::mlp;

/// One span, with what connects it.
#[derive(Clone, Debug)]
pub struct Span {
    /// Trace id.
    pub trace: String,
    /// Span id.
    pub id: String,
    /// Who emitted it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The parent in the same trace.
    pub parent: Option<String>,
    /// Linked spans: (trace, span).
    pub links: Vec<(String, String)>,
}

/// The spans of a trace; none where Jaeger has not got it yet.
pub fn spans(id: &str) -> Vec<Span> {
    let output = mlp(&["trace", id, "-o", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let traces = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    traces.iter().flat_map(read).collect()
}

fn read(trace: &Value) -> Vec<Span> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let processes = trace.get("processes").cloned().unwrap_or_default();
    let all = trace.get("spans").and_then(Value::as_array).cloned().unwrap_or_default();
    all.iter()
        .map(|span| {
            let references = span.get("references").and_then(Value::as_array).cloned().unwrap_or_default();
            let of = |kind: &str| {
                let wanted = references.iter().filter(|reference| text(reference, "refType") == kind);
                wanted
                    .map(|reference| (text(reference, "traceID"), text(reference, "spanID")))
                    .collect::<Vec<_>>()
            };
            let trace = text(span, "traceID");
            let parent = of("CHILD_OF").into_iter().find(|(other, _)| *other == trace).map(|(_, id)| id);
            let process = processes.get(text(span, "processID")).cloned().unwrap_or_default();
            Span {
                id: text(span, "spanID"),
                service: text(&process, "serviceName"),
                name: text(span, "operationName"),
                parent,
                links: of("FOLLOWS_FROM"),
                trace,
            }
        })
        .collect()
}

/// Spans whose parent is in none of the traces.
pub fn orphans(spans: &[Span]) -> Vec<&Span> {
    let known: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    spans.iter().filter(|span| span.parent.as_deref().is_some_and(|parent| !known.contains(parent))).collect()
}

/// Follows links from one trace to the next, until no new trace is met; at most `limit` traces.
pub fn follow(first: &str, limit: usize) -> Vec<Span> {
    let (mut seen, mut waiting, mut all) = (BTreeSet::new(), vec![first.to_owned()], Vec::new());
    while let Some(id) = waiting.pop() {
        if seen.len() >= limit || !seen.insert(id.clone()) {
            continue;
        }
        let spans = spans(&id);
        waiting.extend(spans.iter().flat_map(|span| &span.links).map(|(trace, _)| trace.clone()));
        all.extend(spans);
    }
    all
}

/// How many separate pieces the spans fall into, when parents and links connect.
pub fn pieces(spans: &[Span]) -> usize {
    let index: BTreeMap<&str, usize> =
        spans.iter().enumerate().map(|(at, span)| (span.id.as_str(), at)).collect();
    let mut group: Vec<usize> = (0..spans.len()).collect();
    fn root(group: &[usize], mut at: usize) -> usize {
        while let Some(&next) = group.get(at) {
            if next == at {
                break;
            }
            at = next;
        }
        at
    }
    for (at, span) in spans.iter().enumerate() {
        let targets = span.parent.iter().chain(span.links.iter().map(|(_, id)| id));
        for target in targets.filter_map(|id| index.get(id.as_str())) {
            let (left, right) = (root(&group, at), root(&group, *target));
            if let Some(entry) = group.get_mut(left) {
                *entry = right;
            }
        }
    }
    (0..spans.len()).map(|at| root(&group, at)).collect::<BTreeSet<_>>().len()
}
