//! OTLP exporters: gRPC for traces and logs, HTTP for metrics (Prometheus takes no other).
//!
//! The SDK's batch processors export from threads of their own and drop what does not fit their
//! bounded queues: an exporter that fails or hangs never blocks the caller.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor};
use tokio::runtime::Handle;

/// How long one export may take, its retries included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many spans may wait for export.
const QUEUED_SPANS: usize = 8_192;
/// How long a span waits for others before a batch leaves.
const SPAN_DELAY: Duration = Duration::from_secs(1);

pub(super) fn spans(endpoint: &str) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()
}

/// Sends spans in batches, soon enough for a person who waits for a trace. Spans that do not fit
/// the queue while the collector is away are dropped and counted by the SDK.
pub(super) fn batched(exporter: SpanExporter) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUED_SPANS)
        .with_scheduled_delay(SPAN_DELAY)
        .build();
    BatchSpanProcessor::builder(exporter).with_batch_config(config).build()
}

pub(super) fn logs(endpoint: &str) -> Result<LogExporter, ExporterBuildError> {
    LogExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()
}

pub(super) fn metrics(endpoint: &str) -> Result<MetricExporter, ExporterBuildError> {
    let client = OnRuntime {
        handle: Handle::current(),
        client: HyperClient::with_default_connector(EXPORT_TIMEOUT, None),
    };
    MetricExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .with_http_client(client)
        .build()
}

/// Sends on the process's runtime: the SDK's export thread has none, and hyper needs one.
#[derive(Debug)]
struct OnRuntime {
    handle: Handle,
    client: HyperClient,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.handle.spawn(async move { client.send_bytes(request).await }).await?
    }
}
