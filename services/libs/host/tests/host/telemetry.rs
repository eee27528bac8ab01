//! Telemetry to fake collectors: what arrives, under which names, and what a broken one costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{
    Span as _, SpanId, TraceContextExt as _, TraceId, Tracer as _, TracerProvider as _,
};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::trace::InMemorySpanExporter;
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use tracing_subscriber::layer::SubscriberExt as _;

use mlp_host::HostBuilder;
use mlp_host::telemetry::{Telemetry, emit_root_with};
use mlp_model::Flow;

use crate::fake_api::FakeApi;
use crate::grpc::{call, call_with, client};
use crate::probe;
use crate::support::{LIMIT, args};

#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    metrics: Arc<Mutex<Vec<(String, String, ExportMetricsServiceRequest)>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Collector {
    /// A collector of traces and logs over gRPC.
    async fn serve_grpc(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        format!("http://{address}")
    }

    async fn serve_metrics(&self) -> String {
        async fn take(State(this): State<Collector>, uri: Uri, headers: HeaderMap, body: Bytes) {
            let kind = headers["content-type"].to_str().unwrap().to_owned();
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            this.metrics.lock().unwrap().push((uri.path().to_owned(), kind, request));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(axum::routing::post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/api/v1/otlp/v1/metrics")
    }
}

fn attributes(resource: &Resource) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    };
    let pairs = resource.attributes.iter();
    pairs.map(|pair| (pair.key.clone(), text(pair.value.clone().and_then(|value| value.value)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_leave_by_grpc_and_metrics_by_http_both_with_the_resource() {
    let collector = Collector::default();
    let (traces, metrics) = (collector.serve_grpc().await, collector.serve_metrics().await);
    let flags = ["--otlp-endpoint", &traces, "--metrics-otlp-endpoint", &metrics, "--environment", "staging"];
    let telemetry =
        Telemetry::build("provisioner", &args(&[&flags[..], &["--instance", "pod-7"]].concat())).unwrap();
    let flow = Flow::derive("uid-1", 4);
    emit_root_with(&telemetry.traces().tracer("test"), &flow, "Team ml", &[]);
    telemetry.metrics().meter("test").u64_counter("mlp.test.things").build().add(2, &[]);
    assert!(telemetry.shutdown(LIMIT).await, "everything was sent");

    let sent = collector.traces.lock().unwrap().clone();
    let spans = &sent[0].resource_spans[0];
    let resource = attributes(spans.resource.as_ref().unwrap());
    for (key, value) in [
        ("service.name", "provisioner"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", "pod-7"),
        ("deployment.environment.name", "staging"),
        ("k8s.namespace.name", "mlp-system"),
    ] {
        assert_eq!(resource.get(key).map(String::as_str), Some(value), "{key}");
    }
    let root = &spans.scope_spans[0].spans[0];
    assert_eq!(
        (root.trace_id.as_slice(), root.span_id.as_slice()),
        (&flow.trace_id[..], &flow.root_span_id[..])
    );
    assert!(root.parent_span_id.is_empty());

    let sent = collector.metrics.lock().unwrap().clone();
    let (path, kind, request) = sent.last().unwrap();
    assert_eq!((path.as_str(), kind.as_str()), ("/api/v1/otlp/v1/metrics", "application/x-protobuf"));
    let names: Vec<_> =
        request.resource_metrics[0].scope_metrics.iter().flat_map(|scope| &scope.metrics).collect();
    assert!(names.iter().any(|metric| metric.name == "mlp.test.things"));
    let resource = attributes(request.resource_metrics[0].resource.as_ref().unwrap());
    assert_eq!(resource["service.name"], "provisioner");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_leave_by_grpc_with_the_trace_they_belong_to() {
    let collector = Collector::default();
    let endpoint = collector.serve_grpc().await;
    let args = args(&["--logs-otlp-endpoint", &endpoint]);
    let telemetry = Telemetry::build("test", &args).unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(telemetry.span_layer())
        .with(telemetry.log_layer(&args.log).unwrap());
    let trace = tracing::subscriber::with_default(subscriber, || {
        let _entered = tracing::info_span!("work").entered();
        tracing::info!(team = "ml", "quota raised");
        tracing::debug!("below the filter");
        tracing::error!(target: "h2::codec", "of the transport");
        opentelemetry::Context::current().span().span_context().trace_id()
    });
    assert!(telemetry.shutdown(LIMIT).await);
    let sent = collector.logs.lock().unwrap().clone();
    let records: Vec<_> = sent
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|logs| &logs.scope_logs)
        .flat_map(|logs| &logs.log_records)
        .collect();
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0].trace_id, trace.to_bytes());
    let body = records[0].body.clone().and_then(|body| body.value);
    assert_eq!(body, Some(Value::StringValue("quota raised".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_is_gone_blocks_nobody() {
    let black_hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}", black_hole.local_addr().unwrap());
    for endpoint in [hanging.as_str(), "http://127.0.0.1:1"] {
        let flags = [
            "--otlp-endpoint",
            endpoint,
            "--metrics-otlp-endpoint",
            endpoint,
            "--logs-otlp-endpoint",
            endpoint,
        ];
        let telemetry = Telemetry::build("test", &args(&flags)).unwrap();
        let tracer = telemetry.traces().tracer("test");
        let begun = Instant::now();
        for _ in 0..20_000 {
            tracer.start("span").end();
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "spans are queued or dropped, never waited for");
        let begun = Instant::now();
        telemetry.shutdown(Duration::from_millis(300)).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "the flush has a limit");
    }
}

#[tokio::test]
async fn a_call_has_a_server_span_that_continues_the_callers_trace() {
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let exporter = InMemorySpanExporter::default();
    let args = args(&[]);
    let telemetry = Telemetry::with_span_exporter("test", &args, exporter.clone()).unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = FakeApi::default();
    api.state().tokens.insert("good".to_owned(), ("ada".to_owned(), Vec::new()));
    let builder = HostBuilder::new("test", args).kube(api.client()).telemetry(telemetry);
    let host = builder.start().await.unwrap();
    let address = host.serve_grpc(probe::routes(host.authorizer()), probe::descriptors()).await.unwrap();
    let channel = client(address, Some("good")).await;
    let flow = Flow::derive("caller", 1);
    let mut request = Request::new(());
    request.metadata_mut().insert("traceparent", flow.traceparent().parse().unwrap());
    call_with(&channel, "Answer", request).await.unwrap();
    call(&channel, "Broken").await.unwrap_err();

    let finished = || exporter.get_finished_spans().unwrap();
    crate::support::until("two spans", || async { finished().len() == 2 }).await;
    let spans = finished();
    let span = spans.iter().find(|span| span.name.ends_with("/Answer")).unwrap();
    assert_eq!(span.name, "mlp.test.v1.ProbeService/Answer");
    assert_eq!(span.span_kind, opentelemetry::trace::SpanKind::Server);
    assert_eq!(span.span_context.trace_id(), TraceId::from_bytes(flow.trace_id));
    assert_eq!(span.parent_span_id, SpanId::from_bytes(flow.root_span_id));
    let value = |span: &opentelemetry_sdk::trace::SpanData, key: &str| {
        span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    assert_eq!(value(span, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(value(span, "rpc.method").as_deref(), Some("mlp.test.v1.ProbeService/Answer"));
    assert_eq!(value(span, "rpc.response.status_code").as_deref(), Some("OK"));
    assert_eq!(value(span, "error.type"), None);
    let broken = spans.iter().find(|span| span.name.ends_with("/Broken")).unwrap();
    assert_eq!(value(broken, "error.type").as_deref(), Some("INTERNAL"));
    assert!(matches!(broken.status, opentelemetry::trace::Status::Error { .. }), "{:?}", broken.status);
    assert_ne!(broken.span_context.trace_id(), span.span_context.trace_id());
}
