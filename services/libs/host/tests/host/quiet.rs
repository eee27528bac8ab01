//! A controller's spans as the process exports them: looks that changed nothing are not there.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt as _};
use mlp_host::telemetry::Telemetry;
use mlp_model::{Class, Classified, Flow};
use mlp_reconcile::testing::{Call, MockApi};
use mlp_reconcile::{Controller, Next, ObjectRef, Options, Reconciler, WriteCounter, watcher};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::args;

const ALL: &str = "/api/v1/configmaps";
const ONE: &str = "/api/v1/namespaces/ml-team/configmaps/target";

#[derive(Debug, thiserror::Error)]
#[error("as the test said")]
struct Refused;

impl Classified for Refused {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> &'static str {
        "Scripted"
    }
}

/// Does what the object's name says.
struct ByName(Client);

impl Reconciler<ConfigMap> for ByName {
    type Error = Refused;

    async fn reconcile(&self, object: Arc<ConfigMap>) -> Result<Next, Refused> {
        match object.name_any().as_str() {
            "writes" => {
                let api = Api::<ConfigMap>::namespaced(self.0.clone(), "ml-team");
                api.delete("target", &Default::default()).await.unwrap();
            }
            "has-a-child" => {
                tokio::task::yield_now().instrument(tracing::info_span!("child")).await;
            }
            "fails" => return Err(Refused),
            _ => {}
        }
        Ok(Next::Done)
    }
}

#[tokio::test]
async fn only_looks_with_an_effect_are_exported_and_what_is_exported_hangs_together() {
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::with_span_exporter("test", &args(&[]), exporter.clone()).unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = MockApi::new();
    let feed = api.feed(ALL, "ConfigMap");
    let names = ["looks", "is-caused", "writes", "has-a-child", "fails"];
    for name in names {
        feed.put(json!({"metadata": {"name": name, "namespace": "ml-team", "uid": format!("uid-{name}")}}));
    }
    api.expect(Call::delete(ONE).answers(json!({"kind": "Status", "status": "Success"})));

    let (client, writes) = WriteCounter::wrap(api.client());
    // One worker, and long pauses: each object is looked at once, and again where it is woken.
    let options =
        Options { workers: 1, resync: Duration::from_secs(3600), writes: Some(writes), ..Options::default() };
    let controller =
        Controller::new("test", Api::<ConfigMap>::all(api.client()), watcher::Config::default(), options);
    let handle = controller.handle();
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(controller.run(ByName(client), shutdown.clone()));
    handle.wait_synced().await;
    // A message about an object that needs nothing: the look links to it, and joins two flows.
    let process = tracing::info_span!("process");
    let key = |name: &str| ObjectRef::new(name).within("ml-team");
    handle.wake_and_wait(key("is-caused")).instrument(process).await.unwrap();
    handle.wake_and_wait(key("looks")).await.unwrap();
    handle.wake_and_wait(key("has-a-child")).await.unwrap();
    handle.wake_and_wait(key("fails")).await.unwrap_err();
    shutdown.cancel();
    run.await.unwrap();
    api.verify().await;

    let spans = exporter.get_finished_spans().unwrap();
    let uids: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "reconcile ConfigMap")
        .map(|span| {
            let uid = span.attributes.iter().find(|said| said.key.as_str() == "k8s.object.uid");
            uid.unwrap().value.to_string()
        })
        .collect();
    assert!(!uids.contains(&"uid-looks".to_owned()), "{uids:?}");
    for name in ["is-caused", "writes", "has-a-child", "fails"] {
        let flow = Flow::derive(&format!("uid-{name}"), 0);
        let of_flow = spans.iter().filter(|span| span.name == "reconcile ConfigMap");
        let mut of_flow =
            of_flow.filter(|span| span.span_context.trace_id() == TraceId::from_bytes(flow.trace_id));
        let span = of_flow.next().unwrap_or_else(|| panic!("no span of {name}: {uids:?}"));
        assert_eq!(span.parent_span_id, SpanId::from_bytes(flow.root_span_id), "{name}");
    }
    assert_eq!(spans.iter().filter(|span| span.name == "process").count(), 1, "a message's span stays");
    let known: Vec<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
    for child in spans.iter().filter(|span| span.name == "child") {
        assert!(known.contains(&child.parent_span_id), "an orphan");
    }
    assert_eq!(spans.iter().map(|span| span.links.len()).sum::<usize>(), 1, "of the look that was caused");
    for link in spans.iter().flat_map(|span| span.links.iter()) {
        assert!(known.contains(&link.span_context.span_id()), "a link that leads nowhere");
    }
}
