//! Jaeger for traces, Prometheus for metrics: both take OTLP, both are bounded.

use std::time::Duration;

use super::PlaneError;
use super::component::{Component, Invocation, Probe, Site};
use crate::layout::create_private_dir;
use crate::toolchain::pins;

/// How long traces are kept.
const TRACES_KEPT: &str = "72h";
/// How long metrics are kept, and how much disk they may take; what comes first.
const METRICS_KEPT: &str = "15d";
const METRICS_SIZE: &str = "512MB";

pub(super) const JAEGER: Component = Component {
    tool: pins::JAEGER,
    ports: &["jaeger-otlp", "jaeger-query", "jaeger-query-grpc", "jaeger-admin"],
    probe: Probe::Page("jaeger-admin", "/"),
    ready_limit: Duration::from_secs(30),
    stop_grace: Duration::from_secs(10),
    invocation: jaeger,
};

pub(super) const PROMETHEUS: Component = Component {
    tool: pins::PROMETHEUS,
    ports: &["prometheus"],
    probe: Probe::Page("prometheus", "/-/ready"),
    ready_limit: Duration::from_secs(60),
    stop_grace: Duration::from_secs(20),
    invocation: prometheus,
};

fn jaeger(site: &Site) -> Result<Invocation, PlaneError> {
    let data = site.layout.data("jaeger");
    create_private_dir(&data)?;
    let at = |flag: &str, port: u16| format!("--{flag}=127.0.0.1:{port}");
    let mut arguments = vec![
        at("collector.otlp.grpc.host-port", site.port("jaeger-otlp")?),
        at("query.http-server.host-port", site.port("jaeger-query")?),
        at("query.grpc-server.host-port", site.port("jaeger-query-grpc")?),
        at("admin.http.host-port", site.port("jaeger-admin")?),
        "--badger.ephemeral=false".into(),
        format!("--badger.directory-key={}", data.join("keys").display()),
        format!("--badger.directory-value={}", data.join("values").display()),
        format!("--badger.span-store-ttl={TRACES_KEPT}"),
        "--collector.queue-size=4000".into(),
        "--log-level=warn".into(),
    ];
    // Doors that nobody uses go to ports that the system picks, so that platforms do not collide.
    let unused = [
        "collector.otlp.http.host-port",
        "collector.grpc-server.host-port",
        "collector.http-server.host-port",
        "http-server.host-port",
        "processor.jaeger-binary.server-host-port",
        "processor.jaeger-compact.server-host-port",
        "processor.zipkin-compact.server-host-port",
    ];
    arguments.extend(unused.map(|flag| at(flag, 0)));
    let mut invocation = Invocation::new(arguments);
    invocation.environment.insert("SPAN_STORAGE_TYPE".into(), "badger".into());
    Ok(invocation)
}

fn prometheus(site: &Site) -> Result<Invocation, PlaneError> {
    let rules: Vec<String> =
        site.options.prometheus_rules.iter().map(|path| path.display().to_string()).collect();
    let port = site.port("prometheus")?;
    let config = serde_json::json!({
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": rules,
        "otlp": {
            "promote_resource_attributes": ["service.name", "service.instance.id", "deployment.environment.name"],
            "keep_identifying_resource_attributes": true,
        },
        "storage": {"tsdb": {"out_of_order_time_window": "10m"}},
        "scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": [format!("127.0.0.1:{port}")]}]},
        ],
    })
    .to_string();
    let file = site.write_config("prometheus.yaml", &config)?;
    let arguments = vec![
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", site.layout.data("prometheus").display()),
        format!("--storage.tsdb.retention.time={METRICS_KEPT}"),
        format!("--storage.tsdb.retention.size={METRICS_SIZE}"),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--web.enable-otlp-receiver".into(),
        "--log.level=warn".into(),
    ];
    Ok(Invocation::new(arguments).with_file(&config))
}
