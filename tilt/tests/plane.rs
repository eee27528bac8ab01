//! The plane with real processes: pods run on simulated nodes, and state survives a stop.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use mlp_model::labels::SIMULATED_NODE;
use mlp_tilt::{Broker, Layout, Options, Plane, PlaneError, Progress};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { etcd_fsync: false, detach: false, ..Options::default() }
}

fn checkout() -> Layout {
    Layout::discover(std::path::Path::new(env!("CARGO_MANIFEST_DIR")))
        .unwrap_or_else(|error| panic!("{error}"))
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let look = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, look).await.is_ok(), "{what} did not happen within {LIMIT:?}");
}

async fn deploy(client: &Client) -> Result<(), kube::Error> {
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    });
    deployments.patch("web", &PatchParams::apply("test"), &Patch::Apply(&deployment)).await.map(|_| ())
}

#[tokio::test]
async fn pods_run_on_simulated_nodes_and_state_survives_a_stop() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    let progress = Progress::stderr();
    let plane = Plane::start(&layout, options(), &progress).await.unwrap();
    let client = plane.client();

    deploy(&client).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    eventually("three running pods", || async {
        let pods = pods.list(&ListParams::default().labels("app=web")).await.unwrap();
        let running =
            |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        pods.items.iter().filter(running).count() == 3
    })
    .await;
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let node = nodes.get(pod.spec.unwrap().node_name.as_deref().unwrap()).await.unwrap();
        assert_eq!(node.labels().get(SIMULATED_NODE).map(String::as_str), Some("true"));
        assert_eq!(node.labels()["mlplatform.dev/pool"], "general", "taints keep plain pods off other pools");
    }

    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    claims.patch("data", &PatchParams::apply("test"), &Patch::Apply(&claim)).await.unwrap();
    eventually("a bound claim of the default class", || async {
        let claim = claims.get("data").await.unwrap();
        claim.status.and_then(|status| status.phase).as_deref() == Some("Bound")
    })
    .await;
    claims.delete("data", &Default::default()).await.unwrap();

    let before: Vec<_> = plane.status().await;
    assert!(before.iter().all(|component| component.ready), "{before:?}");
    let again = Plane::start(&layout, options(), &progress).await.unwrap();
    let after: Vec<_> = again.status().await;
    let pids =
        |status: &[mlp_tilt::plane::ComponentStatus]| status.iter().map(|one| one.pid).collect::<Vec<_>>();
    assert_eq!(pids(&before), pids(&after), "starting again changes nothing");

    let kubeconfig = plane.service_kubeconfig("provisioner", None).await.unwrap();
    let file = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await.unwrap();
    let service = Api::<ConfigMap>::namespaced(Client::try_from(config).unwrap(), "kube-system");
    let refused = service.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");

    Plane::stop(&layout, &progress).await.unwrap();
    assert!(matches!(Plane::attach(&layout).await, Err(PlaneError::NotUp)));
    Plane::stop(&layout, &progress).await.unwrap();
    drop((plane, again));

    let plane = Plane::start(&layout, options(), &progress).await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(plane.client());
    assert_eq!(deployments.get("web").await.unwrap().spec.unwrap().replicas, Some(3));
    let attached = Plane::attach(&layout).await.unwrap();
    assert_eq!(attached.endpoints(), plane.endpoints());
    Plane::stop(&layout, &progress).await.unwrap();
}

#[tokio::test]
async fn the_broker_and_telemetry_run_beside_it_and_end_with_their_owner() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    let options = Options { broker: Broker::Password, telemetry: true, ..options() };
    let plane = Plane::start(&layout, options, &Progress::stderr()).await.unwrap();
    let status = plane.status().await;
    assert_eq!(status.len(), 8);
    assert!(status.iter().all(|component| component.ready), "{status:?}");
    let endpoints = plane.endpoints();
    assert!(endpoints.nats.is_some() && endpoints.jaeger.is_some() && endpoints.prometheus.is_some());
    assert!(plane.nats_login().unwrap().1.expose().len() >= 24);
    drop(plane);
    assert!(
        matches!(Plane::attach(&layout).await, Err(PlaneError::NotUp)),
        "a plane that is not detached ends"
    );
}
