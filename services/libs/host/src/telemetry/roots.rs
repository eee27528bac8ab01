//! Root spans of flows, with ids that every service derives alike.
//!
//! A flow's trace and root span ids come from (uid, generation) (`mlp_model::Flow`), so services
//! put their spans under a root that none of them has seen. The owner of the kind owes that root:
//! [`emit_root`] exports it with exactly those ids. The SDK takes ids only from its generator, so
//! ours gives the flow's ids while a root is being built on the same thread, and random ones
//! otherwise.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use mlp_model::Flow;
use opentelemetry::trace::{Link, Span as _, SpanId, SpanKind, TraceId, TraceState, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

/// How many roots this process remembers to have emitted.
const REMEMBERED: usize = 16_384;

thread_local! {
    /// The flow whose root is being built on this thread.
    static BUILDING: Cell<Option<Flow>> = const { Cell::new(None) };
}

/// Ids of the flow whose root is being built, else random ones.
#[derive(Debug, Default)]
pub struct FlowIds {
    random: RandomIdGenerator,
}

impl IdGenerator for FlowIds {
    fn new_trace_id(&self) -> TraceId {
        match BUILDING.get() {
            Some(flow) => TraceId::from_bytes(flow.trace_id),
            None => self.random.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        match BUILDING.get() {
            Some(flow) => SpanId::from_bytes(flow.root_span_id),
            None => self.random.new_span_id(),
        }
    }
}

/// Keeps every flow's root (its children carry the sampled flag already, and a root that is missing
/// makes them orphans), follows the parent elsewhere, and keeps a share of the traces that begin
/// here.
#[derive(Clone, Debug)]
pub struct FlowSampler {
    others: Sampler,
}

impl FlowSampler {
    /// Keeps `ratio` (0 to 1) of the traces that begin in this process and are no flow.
    pub fn new(ratio: f64) -> Self {
        Self { others: Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))) }
    }
}

impl ShouldSample for FlowSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if BUILDING.get().is_some() {
            return SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.others.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

/// Roots already emitted by this process, bounded; the oldest are forgotten first.
#[derive(Default)]
struct Emitted {
    known: HashSet<[u8; 8]>,
    order: VecDeque<[u8; 8]>,
}

impl Emitted {
    fn insert(&mut self, root: [u8; 8]) -> bool {
        if !self.known.insert(root) {
            return false;
        }
        self.order.push_back(root);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

static EMITTED: Mutex<Option<Emitted>> = Mutex::new(None);

/// Exports the root span of `flow`, once per process; says whether it did. A flow that continues
/// someone's `traceparent` has its root elsewhere, and gets none here.
///
/// Across restarts the caller decides, by emitting only when it sees a generation for the first
/// time (`status.observedGeneration` is behind).
pub fn emit_root(flow: &Flow, name: &str, attributes: &[(&str, String)]) -> bool {
    if !flow.derived {
        return false;
    }
    {
        let mut emitted = EMITTED.lock().unwrap_or_else(PoisonError::into_inner);
        if !emitted.get_or_insert_default().insert(flow.root_span_id) {
            return false;
        }
    }
    emit_root_with(&opentelemetry::global::tracer("mlp-host"), flow, name, attributes);
    true
}

/// Exports the root span of `flow` through `tracer`, whose provider must use [`FlowIds`] and
/// [`FlowSampler`].
pub fn emit_root_with<T>(tracer: &T, flow: &Flow, name: &str, attributes: &[(&str, String)])
where
    T: Tracer,
{
    let attributes: Vec<KeyValue> =
        attributes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    let builder =
        tracer.span_builder(name.to_owned()).with_kind(SpanKind::Internal).with_attributes(attributes);
    BUILDING.set(Some(*flow));
    // An empty context: a root has no parent, whatever span is active here.
    let mut span = tracer.build_with_context(builder, &Context::new());
    BUILDING.set(None);
    span.end();
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;

    #[test]
    fn a_root_has_exactly_the_derived_ids_and_no_parent_whatever_the_ratio() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_id_generator(FlowIds::default())
            .with_sampler(FlowSampler::new(0.0))
            .build();
        let tracer = provider.tracer("test");
        let flow = Flow::derive("u-1", 3);
        emit_root_with(&tracer, &flow, "Team ml", &[("k8s.object.name", "ml".to_owned())]);
        tracer.start("not a flow").end();

        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 1, "ratio 0 drops the rest");
        let span = &spans[0];
        assert_eq!(span.span_context.trace_id(), TraceId::from_bytes(flow.trace_id));
        assert_eq!(span.span_context.span_id(), SpanId::from_bytes(flow.root_span_id));
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        assert_eq!(span.name, "Team ml");
        assert!(span.span_context.is_sampled());
    }

    #[test]
    fn ids_outside_of_a_root_are_random() {
        let ids = FlowIds::default();
        assert_ne!(ids.new_trace_id(), ids.new_trace_id());
        assert_ne!(ids.new_span_id(), ids.new_span_id());
    }

    #[test]
    fn a_root_is_emitted_once_and_only_where_it_was_derived() {
        let flow = Flow::derive("once", 1);
        assert!(emit_root(&flow, "first", &[]));
        assert!(!emit_root(&flow, "again", &[]));
        let continued = Flow::parse(&Flow::derive("other", 1).traceparent()).unwrap();
        assert!(!emit_root(&continued, "not ours", &[]));
    }

    #[test]
    fn memory_of_emitted_roots_is_bounded() {
        let mut emitted = Emitted::default();
        for number in 0..(REMEMBERED as u64 + 10) {
            assert!(emitted.insert(number.to_be_bytes()));
        }
        assert_eq!(emitted.known.len(), REMEMBERED);
        assert_eq!(emitted.order.len(), REMEMBERED);
    }
}
