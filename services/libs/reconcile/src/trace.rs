//! Trace context: `traceparent` text in and out of spans.

use mlp_model::{Flow, labels};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::controller::Object;

/// `traceparent` of the span that is active here, where it is exported.
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

/// Makes the flow's root the parent of `span`.
pub(crate) fn connect(span: &Span, flow: &Flow) {
    // Fails only where no exporting layer is installed; then there is nothing to connect.
    let _ = span.set_parent(Context::new().with_remote_span_context(span_context(flow)));
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
