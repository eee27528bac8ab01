//! Leaving out spans of work that changed nothing.
//!
//! A controller looks at each object again and again; a span for every look would let the trace of an
//! object grow for as long as it lives. Whoever knows that a span's work had no effect marks it so
//! (`mlp_model::flow::EFFECT`), and it is not exported. A span that another one hangs under or links to
//! is exported all the same, or that one would lead nowhere, and so is a failed one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mlp_model::flow;
use opentelemetry::trace::{Span as _, SpanContext, SpanId, Status, TraceContextExt as _, TraceId};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// How many open spans are watched at a time; further ones are exported whatever they did.
const WATCHED: usize = 16_384;

/// Hands finished spans on to `P`, those without effect left out.
#[derive(Debug)]
pub struct Quiet<P> {
    next: P,
    /// Open spans, and whether another span names them.
    open: Mutex<HashMap<Key, bool>>,
}

type Key = (TraceId, SpanId);

impl<P: SpanProcessor> Quiet<P> {
    /// In front of `next`, which must get its spans from here alone.
    pub fn new(next: P) -> Self {
        Self { next, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, bool>> {
        // Each change under this lock is a single insert, remove or store.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `span`, which just ended, is exported.
    fn keeps(&self, span: &SpanData) -> bool {
        let mut open = self.open();
        let unnamed = open.remove(&key(&span.span_context)) == Some(false);
        let failed = matches!(span.status, Status::Error { .. });
        if unnamed && !failed && is_without_effect(span) {
            return false;
        }
        for link in span.links.iter() {
            if let Some(named) = open.get_mut(&key(&link.span_context)) {
                *named = true;
            }
        }
        true
    }
}

impl<P: SpanProcessor> SpanProcessor for Quiet<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        {
            let mut open = self.open();
            // A parent may have come back over a message, as a remote one.
            if let Some(named) = open.get_mut(&key(context.span().span_context())) {
                *named = true;
            }
            if open.len() < WATCHED {
                open.insert(key(span.span_context()), false);
            }
        }
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.keeps(&span) {
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

fn key(context: &SpanContext) -> Key {
    (context.trace_id(), context.span_id())
}

fn is_without_effect(span: &SpanData) -> bool {
    let mut said = span.attributes.iter().filter(|attribute| attribute.key.as_str() == flow::EFFECT);
    said.next_back().is_some_and(|attribute| attribute.value == Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{TraceFlags, TraceState, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SimpleSpanProcessor};

    use super::*;

    fn tracer() -> (SdkTracer, InMemorySpanExporter) {
        let exporter = InMemorySpanExporter::default();
        let quiet = Quiet::new(SimpleSpanProcessor::new(exporter.clone()));
        (SdkTracerProvider::builder().with_span_processor(quiet).build().tracer("test"), exporter)
    }

    fn names(exporter: &InMemorySpanExporter) -> Vec<String> {
        exporter.get_finished_spans().unwrap().iter().map(|span| span.name.to_string()).collect()
    }

    fn nothing() -> KeyValue {
        KeyValue::new(flow::EFFECT, false)
    }

    #[test]
    fn only_what_is_marked_and_did_not_fail_is_left_out() {
        let (tracer, exporter) = tracer();
        tracer.start("unmarked").end();
        for (name, effect) in [("quiet", false), ("loud", true)] {
            let mut span = tracer.start(name);
            span.set_attribute(KeyValue::new(flow::EFFECT, effect));
            span.end();
        }
        let mut failed = tracer.start("failed");
        failed.set_attribute(nothing());
        failed.set_status(Status::error("no"));
        failed.end();
        assert_eq!(names(&exporter), ["unmarked", "loud", "failed"]);
    }

    #[test]
    fn a_span_with_a_child_is_kept_near_or_remote_and_ended_before_it_or_not() {
        let (tracer, exporter) = tracer();
        for (name, remote) in [("near", false), ("remote", true)] {
            let mut parent = tracer.start(name);
            let (trace, span) = key(parent.span_context());
            let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, remote, TraceState::default());
            let context = Context::new().with_remote_span_context(context);
            let mut child = tracer.start_with_context("child", &context);
            parent.set_attribute(nothing());
            parent.end();
            child.end();
        }
        assert_eq!(names(&exporter), ["near", "child", "remote", "child"]);
    }

    #[test]
    fn the_target_of_a_link_is_kept_where_the_linking_span_is() {
        let (tracer, exporter) = tracer();
        for quiet in [false, true] {
            let mut target = tracer.start("target");
            let mut linking = tracer.start("linking");
            linking.add_link(target.span_context().clone(), Vec::new());
            if quiet {
                linking.set_attribute(nothing());
            }
            linking.end();
            target.set_attribute(nothing());
            target.end();
        }
        assert_eq!(names(&exporter), ["linking", "target"]);
    }

    #[test]
    fn beyond_the_bound_spans_are_exported_and_ended_ones_are_forgotten() {
        let exporter = InMemorySpanExporter::default();
        let next = SimpleSpanProcessor::new(exporter.clone());
        let quiet = std::sync::Arc::new(Quiet::new(next));
        let provider = SdkTracerProvider::builder().with_span_processor(Shared(quiet.clone())).build();
        let tracer = provider.tracer("test");
        let end = |mut span: Span| {
            span.set_attribute(nothing());
            span.end();
        };
        let open: Vec<_> = (0..WATCHED).map(|_| tracer.start("watched")).collect();
        end(tracer.start("beyond"));
        assert_eq!(quiet.open().len(), WATCHED);
        open.into_iter().for_each(end);
        end(tracer.start("after"));
        assert_eq!(names(&exporter), ["beyond"]);
        assert_eq!(quiet.open().len(), 0);
    }

    /// A processor that the test can look into.
    #[derive(Debug)]
    struct Shared(std::sync::Arc<Quiet<SimpleSpanProcessor<InMemorySpanExporter>>>);

    impl SpanProcessor for Shared {
        fn on_start(&self, span: &mut Span, context: &Context) {
            self.0.on_start(span, context);
        }

        fn on_end(&self, span: SpanData) {
            self.0.on_end(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            self.0.force_flush()
        }

        fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
            self.0.shutdown_with_timeout(timeout)
        }
    }
}
