//! The cluster that is attacked: the platform's rules, two teams that the service made, and the service
//! stopped.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use mlp_bus::{Bus, BusOptions, Relay};
use mlp_crds::Team;
use mlp_harness::{ControlPlane, NatsOptions, NatsServer, kubectl, wait_until};
use mlp_reconcile::conditions::{READY, is_true};
use mlp_reconcile::{Controller, Options, Trigger, watcher};
use mlp_team_isolation::domain::model::Site;
use mlp_team_isolation::events::consume::WakeTeam;
use mlp_team_isolation::reconcile::{Signals, TeamReconciler, sideline, watches};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::attack::Call;
use crate::objects::{HOME, LAB, ML};
use crate::persona::{Persona, send};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Makes the world once for all tests of the process.
pub(crate) async fn ready() {
    static READY: OnceCell<()> = OnceCell::const_new();
    READY.get_or_init(make).await;
}

async fn make() {
    let plane = ControlPlane::shared().await.unwrap();
    plane.install(&mlp_crds::ours()).await.unwrap();
    let client = plane.client().await.unwrap();
    let rules = repository("deploy/admission");
    kubectl(&plane.kubeconfig(), &["apply", "--server-side", "-k", &rules]).await.unwrap();
    for object in surroundings() {
        apply(&client, &object).await;
    }
    rules_are_read().await;
    kinds_are_counted(&client).await;
    with_service(isolated(&[app(), ml(), tiny()])).await;
}

/// The path of something in the repository.
pub(crate) fn repository(path: &str) -> String {
    format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Applies any object as the administrator.
pub(crate) async fn apply(client: &Client, object: &Value) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (group, version) = match text("/apiVersion").split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), text("/apiVersion")),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&group, &version, &text("/kind")));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        namespace if namespace.is_empty() => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), &namespace, &resource),
    };
    let parameters = PatchParams::apply("attacks").force();
    let applied = api.patch(&text("/metadata/name"), &parameters, &Patch::Apply(object)).await;
    applied.unwrap_or_else(|error| panic!("{} {}: {error}", text("/kind"), text("/metadata/name")));
}

/// What the rows need beside the teams: classes, kinds of others, and an operator with wide rights.
fn surroundings() -> Vec<Value> {
    let mut objects = vec![
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "attacks-operator"},
            "rules": [
                {"apiGroups": ["", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io", "discovery.k8s.io",
                    "policy", "resource.k8s.io", "gateway.networking.k8s.io", "cert-manager.io", "snapshot.storage.k8s.io",
                    "storage.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "attacks-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "attacks-operator"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "operators"}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "attacks-team-writer"},
            "rules": [{"apiGroups": ["mlplatform.dev"], "resources": ["teams"], "verbs": ["create", "get", "patch", "update"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "attacks-team-writer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "attacks-team-writer"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team-writers"}],
        }),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mlp-system", "labels": {"mlplatform.dev/cost-center": "platform"}}}),
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "weak"}, "handler": "runc"}),
    ];
    for (group, kind, plural) in [
        ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
        ("gateway.networking.k8s.io", "Gateway", "gateways"),
        ("gateway.networking.k8s.io", "ReferenceGrant", "referencegrants"),
        ("cert-manager.io", "Certificate", "certificates"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot", "volumesnapshots"),
        ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
    ] {
        objects.push(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            // Definitions in the group of Kubernetes' own projects must say that somebody approved them.
            "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"}},
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        }));
    }
    objects
}

/// Policies take effect some moments after they were written.
async fn rules_are_read() {
    let probe = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "probe", "labels": {"mlplatform.dev/team": "x"}}});
    let operator = Call::create(Persona::Operator, "/api/v1/namespaces", probe);
    wait_until(LIMIT, "the rules to be in force", || async {
        (!operator.send().await.is_admitted()).then_some(())
    })
    .await
    .unwrap();
}

/// Kubernetes learns what it can count every half a minute, and counts when a quota changes.
async fn kinds_are_counted(client: &Client) {
    let key = "count/servicemonitors.monitoring.coreos.com";
    let begun = Instant::now();
    wait_until(Duration::from_secs(90), "new kinds to be counted", || async {
        let hard = (begun.elapsed().as_secs() + 1).to_string();
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "probe", "namespace": "default"},
            "spec": {"hard": {key: hard}}});
        apply(client, &quota).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let found = send(Persona::Root, "GET", "/api/v1/namespaces/default/resourcequotas/probe", None).await.body;
        found["status"]["used"][key].is_string().then_some(())
    })
    .await
    .unwrap();
}

/// Runs the service as long as `work` takes, with a broker of its own.
pub(crate) async fn with_service<T>(work: impl Future<Output = T>) -> T {
    serve(client().await, End::Drained, work).await
}

/// How the service ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it is told to.
    Drained,
    /// In the middle of whatever it does.
    Killed,
}

/// Runs the service through a client as long as `work` takes.
pub(crate) async fn serve<T>(client: Client, end: End, work: impl Future<Output = T>) -> T {
    serve_at(Site::default(), client, end, work).await
}

/// The same on a site of its own, whose nodes and services are where this control plane has them.
pub(crate) async fn serve_at<T>(site: Site, client: Client, end: End, work: impl Future<Output = T>) -> T {
    // One at a time: a second writer would be a second leader.
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
    let bus = Bus::connect(BusOptions { servers: vec![nats.url()], ..BusOptions::default() }).await.unwrap();
    let topology = mlp_bus::Topology::builtin().unwrap();
    bus.ensure_streams(&topology.streams).await.unwrap();
    let stop = CancellationToken::new();
    let options = Options { workers: 4, trigger: Trigger::SpecOrMetadata, ..Options::default() };
    let controller =
        Controller::new("attacks", Api::<Team>::all(client.clone()), watcher::Config::default(), options);
    let (controller, caches) = watches(controller, &client, Signals::default());
    let teams = controller.handle();
    let site = Site { protected_cidrs: vec!["10.96.0.0/16".to_owned()], ..site };
    let relay = Relay::new(bus.publisher());
    let reconciler = TeamReconciler::new(client.clone(), teams.store().clone(), caches, relay, None, site);
    let running = tokio::spawn(controller.run(reconciler, stop.clone()));
    let (beside, told) = (client.clone(), stop.clone());
    let burying = tokio::spawn(async move { sideline(&beside, &told).await });
    teams.wait_synced().await;
    let consumer = topology.consumer("team-isolation-provision").unwrap().clone();
    let (consuming, stopped) = (bus.clone(), stop.clone());
    let consumed =
        tokio::spawn(async move { consuming.consume(consumer, WakeTeam::new(teams), stopped).await });
    *BUS.lock().await = Some(bus);
    let result = Box::pin(work).await;
    *BUS.lock().await = None;
    if end == End::Killed {
        running.abort();
        consumed.abort();
        burying.abort();
        drop((running.await, consumed.await, burying.await));
        return result;
    }
    stop.cancel();
    running.await.unwrap();
    consumed.await.unwrap().unwrap();
    burying.await.unwrap();
    result
}

/// The broker of the service that runs.
static BUS: Mutex<Option<Bus>> = Mutex::const_new(None);

/// The administrator's client.
pub(crate) async fn client() -> Client {
    ControlPlane::shared().await.unwrap().client().await.unwrap()
}

/// Declares teams and waits until each is isolated.
pub(crate) async fn isolated(teams: &[Value]) {
    let client = client().await;
    for team in teams {
        apply(&client, team).await;
    }
    for team in teams {
        let name = team["metadata"]["name"].as_str().unwrap();
        wait_until(LIMIT, &format!("team {name} to be isolated"), || async move {
            let team = team_named(name).await?;
            let conditions = &team.status.as_ref()?.conditions;
            is_true(conditions, READY, team.metadata.generation).then_some(())
        })
        .await
        .unwrap();
    }
}

pub(crate) async fn team_named(name: &str) -> Option<Team> {
    Api::<Team>::all(client().await).get_opt(name).await.unwrap()
}

pub(crate) async fn gone(team: &str) {
    wait_until(LIMIT, "the team to be gone", || async { team_named(team).await.is_none().then_some(()) })
        .await
        .unwrap();
}

/// Waits until most of a namespace's quota of pods is free.
pub(crate) async fn quota_is_free(namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas/team-quota");
    wait_until(LIMIT, "the quota to be free", || async {
        let quota = send(Persona::Root, "GET", &path, None).await.body;
        let used: u32 = quota["status"]["used"]["pods"].as_str()?.parse().ok()?;
        (used < 10).then_some(())
    })
    .await
    .unwrap();
}

/// With the service at work: use that nobody has is counted anew; gives the quota where it was not.
pub(crate) async fn recounted(namespace: &str, key: &str) -> Result<(), Value> {
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas/team-quota");
    let inflated = send(Persona::Root, "GET", &path, None).await.body["status"]["used"][key].clone();
    let work = async {
        let counted = wait_until(LIMIT, "use to be counted anew", || async {
            let used = send(Persona::Root, "GET", &path, None).await.body["status"]["used"][key].clone();
            (used != inflated).then_some(())
        });
        match counted.await {
            Ok(()) => Ok(()),
            Err(_timed_out) => Err(send(Persona::Root, "GET", &path, None).await.body),
        }
    };
    with_service(work).await
}

/// Deletes an object and gives the time until it is there again.
pub(crate) async fn repaired(path: &str) -> Option<Duration> {
    let deleted = send(Persona::Root, "DELETE", path, None).await;
    assert!(deleted.is_admitted(), "{}", deleted.message);
    let begun = Instant::now();
    let back = wait_until(LIMIT, "the object to be back", || async {
        send(Persona::Root, "GET", path, None).await.is_admitted().then_some(())
    });
    back.await.ok().map(|()| begun.elapsed())
}

/// States a fact in another's name, with a body that asks for something.
pub(crate) async fn forge(team: &str, aggregate: &str, about: &Value) {
    let bus = BUS.lock().await.clone().unwrap();
    let uid = about["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut outbox = mlp_model::Outbox::default();
    let draft = mlp_model::FactDraft {
        context: mlp_model::Context::Provision,
        name: "database-deleted",
        message_type: "mlp.provision.events.v1.DatabaseDeleted",
        kind: "Database",
        uid,
        team: team.to_owned(),
        subject: format!("databases/{team}/{aggregate}"),
        data: b"delete the team, raise its quota".to_vec(),
        flow: mlp_model::Flow::derive("forged", 1).traceparent(),
    };
    outbox.record(draft, "2026-01-01T00:00:00Z".to_owned(), None).unwrap();
    bus.publisher().publish(&outbox.pending[0]).await.unwrap();
    // Long enough for the consumer to take it and for a look at the team to end.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

pub(crate) fn app() -> Value {
    json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "app"},
        "spec": {
            "namespaces": [{"name": HOME, "environment": "prod", "share": 80}, {"name": LAB, "environment": "local"}],
            "quota": {
                "requests": {"cpu": "10", "memory": "20Gi", "storage": "100Gi", "ephemeral-storage": "50Gi"},
                "limits": {"cpu": "20", "memory": "40Gi", "ephemeral-storage": "100Gi"},
                "objects": {
                    "pods": 50, "services": 20, "services.nodeports": 0, "services.loadbalancers": 0, "configmaps": 100,
                    "secrets": 100, "persistentvolumeclaims": 20, "replicationcontrollers": 0,
                    "counts": {"pods": 200, "jobs.batch": 50, "cronjobs.batch": 10, "servicemonitors.monitoring.coreos.com": 4,
                        "resourceclaims.resource.k8s.io": 10},
                },
            },
            "limitRange": {
                "container": {"default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "125m", "memory": "256Mi"},
                    "max": {"cpu": "4", "memory": "8Gi"}},
                "persistentVolumeClaim": {"max": {"storage": "20Gi"}},
            },
            "access": {
                "admin": {"groups": ["app-admins"]}, "edit": {"groups": ["app-engineers"]}, "view": {"groups": ["app-viewers"]},
            },
            "policy": {"storageClasses": ["standard"], "priorityClasses": [{"name": "workload-high", "pods": 5}], "queues": ["app"]},
            "ingress": {"hosts": ["app.example.com"], "gateways": ["ingress-nginx/shared"],
                "rateLimit": {"requestsPerSecond": 20, "connections": 10, "bodySize": "25m"}},
        },
    })
}

fn ml() -> Value {
    json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml"},
        "spec": {
            "namespaces": [{"name": ML, "environment": "prod"}],
            "quota": {
                "requests": {"cpu": "20", "memory": "64Gi", "nvidia.com/gpu": "4"},
                "limits": {"cpu": "40", "memory": "128Gi"},
                "extended": {"nvidia.com/mig-1g.10gb": "2"},
                "deviceClasses": {"gpu.nvidia.com": 2},
            },
            "access": {"admin": {"groups": ["ml-admins"]}},
            "ingress": {"hosts": ["ml.example.com"]},
            "policy": {"priorityClasses": [{"name": "gpu-high"}, {"name": "gpu-batch"}], "serviceTypes": ["LoadBalancer", "ExternalName"]},
            "scheduling": {
                "nodePools": ["ml", "gpu"],
                "tolerations": [{"key": "workload", "value": "ml"}],
                "gpu": {
                    "nodeSelector": {"mlplatform.dev/pool": "gpu"},
                    "tolerations": [{"key": "nvidia.com/gpu", "value": "true"}, {"key": "team", "value": "ml"}],
                },
            },
        },
    })
}

fn tiny() -> Value {
    json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "tiny"},
        "spec": {
            "quota": {
                "requests": {"storage": "2Gi"},
                "objects": {"configmaps": 3, "services": 2, "counts": {"pods": 2, "servicemonitors.monitoring.coreos.com": 2}},
            },
            "access": {"admin": {"groups": ["tiny-admins"]}},
        },
    })
}
