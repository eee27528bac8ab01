//! Looking at a plane: which processes run, how big they are, where things are.

use std::fs;
use std::path::PathBuf;

use futures::future::join_all;
use serde::Serialize;

use super::Plane;
use super::component::Component;

/// One process of the plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentStatus {
    /// Its name.
    pub name: &'static str,
    /// Its process id; none when it does not run.
    pub pid: Option<i32>,
    /// Whether it answers.
    pub ready: bool,
    /// Resident memory, in bytes; 0 when unknown.
    pub resident_bytes: u64,
    /// Its log.
    pub log: PathBuf,
}

/// Where things are. Parts that were not started are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// The Kubernetes API.
    pub kubernetes: String,
    /// The broker.
    pub nats: Option<String>,
    /// The broker's monitoring pages.
    pub nats_monitor: Option<String>,
    /// Where traces go by OTLP over gRPC.
    pub otlp_traces: Option<String>,
    /// Where metrics go by OTLP over HTTP, with the path.
    pub otlp_metrics: Option<String>,
    /// Jaeger's query API.
    pub jaeger: Option<String>,
    /// Prometheus' API and page.
    pub prometheus: Option<String>,
}

impl Plane {
    /// Where things are.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        let port = |purpose: &str| self.ports.get(purpose).unwrap_or_default();
        let broker = |text: String| self.shape.broker.then_some(text);
        let telemetry = |text: String| self.shape.telemetry.then_some(text);
        Endpoints {
            kubernetes: format!("https://127.0.0.1:{}", port("kube-apiserver")),
            nats: broker(format!("nats://127.0.0.1:{}", port("nats"))),
            nats_monitor: broker(format!("http://127.0.0.1:{}", port("nats-monitor"))),
            otlp_traces: telemetry(format!("http://127.0.0.1:{}", port("jaeger-otlp"))),
            otlp_metrics: telemetry(format!(
                "http://127.0.0.1:{}/api/v1/otlp/v1/metrics",
                port("prometheus")
            )),
            jaeger: telemetry(format!("http://127.0.0.1:{}", port("jaeger-query"))),
            prometheus: telemetry(format!("http://127.0.0.1:{}", port("prometheus"))),
        }
    }

    /// Every process, in the order of starting.
    pub async fn status(&self) -> Vec<ComponentStatus> {
        let components: Vec<Component> = self.shape.components().collect();
        join_all(components.iter().map(|component| self.component_status(component))).await
    }

    async fn component_status(&self, component: &Component) -> ComponentStatus {
        let pid = component.attach(&self.layout).map(|process| process.identity().pid);
        ComponentStatus {
            name: component.name(),
            pid,
            ready: pid.is_some() && component.is_ready(&self.ports, Some(&self.client)).await,
            resident_bytes: pid.map(resident_bytes).unwrap_or_default(),
            log: self.layout.log(component.name()),
        }
    }
}

/// Resident memory of a process, from `/proc/<pid>/status`.
fn resident_bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or_default() * 1024
}
