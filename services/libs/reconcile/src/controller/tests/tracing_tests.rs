//! The span of a reconcile: its parent, its links, and the root that the owner emits.

use mlp_model::Flow;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// The roots emitted in this test binary; each test uses its own uids.
static ROOTS: Mutex<Vec<(Flow, String)>> = Mutex::new(Vec::new());

fn emit(flow: &Flow, name: &str) {
    ROOTS.lock().unwrap().push((*flow, name.to_owned()));
}

fn emitted(flow: &Flow) -> usize {
    ROOTS.lock().unwrap().iter().filter(|(root, _)| root == flow).count()
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_continues_the_flow_and_links_to_what_woke_it() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::start(options(), &[widget("linked", "", Value::Null)]);
    let consumer = tracing::info_span!("process team-isolated");
    bench.handle.wake_and_wait(ObjectRef::new("linked")).instrument(consumer).await.unwrap();
    bench.stop().await;
    let spans = exporter.get_finished_spans().unwrap();
    let named = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let consumer = named("process team-isolated").next().unwrap();
    let flow = Flow::derive("uid-linked", 1);
    assert!(named("reconcile Widget").count() >= 1);
    for span in named("reconcile Widget") {
        assert_eq!(span.span_context.trace_id(), TraceId::from_bytes(flow.trace_id));
        assert_eq!(span.parent_span_id, SpanId::from_bytes(flow.root_span_id));
    }
    let links: Vec<_> = named("reconcile Widget").flat_map(|span| span.links.iter()).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].span_context.span_id(), consumer.span_context.span_id());
    assert_eq!(links[0].span_context.trace_id(), consumer.span_context.trace_id());
}

#[tokio::test(start_paused = true)]
async fn the_root_is_emitted_once_per_generation_unless_it_was_observed_or_continues_another() {
    let mut observed = widget("observed", "", json!({"observedGeneration": 1}));
    let continued_flow = Flow::derive("elsewhere", 7);
    let mut continued = widget("continued", "", Value::Null);
    continued["metadata"]["annotations"] =
        json!({"mlplatform.dev/traceparent": continued_flow.traceparent()});
    let options = Options { emit_root: Some(emit), ..options() };
    let bench = Bench::start(options, &[widget("fresh", "", Value::Null), observed.clone(), continued]);
    for name in ["fresh", "fresh", "observed", "continued"] {
        bench.handle.wake_and_wait(ObjectRef::new(name)).await.unwrap();
    }
    observed["metadata"]["generation"] = json!(2);
    bench.widgets.put(observed);
    // The store is filled before the key is woken, so a second look suffices to have seen it.
    let mut bench = bench;
    while emitted(&Flow::derive("uid-observed", 2)) == 0 {
        bench.call().await;
    }
    bench.handle.wake_and_wait(ObjectRef::new("observed")).await.unwrap();
    assert_eq!(emitted(&Flow::derive("uid-fresh", 1)), 1);
    assert_eq!(emitted(&Flow::derive("uid-observed", 1)), 0);
    assert_eq!(emitted(&Flow::derive("uid-observed", 2)), 1);
    assert_eq!(emitted(&Flow { derived: false, ..continued_flow }), 0);
    assert!(ROOTS.lock().unwrap().iter().all(|(_, name)| name == "change Widget"));
    bench.stop().await;
}
