//! The plane with real processes: pods run on simulated nodes, and state survives a stop.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ConfigMap, LimitRange, Namespace, Node, PersistentVolumeClaim, Pod, ResourceQuota, ServiceAccount,
};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use mlp_model::labels::SIMULATED_NODE;
use mlp_tilt::plane::ComponentStatus;
use mlp_tilt::process::Identity;
use mlp_tilt::{Broker, Layout, Options, Plane, PlaneError, Progress};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { etcd_fsync: false, detach: false, ..Options::default() }
}

fn checkout() -> Layout {
    Layout::of_checkout(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
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
    let pids = |status: &[ComponentStatus]| status.iter().map(|one| one.pid).collect::<Vec<_>>();
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

    let moved = Options { fresh_ports: true, ..options() };
    let plane = Plane::start(&layout, moved, &progress).await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(plane.client());
    assert_eq!(deployments.get("web").await.unwrap().spec.unwrap().replicas, Some(3));
    let attached = Plane::attach(&layout).await.unwrap();
    assert_eq!(attached.endpoints(), plane.endpoints());
    Plane::wipe(&layout, &progress).await.unwrap();
    assert!(!state.path().exists() && layout.tools().exists());
}

#[tokio::test]
async fn admission_guards_as_in_production() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    let plane = Plane::start(&layout, options(), &Progress::quiet()).await.unwrap();
    let client = plane.client();
    let parameters = PatchParams::apply("test");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "guarded", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}},
    });
    namespaces.patch("guarded", &parameters, &Patch::Apply(&namespace)).await.unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "guarded");
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.cpu": "1", "pods": "5"}},
    });
    quotas.patch("team", &parameters, &Patch::Apply(&quota)).await.unwrap();
    let limits: Api<LimitRange> = Api::namespaced(client.clone(), "guarded");
    let limit = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "team"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "600m"}}]},
    });
    limits.patch("team", &parameters, &Patch::Apply(&limit)).await.unwrap();
    eventually("an enforced quota", || async {
        let quota = quotas.get("team").await.unwrap();
        quota.status.and_then(|status| status.hard).is_some()
    })
    .await;

    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "guarded");
    eventually("the default service account", || async {
        accounts.get_opt("default").await.unwrap().is_some()
    })
    .await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "guarded");
    let pod = |name: &str, privileged: bool| -> Pod {
        let container = json!({"name": "c", "image": "i:1", "securityContext": {"privileged": privileged}});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"containers": [container]}}))
            .unwrap()
    };
    let post = PostParams::default();
    let refusal = async |name: &str, privileged: bool| {
        pods.create(&post, &pod(name, privileged)).await.unwrap_err().to_string()
    };
    assert!(refusal("root", true).await.contains("PodSecurity"));
    let created = pods.create(&post, &pod("first", false)).await.unwrap();
    assert_eq!(
        created.spec.unwrap().containers[0].resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0,
        "600m"
    );
    let refused = refusal("second", false).await;
    assert!(refused.contains("exceeded quota"), "{refused}");

    let versions = client.list_api_group_resources("admissionregistration.k8s.io/v1").await.unwrap();
    for kind in ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"] {
        assert!(versions.resources.iter().any(|resource| resource.kind == kind), "{kind} is not served");
    }
    eventually("an audit line on the namespace", || async {
        let log = std::fs::read_to_string(layout.logs().join("audit.log")).unwrap_or_default();
        log.contains(r#""resource":"namespaces","namespace":"guarded""#)
    })
    .await;
    Plane::wipe(&layout, &Progress::quiet()).await.unwrap();
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
    // Its watchdog kills; the kernel needs a moment to collect.
    eventually("the end of a plane that is not detached", || async {
        matches!(Plane::attach(&layout).await, Err(PlaneError::NotUp))
    })
    .await;
}

#[tokio::test]
async fn a_detached_plane_outlives_its_starter_and_heals_at_the_next_start() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    let detached = || Options { detach: true, ..options() };
    let progress = Progress::quiet();
    drop(Plane::start(&layout, detached(), &progress).await.unwrap());
    let plane = Plane::attach(&layout).await.unwrap();
    let status = plane.status().await;
    assert!(status.iter().all(|component| component.ready), "{status:?}");

    let scheduler = status.iter().find(|component| component.name == "kube-scheduler").unwrap();
    let pid = nix::unistd::Pid::from_raw(scheduler.pid.unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the end of the scheduler", || async {
        plane.status().await.iter().any(|component| component.pid.is_none())
    })
    .await;
    let healed = Plane::start(&layout, detached(), &progress).await.unwrap().status().await;
    assert!(healed.iter().all(|component| component.ready), "{healed:?}");
    let kept = |name: &str| {
        let pid = |all: &[ComponentStatus]| all.iter().find(|one| one.name == name).and_then(|one| one.pid);
        pid(&status) == pid(&healed)
    };
    assert!(kept("etcd") && kept("kube-apiserver") && !kept("kube-scheduler"));

    Plane::wipe(&layout, &progress).await.unwrap();
    for component in healed {
        assert_eq!(Identity::of(component.pid.unwrap()), None, "{} still runs", component.name);
    }
}

#[tokio::test]
async fn a_port_that_somebody_took_is_one_clear_line_and_starts_nothing() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    layout.open().unwrap();
    let mut ports = mlp_tilt::ports::Ports::default();
    ports.assign(&layout, &["kube-apiserver"], |_| false).unwrap();
    let port = ports.get("kube-apiserver").unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let line = Plane::start(&layout, options(), &Progress::quiet()).await.unwrap_err().to_string();
    assert!(
        line.contains(&port.to_string()) && line.contains("--fresh-ports") && !line.contains('\n'),
        "{line}"
    );
    assert!(!layout.run().exists(), "nothing was started");
}
