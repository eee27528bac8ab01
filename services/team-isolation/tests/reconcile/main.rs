//! The loop against a scripted API server: what is called, in which case, and what is not; and the audit log in
//! CloudWatch.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod cloudwatch;

use kube::Api;
use mlp_bus::{Bus, BusOptions, Relay};
use mlp_crds::Team;
use mlp_harness::{NatsOptions, NatsServer};
use mlp_reconcile::testing::{Call, Feed, MockApi};
use mlp_reconcile::{Controller, Handle, ObjectRef, Options, Trigger, watcher};
use mlp_team_isolation::domain::model::{self, Site};
use mlp_team_isolation::domain::objects::{self, Surroundings};
use mlp_team_isolation::reconcile::{Signals, TeamReconciler, watches};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TEAM: &str = "/apis/mlplatform.dev/v1alpha1/teams/ml";
const NAMESPACE: &str = "/api/v1/namespaces/ml-team";

/// A scripted API server with an empty cluster, a broker, and the service's loop.
struct World {
    api: MockApi,
    teams: Feed,
    namespaces: Feed,
    owned: Vec<(&'static str, Feed)>,
    _nats: NatsServer,
    bus: Bus,
    stop: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let api = MockApi::new();
        let teams = api.feed("/apis/mlplatform.dev/v1alpha1/teams", "Team");
        let namespaces = api.feed("/api/v1/namespaces", "Namespace");
        api.feed("/apis/mlplatform.dev/v1alpha1/incidents", "Incident");
        api.feed("/apis/mlplatform.dev/v1alpha1/isolationexemptions", "IsolationExemption");
        api.feed("/apis/mlplatform.dev/v1alpha1/teamtombstones", "TeamTombstone");
        api.feed("/api/v1/configmaps", "ConfigMap");
        api.feed("/api/v1/secrets", "Secret");
        api.feed("/api/v1/events", "Event");
        let collections = [
            ("/api/v1/serviceaccounts", "ServiceAccount"),
            ("/api/v1/resourcequotas", "ResourceQuota"),
            ("/api/v1/limitranges", "LimitRange"),
            ("/apis/networking.k8s.io/v1/networkpolicies", "NetworkPolicy"),
            ("/apis/rbac.authorization.k8s.io/v1/roles", "Role"),
            ("/apis/rbac.authorization.k8s.io/v1/rolebindings", "RoleBinding"),
        ];
        let owned = collections.map(|(path, kind)| (kind, api.feed(path, kind))).to_vec();
        let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
        let options = BusOptions { servers: vec![nats.url()], ..BusOptions::default() };
        let bus = Bus::connect(options).await.unwrap();
        Self { api, teams, namespaces, owned, _nats: nats, bus, stop: CancellationToken::new() }
    }

    /// Starts the loop as the composition root does.
    fn start(&self) -> Handle<Team> {
        let client = self.api.client();
        let options = Options { workers: 1, trigger: Trigger::SpecOrMetadata, ..Options::default() };
        let all = Api::<Team>::all(client.clone());
        let controller = Controller::new("test", all, watcher::Config::default(), options);
        let (controller, caches) = watches(controller, &client, Signals::default());
        let teams = controller.handle();
        let relay = Relay::new(self.bus.publisher());
        let store = teams.store().clone();
        let reconciler = TeamReconciler::new(client, store, caches, relay, None, Site::default());
        tokio::spawn(controller.run(reconciler, self.stop.clone()));
        teams
    }

    /// Puts everything that the team should have into the cluster, its quota in force.
    fn put_all(&self) {
        let declared: Team = serde_json::from_value(team(json!({}))).unwrap();
        let declared = model::declare(&declared, &Site::default()).unwrap();
        for object in objects::of(&declared, &Surroundings::fresh(&declared)) {
            let mut object = object.json();
            let kind = object["kind"].as_str().unwrap().to_owned();
            object["metadata"]["uid"] = json!(format!("uid-{kind}"));
            if kind == "ResourceQuota" {
                let hard = object["spec"]["hard"].clone();
                let used: serde_json::Map<_, _> =
                    hard.as_object().unwrap().keys().map(|key| (key.clone(), json!("0"))).collect();
                object["status"] = json!({"hard": hard, "used": used});
            }
            match self.owned.iter().find(|(owned, _)| *owned == kind) {
                Some((_, feed)) => drop(feed.put(object)),
                None => drop(self.namespaces.put(object)),
            }
        }
    }
}

fn team(status: Value) -> Value {
    json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Team",
        "metadata": {
            "name": "ml",
            "uid": "u-1",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["mlplatform.dev/team-isolation"],
        },
        "spec": {"quota": {"objects": {"pods": 5}}},
        "status": status,
    })
}

/// A team with a resource version, as the API server answers a write.
fn stored(status: Value) -> Value {
    let mut team = team(status);
    team["metadata"]["resourceVersion"] = json!("9000");
    team
}

fn ready_with(status: &str, reason: &str) -> Value {
    let since = "2026-01-01T00:00:00Z";
    json!({"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": since})
}

#[tokio::test]
async fn a_namespace_of_somebody_else_leaves_nothing_half_made() {
    let world = World::new().await;
    world.namespaces.put(json!({"metadata": {"name": "ml-team", "uid": "n-9"}}));
    world.teams.put(team(json!({})));
    let managed = json!([{"manager": "kubectl-create", "operation": "Update"}]);
    world.api.always(Call::get(NAMESPACE).answers(json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "ml-team", "uid": "n-9", "managedFields": managed},
    })));
    world.api.expect(Call::merge(&format!("{TEAM}/status")).answers(stored(json!({
        "conditions": [ready_with("False", "NamespaceOwnedByAnother")],
    }))));
    world.api.always(Call::post("/apis/events.k8s.io/v1/namespaces/default/events").echoes());
    let teams = world.start();
    teams.wake_and_wait(ObjectRef::new("ml")).await.unwrap();
    // Any other call, above all a write in the namespace, fails here.
    world.api.verify().await;
}

#[tokio::test]
async fn nobody_has_rights_before_the_quota_is_in_force() {
    let world = World::new().await;
    world.teams.put(team(json!({})));
    world.api.expect(Call::post("/api/v1/namespaces").query("fieldManager", "team-isolation").echoes());
    let base = [
        format!("{NAMESPACE}/serviceaccounts"),
        format!("{NAMESPACE}/resourcequotas"),
        "/apis/networking.k8s.io/v1/namespaces/ml-team/networkpolicies".to_owned(),
    ];
    for path in &base {
        world.api.always(Call::post(path).query("fieldManager", "team-isolation").echoes());
    }
    let teams = world.start();
    teams.wake_and_wait(ObjectRef::new("ml")).await.unwrap();
    world.api.verify().await;
}

#[tokio::test]
async fn a_team_that_is_as_declared_costs_no_call() {
    let world = World::new().await;
    world.put_all();
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": if kind == "NetworkEnforced" { "False" } else { "True" },
            "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let quota = json!({
        "hard": {"pods": "5", "requests.nvidia.com/gpu": "0"},
        "used": {"pods": "0", "requests.nvidia.com/gpu": "0"},
    });
    world.teams.put(team(json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "Isolated", "namespaces, quota, network policy and rights are in force"),
            condition("Declared", "TeamDeclared", "this generation was accepted"),
            condition("Isolated", "TeamIsolated", "this generation was in force"),
            condition("NetworkEnforced", "NothingRuns", "no node runs anything: nodes are simulated, or none has joined yet"),
        ],
        "namespaces": [{
            "name": "ml-team", "uid": "uid-Namespace", "ready": true, "environment": "local",
            "quota": quota,
        }],
        "quota": quota,
        "outbox": {"sequence": 2},
    })));
    let teams = world.start();
    for _ in 0..3 {
        teams.wake_and_wait(ObjectRef::new("ml")).await.unwrap();
    }
    world.api.verify().await;
}
