//! One trace from publisher to handler, and the instruments.

use std::sync::OnceLock;
use std::time::Duration;

use mlp_bus::{Fenced, Handled};
use mlp_harness::wait_until;
use mlp_model::{Fact, Flow};
use opentelemetry::trace::{SpanId, SpanKind, TraceId, TracerProvider as _};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::*;

struct Telemetry {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    meters: SdkMeterProvider,
    _tracers: SdkTracerProvider,
}

/// One set of providers for the whole test process, as a service has.
fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let tracers = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let reader =
            PeriodicReader::builder(metrics.clone()).with_interval(Duration::from_secs(86_400)).build();
        let meters = SdkMeterProvider::builder().with_reader(reader).build();
        opentelemetry::global::set_meter_provider(meters.clone());
        let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer("test"));
        let only_ours = tracing_subscriber::filter::EnvFilter::new("mlp_bus=info,bus=info");
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(only_ours).with(layer))
            .unwrap();
        Telemetry { spans, metrics, meters, _tracers: tracers }
    })
}

/// Makes sure that the providers stand before instruments are made.
pub fn install() {
    telemetry();
}

/// The value of a counter or gauge for a durable, summed over its other labels.
pub fn counter(name: &str, durable: &str) -> u64 {
    let telemetry = telemetry();
    telemetry.meters.force_flush().unwrap();
    let all = telemetry.metrics.get_finished_metrics().unwrap();
    let Some(last) = all.last() else { return 0 };
    let of_durable = |attribute: &opentelemetry::KeyValue| {
        attribute.key.as_str() == "messaging.consumer.group.name" && attribute.value.as_str() == durable
    };
    let metrics =
        last.scope_metrics().flat_map(|scope| scope.metrics()).filter(|metric| metric.name() == name);
    let values = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            let points = sum.data_points().filter(|point| point.attributes().any(of_durable));
            points.map(|point| point.value()).sum()
        }
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
            let points = gauge.data_points().filter(|point| point.attributes().any(of_durable));
            points.map(|point| point.value()).sum()
        }
        AggregatedMetrics::I64(MetricData::Sum(sum)) => {
            let points = sum.data_points().filter(|point| point.attributes().any(of_durable));
            u64::try_from(points.map(|point| point.value()).sum::<i64>()).expect("a depth is never negative")
        }
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            let points = histogram.data_points().filter(|point| point.attributes().any(of_durable));
            points.map(|point| point.count()).sum()
        }
        _ => 0,
    });
    values.sum()
}

fn spans_of(trace: TraceId) -> Vec<SpanData> {
    let spans = telemetry().spans.get_finished_spans().unwrap();
    spans.into_iter().filter(|span| span.span_context.trace_id() == trace).collect()
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn publisher_and_consumer_are_one_trace_joined_by_parent_and_link() {
    let server = server().await;
    let bus = platform(&server).await;
    let flow = Flow::derive("traced", 1);
    let cause = Flow { root_span_id: [7; 8], ..flow };
    let traced = Fact { cause: Some(cause.traceparent()), ..fact("traced", 1) };
    let running = run(&bus, spec("traced"), |_| async {
        tracing::info_span!("effect").in_scope(|| ());
        Ok(Handled::Done)
    });
    bus.publisher().publish(&traced).await.unwrap();
    running.wait_for_effects(1).await;
    wait_settled(&server, "traced").await;
    let log = running.stop().await;

    let trace = TraceId::from_bytes(flow.trace_id);
    let three = || async { Some(spans_of(trace)).filter(|spans| spans.len() >= 3) };
    let spans = wait_until(LIMIT, "three spans", three).await.unwrap();
    let template = "mlp.team.team-isolated.v1.{team}.{aggregate}";
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let send = find(&format!("send {template}"));
    let process = find(&format!("process {template}"));
    let effect = find("effect");

    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.parent_span_id, SpanId::from_bytes([7; 8]), "under the span that recorded the fact");
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.parent_span_id, SpanId::from_bytes(flow.root_span_id), "under the flow");
    let links: Vec<_> = process.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [send.span_context.span_id()], "linked to the publisher");
    assert_eq!(effect.parent_span_id, process.span_context.span_id(), "the handler runs inside");
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "TEAM"),
        ("messaging.destination.template", template),
        ("messaging.consumer.group.name", "traced"),
        ("messaging.message.id", traced.id.as_str()),
    ] {
        assert_eq!(attribute(process, key), value, "{key}");
    }
    assert_eq!(attribute(send, "messaging.operation.type"), "send");
    let event = &log[0].0;
    assert_eq!(event.flow, Some(flow.traceparent()));
    let hop = format!("00-{trace}-{}-01", send.span_context.span_id());
    assert_eq!(event.traceparent, Some(hop));
}

#[tokio::test]
async fn a_failed_handling_is_marked_and_its_dead_letter_names_the_span() {
    let server = server().await;
    let bus = platform(&server).await;
    bus.publisher().publish(&fact("marked", 1)).await.unwrap();
    let running = run(&bus, spec("marked"), |_| async { TERMINAL });
    let dead = || async { bus.dead_letters(&Default::default(), 1).await.unwrap().pop() };
    let letter = wait_until(LIMIT, "the dead letter", dead).await.unwrap();
    wait_settled(&server, "marked").await;
    running.stop().await;
    let trace = TraceId::from_bytes(Flow::derive("marked", 1).trace_id);
    let process = || async { spans_of(trace).into_iter().find(|span| span.name.starts_with("process")) };
    let process = wait_until(LIMIT, "the span", process).await.unwrap();
    assert_eq!(attribute(&process, "error.type"), "Scripted");
    assert!(matches!(process.status, opentelemetry::trace::Status::Error { .. }));
    let named = format!("00-{trace}-{}-01", process.span_context.span_id());
    assert_eq!(letter.traceparent, Some(named));
}

#[tokio::test]
async fn instruments_count_what_happened() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact("u-1", 2), fact("u-1", 1), fact("flaky", 1), fact("poison", 1)]).await;
    let script = |event: mlp_bus::Event| async move {
        match event.aggregate.as_str() {
            "flaky" if event.delivery == 1 => TRANSIENT,
            "poison" => TERMINAL,
            _ => Ok(Handled::Done),
        }
    };
    let log = Log::default();
    let handler = Fenced::new(Recorder { log: Log::clone(&log), script });
    let running = run_handler(&bus, spec("counted"), handler, log);
    running.wait_for_effects(2).await;
    wait_settled(&server, "counted").await;
    running.stop().await;
    for (name, value) in [
        ("mlp.bus.acked", 3),
        ("mlp.bus.stale", 1),
        ("mlp.bus.refused", 1),
        ("mlp.bus.redelivered", 1),
        ("mlp.bus.dead", 1),
        ("mlp.bus.lane.depth", 0),
        ("mlp.bus.lag", 0),
        ("messaging.client.consumed.messages", 5),
        ("messaging.process.duration", 5),
    ] {
        let seen = || async { (counter(name, "counted") == value).then_some(()) };
        let what = format!("{name} = {value}, not {}", counter(name, "counted"));
        wait_until(Duration::from_secs(2), &what, seen).await.unwrap();
    }
}
