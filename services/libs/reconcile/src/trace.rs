//! Trace context: `traceparent` text in and out of spans.

use mlp_model::{Flow, flow, labels};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::controller::Object;
use crate::effect::Effects;

/// `traceparent` of the span that is active here, where it is exported. A reconcile that hands it
/// out other than by a write to the API server says so with [`crate::effect::note`], or its own span
/// may not be exported.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| {
        let flags = span.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
    })
}

/// The flow of the object's current generation (design section 5).
pub(crate) fn flow_of<K: Object>(object: &K) -> Flow {
    let meta = object.meta();
    let annotation = meta.annotations.as_ref().and_then(|all| all.get(labels::TRACEPARENT));
    let uid = meta.uid.as_deref().unwrap_or_default();
    Flow::of(uid, meta.generation.unwrap_or(0), annotation.map(String::as_str))
}

/// Makes the flow's root the parent of `span`, where there is a flow, and has what runs in the span
/// note its effects.
pub(crate) fn connect(span: &Span, flow: Option<&Flow>, effects: &Effects) {
    let parent = Context::new();
    let parent = flow.map_or(parent.clone(), |flow| parent.with_remote_span_context(span_context(flow)));
    // Fails only where no exporting layer is installed; then there is nothing to connect.
    let _ = span.set_parent(effects.within(&parent));
}

/// Says on `span` that its work changed nothing.
pub(crate) fn had_no_effect(span: &Span) {
    span.set_attribute(flow::EFFECT, false);
}

/// Links `span` to what woke it.
pub(crate) fn link(span: &Span, causes: &[String]) {
    for cause in causes.iter().filter_map(|cause| Flow::parse(cause)) {
        span.add_link(span_context(&cause));
    }
}

fn span_context(flow: &Flow) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(flow.trace_id),
        SpanId::from_bytes(flow.root_span_id),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}
