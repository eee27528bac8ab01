//! Traces, metrics and logs of the process, by OpenTelemetry.
//!
//! Code says what happens with `tracing` spans and events and with
//! `opentelemetry::global::meter` instruments. Traces leave by OTLP/gRPC; metrics by OTLP/HTTP
//! and as Prometheus text, two readers of one provider (services/adr/0001); logs go to standard
//! output and, where an endpoint is set, by OTLP/gRPC.

mod export;
mod logs;
mod process;
mod quiet;
mod roots;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SimpleSpanProcessor, SpanExporter, TracerProviderBuilder};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{ConfigError, HostArgs};
use crate::error::BoxError;

pub use quiet::Quiet;
pub use roots::{FlowIds, FlowSampler, emit_root, emit_root_with};

/// Why telemetry could not be set up. A collector that does not answer is no reason: exports are
/// retried and then dropped.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// An OTLP exporter cannot be built from its endpoint.
    #[error("--{flag} does not make an exporter; write a URL such as http://127.0.0.1:4317")]
    Exporter {
        /// The flag that named the endpoint.
        flag: &'static str,
        /// What the exporter said.
        source: ExporterBuildError,
    },
    /// The Prometheus reader cannot be built.
    #[error("the reader behind /metrics cannot be built")]
    Prometheus(#[source] BoxError),
}

/// The providers of one process, and the registry behind `/metrics`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    registry: prometheus::Registry,
}

impl Telemetry {
    /// Builds the providers that `args` ask for and makes them the process's: tracing's global
    /// subscriber, OpenTelemetry's global tracer and meter, and W3C propagation.
    ///
    /// # Errors
    /// [`TelemetryError`] when an endpoint or the filter is not usable.
    pub fn install(service: &'static str, args: &HostArgs) -> Result<Self, crate::StartError> {
        let telemetry = Self::build(service, args)?;
        // No baggage: whatever a caller puts there would travel on to other teams.
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        opentelemetry::global::set_tracer_provider(telemetry.traces.clone());
        opentelemetry::global::set_meter_provider(telemetry.metrics.clone());
        let lines = fmt::layer().event_format(logs::Lines(args.log_format)).with_filter(filter(&args.log)?);
        let bridge = telemetry.log_layer(&args.log)?;
        let installed = Registry::default().with(telemetry.span_layer()).with(bridge).with(lines).try_init();
        if let Err(error) = installed {
            // Another host of this process (tests) or the embedding program has one: keep it.
            tracing::debug!(%error, "a tracing subscriber is installed already");
        }
        Ok(telemetry)
    }

    /// Builds the providers that `args` ask for, without making them global.
    ///
    /// # Errors
    /// [`TelemetryError`] when an endpoint is not usable.
    pub fn build(service: &'static str, args: &HostArgs) -> Result<Self, TelemetryError> {
        let resource = resource(service, args);
        let mut traces = traces_builder(args.trace_ratio, resource.clone());
        if let Some(endpoint) = &args.otlp_endpoint {
            let exporter = exporter("otlp-endpoint", export::spans(endpoint))?;
            traces = traces.with_span_processor(Quiet::new(export::batched(exporter)));
        }
        let logs = match &args.logs_otlp_endpoint {
            Some(endpoint) => {
                let exporter = exporter("logs-otlp-endpoint", export::logs(endpoint))?;
                let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter);
                Some(provider.with_resource(resource.clone()).build())
            }
            None => None,
        };
        let registry = prometheus::Registry::new();
        let text = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // The OTLP receiver adds no such labels either: one rule serves both ways.
            .scope_info_enabled(false)
            .build()
            .map_err(|error| TelemetryError::Prometheus(error.into()))?;
        let mut metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(text);
        if let Some(endpoint) = &args.metrics_otlp_endpoint {
            let exporter = exporter("metrics-otlp-endpoint", export::metrics(endpoint))?;
            let reader = PeriodicReader::builder(exporter).with_interval(args.metrics_interval).build();
            metrics = metrics.with_reader(reader);
        }
        let metrics = metrics.build();
        process::observe(&metrics.meter("mlp-host"));
        Ok(Self { traces: traces.build(), metrics, logs, registry })
    }

    /// Providers that export spans to `exporter` at once: for tests with an exporter in memory.
    ///
    /// # Errors
    /// [`TelemetryError`] as [`Telemetry::build`].
    pub fn with_span_exporter(
        service: &'static str,
        args: &HostArgs,
        exporter: impl SpanExporter + 'static,
    ) -> Result<Self, TelemetryError> {
        let quiet = Quiet::new(SimpleSpanProcessor::new(exporter));
        let traces = traces_builder(args.trace_ratio, resource(service, args)).with_span_processor(quiet);
        Ok(Self { traces: traces.build(), ..Self::build(service, args)? })
    }

    /// The layer that turns `tracing` spans into OpenTelemetry's. Spans of level INFO and above
    /// are kept whatever `--log` says, or traces would lose their middle.
    pub fn span_layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer("mlp-host"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                *metadata.level() <= Level::INFO && !is_transport(metadata.target())
            }))
    }

    /// The layer that sends events to the collector of logs; `None` where no endpoint is set. What
    /// the exporter's own transport logs is left out, or it would feed itself.
    ///
    /// # Errors
    /// [`ConfigError`] when the filter (`--log`) is not one.
    pub fn log_layer<S>(&self, log: &str) -> Result<Option<impl Layer<S> + Send + Sync + use<S>>, ConfigError>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let filter = filter(log)?.and(filter_fn(|metadata| !is_transport(metadata.target())));
        Ok(self.logs.as_ref().map(|logs| OpenTelemetryTracingBridge::new(logs).with_filter(filter)))
    }

    /// The registry behind `/metrics`.
    pub fn registry(&self) -> prometheus::Registry {
        self.registry.clone()
    }

    /// The provider of spans.
    pub fn traces(&self) -> &SdkTracerProvider {
        &self.traces
    }

    /// The provider of metrics.
    pub fn metrics(&self) -> &SdkMeterProvider {
        &self.metrics
    }

    /// Sends what is queued and stops the exporters, within `limit`; what is not sent by then is
    /// lost. Says whether everything was sent.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        let Self { traces, metrics, logs, registry: _ } = self.clone();
        // The SDK blocks its caller while its own threads export; the three do so side by side.
        let flushes = futures::future::join3(
            tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(limit).is_ok()),
            tokio::task::spawn_blocking(move || metrics.shutdown_with_timeout(limit).is_ok()),
            tokio::task::spawn_blocking(move || {
                logs.is_none_or(|logs| logs.shutdown_with_timeout(limit).is_ok())
            }),
        );
        let flushed = tokio::time::timeout(limit, flushes).await;
        matches!(flushed, Ok((Ok(true), Ok(true), Ok(true))))
    }
}

fn filter(log: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(log).map_err(|error| {
        ConfigError::invalid("log", &format!("{error}; write a level, or target=level pairs"))
    })
}

fn exporter<T>(flag: &'static str, built: Result<T, ExporterBuildError>) -> Result<T, TelemetryError> {
    built.map_err(|source| TelemetryError::Exporter { flag, source })
}

fn traces_builder(ratio: f64, resource: Resource) -> TracerProviderBuilder {
    SdkTracerProvider::builder()
        .with_id_generator(FlowIds::default())
        .with_sampler(FlowSampler::new(ratio))
        .with_resource(resource)
}

/// Who speaks: by the OpenTelemetry resource conventions.
fn resource(service: &'static str, args: &HostArgs) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", args.instance_id()),
            KeyValue::new("deployment.environment.name", args.environment.as_str()),
            KeyValue::new("k8s.namespace.name", args.namespace.clone()),
        ])
        .build()
}

/// Crates under the exporters: their spans and events must not be exported by them.
fn is_transport(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    matches!(root, "h2" | "hyper" | "hyper_util" | "tonic" | "tower" | "rustls")
        || root.starts_with("opentelemetry")
}
