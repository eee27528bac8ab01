//! Draws a trace as a tree: who, what, when it began after the root, how long it took, its links.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::jaeger::{Span, Trace};

/// The tree as text, children by time; a span whose parent is not there is marked.
pub(super) fn draw(trace: &Trace) -> String {
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    let mut roots = Vec::new();
    // A span that was reported twice (an owner died between a root and its record of it) is one.
    let known: BTreeMap<&str, &Span> =
        trace.spans.iter().rev().map(|span| (span.span_id.as_str(), span)).collect();
    for span in known.values().copied() {
        match span.parent() {
            Some(parent) if known.contains_key(parent) => children.entry(parent).or_default().push(span),
            _ => roots.push(span),
        }
    }
    roots.sort_by_key(|span| span.start_time);
    for list in children.values_mut() {
        list.sort_by_key(|span| span.start_time);
    }
    let begin = roots.first().map_or(0, |span| span.start_time);
    let mut text = String::new();
    for root in &roots {
        let orphan = root.parent().is_some();
        line(&mut text, trace, root, "", orphan, begin);
        branches(&mut text, trace, &children, root, "", begin);
    }
    text
}

fn branches(
    text: &mut String,
    trace: &Trace,
    children: &BTreeMap<&str, Vec<&Span>>,
    span: &Span,
    indent: &str,
    begin: u64,
) {
    let Some(list) = children.get(span.span_id.as_str()) else { return };
    for (index, child) in list.iter().enumerate() {
        let last = index + 1 == list.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        line(text, trace, child, &format!("{indent}{branch}"), false, begin);
        branches(text, trace, children, child, &format!("{indent}{below}"), begin);
    }
}

fn line(text: &mut String, trace: &Trace, span: &Span, indent: &str, orphan: bool, begin: u64) {
    let what = format!("{indent}{}  {}", trace.service(span), span.operation_name);
    let begun = millis(span.start_time.saturating_sub(begin));
    let _ = write!(text, "{what:<72} +{begun:>9}  {:>9}", millis(span.duration));
    if span.failed() {
        text.push_str("  error");
    }
    if orphan {
        text.push_str("  (its parent has not arrived)");
    }
    for link in span.links() {
        let _ = write!(text, "  ↩ {}", link.trace_id);
    }
    text.push('\n');
}

fn millis(micros: u64) -> String {
    format!("{}.{:01} ms", micros / 1000, micros % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::super::jaeger::Answer;
    use super::*;

    fn trace() -> Trace {
        let json = serde_json::json!({"data": [{
            "spans": [
                {"traceID": "t", "spanID": "c", "operationName": "process", "startTime": 2500, "duration": 900,
                 "processID": "p2", "references": [
                    {"refType": "CHILD_OF", "traceID": "t", "spanID": "a"},
                    {"refType": "FOLLOWS_FROM", "traceID": "u", "spanID": "z"}]},
                {"traceID": "t", "spanID": "a", "operationName": "Team ml", "startTime": 1000, "duration": 50,
                 "processID": "p1", "references": []},
                {"traceID": "t", "spanID": "a", "operationName": "Team ml", "startTime": 9000, "duration": 50,
                 "processID": "p1", "references": []},
                {"traceID": "t", "spanID": "b", "operationName": "reconcile Team", "startTime": 1100,
                 "duration": 1250, "processID": "p1", "tags": [{"key": "error", "value": true}],
                 "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "a"}]},
                {"traceID": "t", "spanID": "d", "operationName": "lost", "startTime": 3000, "duration": 1,
                 "processID": "p9", "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "gone"}]}
            ],
            "processes": {"p1": {"serviceName": "team-isolation"}, "p2": {"serviceName": "provisioner"}}
        }]});
        let answer: Answer = serde_json::from_value(json).unwrap();
        answer.data.into_iter().next().unwrap()
    }

    #[test]
    fn children_hang_under_parents_in_time_order_with_links_and_orphans_marked() {
        let drawn = draw(&trace());
        let lines: Vec<_> = drawn.lines().collect();
        assert!(lines[0].starts_with("team-isolation  Team ml"), "{drawn}");
        assert!(lines[1].starts_with("├─ team-isolation  reconcile Team") && lines[1].ends_with("error"));
        assert!(lines[2].starts_with("└─ provisioner  process") && lines[2].ends_with("↩ u"), "{drawn}");
        assert!(lines[3].contains("has not arrived"), "{drawn}");
        assert_eq!(lines.len(), 4, "what was reported twice is drawn once: {drawn}");
    }
}
