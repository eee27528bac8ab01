//! Spans of the bus: `send <template>` for a publisher, `process <template>` for a consumer.
//!
//! A consumer's span is a child of the flow (`ce-traceparent`) and links to the span that published
//! (`traceparent`): work on one change of one object is one trace, whoever does it.

use mlp_model::{Fact, Flow};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, SetParentError};

use crate::event::Event;
use crate::subject::Topic;
use crate::topology::ConsumerSpec;

/// The span of one fact's way to the broker. It hangs under the span that recorded the fact, else
/// under the flow; an active span elsewhere is linked.
pub(crate) fn send(fact: &Fact, topic: &Topic) -> Span {
    let template = topic.template();
    let span = tracing::info_span!(
        parent: None,
        "send",
        otel.name = format!("send {template}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.system = "nats",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = fact.context.stream(),
        messaging.destination.template = template,
        messaging.message.id = fact.id.as_str(),
        messaging.message.body.size = fact.data.len(),
    );
    let parent = fact.cause.as_deref().and_then(remote).or_else(|| remote(&fact.flow));
    adopt(&span, parent.as_ref());
    let active = Span::current().context().span().span_context().clone();
    if active.is_valid() && parent.as_ref() != Some(&active) {
        span.add_link(active);
    }
    span
}

/// The span of one delivery's handling.
pub(crate) fn process(event: &Event, spec: &ConsumerSpec) -> Span {
    let template = event.topic.template();
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = format!("process {template}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = spec.stream,
        messaging.destination.template = template,
        messaging.consumer.group.name = spec.durable,
        messaging.message.id = event.id.as_str(),
        messaging.message.body.size = event.data.len(),
        mlp.team = event.team,
        mlp.delivery = event.delivery,
    );
    let producer = event.traceparent.as_deref().and_then(remote);
    let flow = event.flow.as_deref().and_then(remote);
    adopt(&span, flow.as_ref().or(producer.as_ref()));
    if let Some(producer) = producer.filter(|producer| Some(producer) != flow.as_ref()) {
        let kind = KeyValue::new("mlp.link", "producer");
        span.add_link_with_attributes(producer, vec![kind]);
    }
    span
}

/// Sets a remote parent; must happen before the span is entered or its context is read.
fn adopt(span: &Span, parent: Option<&SpanContext>) {
    let Some(parent) = parent else { return };
    match span.set_parent(Context::new().with_remote_span_context(parent.clone())) {
        Ok(()) | Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => (),
        Err(error) => tracing::warn!(%error, "span has no parent, the trace is torn here"),
    }
}

/// The span's own `traceparent`, or `None` where no tracer is installed.
pub(crate) fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    let flags = u8::from(context.is_sampled());
    let text = || format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
    context.is_valid().then(text)
}

/// Marks the span as failed with a stable reason.
pub(crate) fn failed(span: &Span, reason: &'static str) {
    span.record("error.type", reason);
    span.record("otel.status_code", "ERROR");
}

fn remote(traceparent: &str) -> Option<SpanContext> {
    let flow = Flow::parse(traceparent)?;
    let sampled = traceparent.ends_with('1') || traceparent.ends_with('3');
    Some(SpanContext::new(
        TraceId::from_bytes(flow.trace_id),
        SpanId::from_bytes(flow.root_span_id),
        if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        true,
        TraceState::default(),
    ))
}
