//! From facts and objects to closed hours: a real API server, a real broker, a real store; only the
//! clock is ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_cost_attribution::api::report::Reports;
use mlp_cost_attribution::domain::hour::LATENESS;
use mlp_cost_attribution::domain::time::{HOUR, Hour, Span};
use mlp_cost_attribution::events::consume::{CONSUMER, MeterTeams};
use mlp_cost_attribution::reconcile::clock::Clock;
use mlp_cost_attribution::reconcile::close::Closer;
use mlp_cost_attribution::reconcile::observe::Observer;
use mlp_cost_attribution::store::Store;
use mlp_harness::{ControlPlane, NatsOptions, NatsServer, TestNamespace, wait_until};
use mlp_model::{Context, Fact, FactId, OutboxStore as _, labels};
use mlp_proto::team::events::v1::{TeamIsolated, TeamNamespace, TeamRemoved};
use mlp_proto::{Message, Name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);

struct World {
    folder: TempDir,
    namespace: TestNamespace,
    node: String,
    client: kube::Client,
    _nats: NatsServer,
    bus: Bus,
    now: Arc<AtomicI64>,
}

impl World {
    async fn new() -> Self {
        let plane = ControlPlane::shared().await.unwrap();
        let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
        let options =
            BusOptions { servers: vec![nats.url()], client_name: "test".into(), ..BusOptions::default() };
        let bus = Bus::connect(options).await.unwrap();
        bus.ensure_streams(&Topology::builtin().unwrap().streams).await.unwrap();
        let namespace = plane.namespace().await.unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            node: format!("node-{}", namespace.name()),
            namespace,
            client: plane.client().await.unwrap(),
            _nats: nats,
            bus,
            now: Arc::new(AtomicI64::new(0)),
        };
        world.now.store(now(), Ordering::Relaxed);
        world
    }

    async fn until_started(&self, count: usize) {
        let pods = Api::<Pod>::namespaced(self.client.clone(), self.namespace.name());
        let started = || async {
            let list = pods.list(&ListParams::default()).await.ok()?;
            let all = list.items.iter().filter_map(|pod| pod.status.as_ref()?.start_time.as_ref()).count();
            (all >= count).then_some(())
        };
        wait_until(LIMIT, "the pods to start", started).await.unwrap();
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::new(move || now.load(Ordering::Relaxed))
    }

    fn relay(&self) -> Relay {
        Relay::new(self.bus.publisher())
    }

    async fn store(&self) -> Store {
        Store::open(&self.folder.path().join("costs.db")).await.unwrap()
    }

    fn closer(&self, store: &Store) -> Closer {
        Closer::new(store.clone(), self.clock(), self.relay(), 1_000, |_, _| {})
    }

    /// A node that no agent runs, with four cores and 16 GiB.
    async fn make_node(&self) {
        let nodes = Api::<Node>::all(self.client.clone());
        let node = json!({"metadata": {"name": self.node, "labels": {"node-pool": "general"}}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let capacity = json!({"cpu": "4", "memory": "16Gi", "pods": "10"});
        let status = json!({"status": {"capacity": capacity, "allocatable": capacity}});
        nodes.patch_status(&self.node, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    async fn make_pod(&self, name: &str, cpu: &str) {
        let pods = Api::<Pod>::namespaced(self.client.clone(), self.namespace.name());
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": self.node, "automountServiceAccountToken": false,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let started =
            jiff::Timestamp::from_millisecond(self.now.load(Ordering::Relaxed)).unwrap().to_string();
        let container = json!({"name": "c", "image": "x", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": started}}});
        let status =
            json!({"status": {"phase": "Running", "startTime": started, "containerStatuses": [container]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    /// Whose the namespace is, written on it.
    async fn label(&self, team: &str) {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let labels = json!({"metadata": {"labels": {labels::TEAM: team, labels::COST_CENTER: "research"}}});
        namespaces
            .patch(self.namespace.name(), &PatchParams::default(), &Patch::Merge(&labels))
            .await
            .unwrap();
    }

    async fn cleanup(&self) {
        let nodes = Api::<Node>::all(self.client.clone());
        nodes.delete(&self.node, &DeleteParams::default()).await.unwrap();
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Prices the nodes of this test only; all others of the shared cluster are unpriced.
async fn price(store: &Store) {
    let row = |price: &str| json!({"name": "general", "matchLabels": {"node-pool": "general"}, "cpuCoreHour": price, "memoryGibHour": "0.004237"});
    let sheet: Value =
        json!({"source": "test", "validFrom": "2020-01-01T00:00:00Z", "nodes": [row("0.031611")]});
    store.keep_sheet("test", Some(&serde_json::from_value(sheet).unwrap())).await.unwrap();
}

fn fact<M: Message + Name>(name: &str, version: u64, message: &M, time: i64) -> Fact {
    Fact {
        id: FactId::derive("Team", "uid-ml", version, &M::full_name()),
        context: Context::Team,
        name: name.into(),
        message_type: M::full_name(),
        team: "ml".into(),
        aggregate: "uid-ml".into(),
        version,
        subject: "teams/ml".into(),
        time: jiff::Timestamp::from_millisecond(time).unwrap().to_string(),
        data: message.encode_to_vec(),
        flow: String::new(),
        cause: None,
    }
}

#[tokio::test]
async fn an_isolated_team_is_metered_once_however_often_it_is_told_and_until_it_is_removed() {
    let world = World::new().await;
    let store = world.store().await;
    let stop = CancellationToken::new();
    let topology = Topology::builtin().unwrap();
    let meter = MeterTeams::new(store.clone(), world.clock(), world.relay());
    let spec = topology.consumer(CONSUMER).unwrap();
    let consuming = tokio::spawn({
        let (bus, stop) = (world.bus.clone(), stop.clone());
        async move { bus.consume(spec, meter, stop).await }
    });
    let isolated = |namespaces: &[&str]| TeamIsolated {
        team: "ml".into(),
        uid: "uid-ml".into(),
        cost_center: "research".into(),
        namespaces: namespaces
            .iter()
            .map(|name| TeamNamespace { name: (*name).into(), uid: String::new() })
            .collect(),
        ..TeamIsolated::default()
    };
    let publisher = world.bus.publisher();
    publisher.publish(&fact("team-isolated", 2, &isolated(&["ml-team"]), 1_000)).await.unwrap();
    publisher.publish(&fact("team-isolated", 3, &isolated(&["ml-team", "ml-extra"]), 2_000)).await.unwrap();
    publisher.publish(&fact("team-isolated", 1, &isolated(&["old"]), 3_000)).await.unwrap();
    let removed = TeamRemoved { team: "ml".into(), uid: "uid-ml".into(), ..TeamRemoved::default() };
    publisher.publish(&fact("team-removed", 4, &removed, 9_000)).await.unwrap();
    let metered = wait_until(LIMIT, "the end of metering", || async {
        let metered = store.metered().await.ok()?;
        metered.into_iter().find(|team| team.until.is_some())
    })
    .await
    .unwrap();
    assert_eq!((metered.from, metered.until, metered.version), (1_000, Some(9_000), 4));
    assert_eq!(metered.namespaces, ["ml-team", "ml-extra"]);
    wait_until(LIMIT, "the fact with the broker", || async {
        store.pending(10).await.ok()?.is_empty().then_some(())
    })
    .await
    .unwrap();
    stop.cancel();
    consuming.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_runs_is_observed_across_a_restart_and_the_hour_adds_up() {
    let world = World::new().await;
    let store = world.store().await;
    price(&store).await;
    world.label("ml").await;
    world.make_node().await;
    world.make_pod("one", "1").await;
    world.make_pod("two", "500m").await;
    // The world's clock stands still: it is set once everything has started, or nothing has by it.
    world.until_started(2).await;
    let begin = now();
    world.now.store(begin, Ordering::Relaxed);
    store.origin(begin).await.unwrap();
    let seen = observe(&world, &store, 2).await;
    // Half an hour later one pod goes while nobody looks; the next list lacks it.
    let pods = Api::<Pod>::namespaced(world.client.clone(), world.namespace.name());
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete("two", &at_once).await.unwrap();
    store.close().await;
    world.now.fetch_add(HOUR / 2, Ordering::Relaxed);
    let store = world.store().await;
    assert_eq!(observe(&world, &store, 1).await, seen - 1);

    world.now.store(Hour::of(begin).end() + 2 * HOUR + LATENESS, Ordering::Relaxed);
    let closed = world.closer(&store).close_due().await.unwrap();
    assert_eq!(closed, 3);
    assert_eq!(world.closer(&store).close_due().await.unwrap(), 0, "an hour closes once");
    let (from, to) = (Hour::of(begin), Hour::of(begin).next().next().next());
    let totals = store.totals(from, to).await.unwrap();
    let sum: i64 = totals.iter().map(|row| row.cost.total()).sum();
    assert_eq!(sum, store.assets(from, to).await.unwrap());
    let reports = Reports::new(store.clone(), world.clock());
    let window = Span { start: begin, end: world.now.load(Ordering::Relaxed) };
    let shares = reports.shares(window, "ml", world.namespace.name()).await.unwrap();
    let seconds = |name: &str| {
        shares.iter().find(|share| share.pod == name).map(|share| share.used[0] / 1_000).unwrap()
    };
    let whole = u64::try_from(window.end - begin).unwrap() / 1_000;
    assert!(seconds("one").abs_diff(whole) <= 3, "{} of {whole}", seconds("one"));
    assert!((seconds("two") * 2).abs_diff(1_800) <= 6, "{}", seconds("two"));
    let costs = reports.team_costs(window).await.unwrap();
    assert_eq!(costs.teams.values().map(|team| team.cost.total()).sum::<i64>(), costs.assets);
    assert_eq!(costs.teams["ml"].cost_center, "research");
    // One core and one GiB, at the rate of the last minute.
    assert!(costs.rates["ml"].abs_diff(31_611_000 + 4_237_000) <= 120, "{:?}", costs.rates);
    world.cleanup().await;
}

/// Observes until the namespace's pods and the node are as expected; returns how many pods are open.
async fn observe(world: &World, store: &Store, expected: usize) -> usize {
    let stop = CancellationToken::new();
    let observer =
        Observer::new(world.client.clone(), store.clone(), world.clock(), vec!["kube-system".into()]);
    let listed = observer.clone();
    let running = tokio::spawn(observer.run(stop.clone()));
    let found = wait_until(LIMIT, "what runs to be in the ledger", || async {
        let now = world.now.load(Ordering::Relaxed);
        let ledger = store.ledger(Span { start: now, end: now + 1 }).await.ok()?;
        let mine = ledger
            .pods
            .iter()
            .filter(|pod| pod.namespace == world.namespace.name() && pod.ended.is_none())
            .count();
        let node = ledger.nodes.iter().find(|node| node.name == world.node)?;
        let known = node.states.last().is_some_and(|(_, state)| state.capacity.cpu_milli == 4_000);
        (listed.missing().is_empty() && mine == expected && known).then_some(mine)
    })
    .await
    .unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
    found
}
