//! The real database, and the promise that restarts, repetition and lateness change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mlp_model::{Fact, OutboxStore as _};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::hour::{self, Metered};
use crate::domain::ledger::{NamespaceRecord, NodeRecord, NodeState, PodRecord, Tenancy};
use crate::domain::quantity::Amounts;
use crate::domain::time::{HOUR, Hour, Millis, Span};
use crate::events::publish;
use crate::reconcile::clock::Clock;
use crate::reconcile::close::allocation;

const GIB: u64 = 1 << 30;

async fn open(folder: &TempDir) -> Store {
    Store::open(&folder.path().join("costs.db")).await.unwrap()
}

fn node() -> NodeRecord {
    let capacity = Amounts { cpu_milli: 4_000, memory: 16 * GIB, gpu: 0 };
    let state = NodeState { capacity, allocatable: capacity, labels: BTreeMap::new() };
    NodeRecord {
        uid: "n".into(),
        name: "n".into(),
        pool: "general".into(),
        started: 0,
        ended: None,
        states: vec![(0, state)],
    }
}

fn pod(uid: &str, started: Millis, ended: Option<Millis>, cpu_milli: u64) -> PodRecord {
    PodRecord {
        uid: uid.into(),
        namespace: "ml-team".into(),
        name: uid.into(),
        node: "n".into(),
        controller: None,
        started,
        ended,
        requests: [(1, (started, Amounts { cpu_milli, memory: GIB, gpu: 0 }))].into(),
    }
}

fn team(version: u64) -> Metered {
    Metered {
        team: "ml".into(),
        uid: "t".into(),
        cost_center: "ml".into(),
        namespaces: vec!["ml-team".into()],
        from: 10,
        until: None,
        version,
    }
}

async fn seed(store: &Store) {
    let tenancy = Tenancy::Team { team: "ml".into(), cost_center: "ml".into() };
    let namespace =
        NamespaceRecord { uid: "ns".into(), name: "ml-team".into(), started: 0, states: vec![(0, tenancy)] };
    store.see_namespace(&namespace).await.unwrap();
    store.see_node(&node()).await.unwrap();
    let sheet =
        serde_json::from_value(json!({"source": "test", "validFrom": "1970-01-01T00:00:00Z", "nodes": [
        {"name": "any", "anyNode": true, "cpuCoreHour": "0.031611", "memoryGibHour": "0.004237"}]}));
    store.keep_sheet("s", Some(&sheet.unwrap())).await.unwrap();
    let fact = publish::metering_started(&team(1), 1, String::new(), 0);
    store.begin_metering(&team(1), "e1", &fact).await.unwrap();
    store.origin(0).await.unwrap();
}

async fn shares(store: &Store, hours: i64, team: &str) -> Vec<crate::domain::allocate::Share> {
    let mut all = Vec::new();
    store.each_share((Hour(0), Hour(hours)), team, |share| all.push(share)).await.unwrap();
    all
}

/// Closes what is due at `now`, as the service does.
async fn close(store: &Store, now: Millis) {
    let origin = store.origin(now).await.unwrap();
    for hour in hour::due(store.last_closed().await.unwrap(), origin, now, 100) {
        let ledger = store.ledger(hour.span()).await.unwrap();
        let allocation = allocation(&ledger, hour.span());
        let closed = hour::close(hour, &allocation, &store.metered().await.unwrap(), &ledger.with_claims);
        let facts: Vec<Fact> = closed.iter().map(|it| publish::hour_closed(it, String::new(), 0)).collect();
        let closing = Closing {
            hour,
            allocation: &allocation,
            closed: &closed,
            facts: &facts,
            now,
            oldest: Hour(-1_000),
        };
        assert!(store.close_hour(&closing).await.unwrap());
        assert!(!store.close_hour(&closing).await.unwrap(), "an hour closes once");
    }
}

#[tokio::test]
async fn an_hour_closes_once_with_its_facts_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    seed(&store).await;
    store.see_pod(&pod("a", 0, Some(HOUR / 2), 1_000)).await.unwrap();
    close(&store, HOUR).await;
    assert_eq!(store.last_closed().await.unwrap(), None, "late sightings still count");
    close(&store, HOUR + hour::LATENESS).await;
    assert_eq!(store.last_closed().await.unwrap(), Some(Hour(0)));
    let totals = store.totals(Hour(0), Hour(1)).await.unwrap();
    let sum: i64 = totals.iter().map(|row| row.cost.total()).sum();
    assert_eq!(sum, store.assets(Hour(0), Hour(1)).await.unwrap());
    let ml = totals.iter().find(|row| row.team == "ml").unwrap();
    assert_eq!((ml.cost.cpu, ml.cost.memory), (15_805_500, 2_118_500));
    let names: Vec<String> = store
        .pending(10)
        .await
        .unwrap()
        .into_iter()
        .map(|fact| format!("{}/{}", fact.name, fact.team))
        .collect();
    assert_eq!(names, ["metering-started/ml", "cost-hour-closed/ml", "cost-hour-closed/_platform"]);
    let published: Vec<_> = store.pending(2).await.unwrap().into_iter().map(|fact| fact.id).collect();
    store.trim(&published).await.unwrap();
    store.trim(&published).await.unwrap();
    assert_eq!(store.pending(10).await.unwrap().len(), 1);
    let statements = store.statements(0, "", 10).await.unwrap();
    assert_eq!(statements.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.statements(1, "ml", 10).await.unwrap(), []);
    assert_eq!(shares(&store, 1, "ml").await.len(), 1);
}

#[tokio::test]
async fn an_hour_that_does_not_add_up_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    seed(&store).await;
    let span = Hour(0).span();
    let mut wrong = allocation(&store.ledger(span).await.unwrap(), span);
    let closed = hour::close(Hour(0), &wrong, &[], &Default::default());
    wrong.assets.cpu += 1;
    let closing =
        Closing { hour: Hour(0), allocation: &wrong, closed: &closed, facts: &[], now: 0, oldest: Hour(0) };
    assert!(matches!(store.close_hour(&closing).await, Err(Error::Unbalanced { .. })));
    assert_eq!(store.last_closed().await.unwrap(), None);
}

#[tokio::test]
async fn metering_is_fenced_by_version_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let fact = publish::metering_started(&team(1), 1, String::new(), 0);
    assert_eq!(store.begin_metering(&team(5), "e5", &fact).await.unwrap(), Begun::New);
    assert_eq!(store.begin_metering(&team(5), "e5", &fact).await.unwrap(), Begun::Stale);
    assert_eq!(store.begin_metering(&team(4), "e4", &fact).await.unwrap(), Begun::Stale);
    assert_eq!(store.begin_metering(&team(0), "", &fact).await.unwrap(), Begun::Stale);
    store.close().await;
    let store = open(&folder).await;
    let wider = Metered { namespaces: vec!["ml-team".into(), "ml-extra".into()], from: 99, ..team(6) };
    assert_eq!(store.begin_metering(&wider, "e6", &fact).await.unwrap(), Begun::Changed);
    let known = store.metered().await.unwrap();
    assert_eq!((known[0].from, known[0].namespaces.len(), known[0].version), (10, 2, 6));
    assert!(store.end_metering("t", 500, 7, "e7").await.unwrap());
    assert!(!store.end_metering("t", 900, 8, "e8").await.unwrap());
    assert_eq!(store.metered().await.unwrap()[0].until, Some(500));
    assert_eq!(store.pending(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_pod_of_the_same_name_ends_the_former_one_and_what_is_gone_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.see_pod(&pod("a", 0, None, 100)).await.unwrap();
    let again = PodRecord { uid: "b".into(), name: "a".into(), ..pod("b", 50, None, 100) };
    store.see_pod(&again).await.unwrap();
    store.end_pod("b", 80).await.unwrap();
    store.end_pod("b", 90).await.unwrap();
    let ends: Vec<_> = store
        .ledger(Span { start: 0, end: 100 })
        .await
        .unwrap()
        .pods
        .into_iter()
        .map(|it| (it.uid, it.ended))
        .collect();
    assert_eq!(ends, [("a".to_owned(), Some(50)), ("b".to_owned(), Some(80))]);
    assert!(store.open_uids(ledger::Kind::Pod).await.unwrap().is_empty());
}

#[test]
fn the_clock_is_handed_in() {
    let time = Arc::new(AtomicI64::new(5));
    let told = Arc::clone(&time);
    let clock = Clock::new(move || told.load(Ordering::Relaxed));
    assert_eq!(clock.now(), 5);
    time.store(9, Ordering::Relaxed);
    assert_eq!(clock.now(), 9);
}

/// What happens to one pod: from when to when, with what request.
#[derive(Clone, Debug)]
struct Life {
    started: Millis,
    ended: Option<Millis>,
    cpu_milli: u64,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (0..3 * HOUR, prop::option::of(1..2 * HOUR), 1_u64..6_000).prop_map(
        |(started, length, cpu_milli)| Life {
            started,
            ended: length.map(|length| started + length),
            cpu_milli,
        },
    );
    prop::collection::vec(life, 1..6)
}

/// Runs three hours of lives through a store that is closed and opened at `restarts`; at each of them
/// everything that runs is listed anew. Returns shares and totals as text.
async fn run(lives: &[Life], restarts: &[Millis], repeats: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder).await;
    seed(&store).await;
    let mut events: Vec<(Millis, usize)> = restarts.iter().map(|at| (*at, usize::MAX)).collect();
    for (index, life) in lives.iter().enumerate() {
        events.push((life.started, index));
        events.extend(life.ended.map(|ended| (ended, index)));
    }
    events.sort_unstable();
    for (now, what) in events {
        let shown: Vec<usize> = if what == usize::MAX {
            store.close().await;
            store = open(&folder).await;
            close(&store, now).await;
            (0..lives.len()).filter(|index| lives[*index].started <= now).collect()
        } else {
            vec![what]
        };
        for index in shown {
            let life = &lives[index];
            let ended = life.ended.filter(|ended| *ended <= now);
            for _ in 0..=repeats {
                store.see_pod(&pod(&format!("p{index}"), life.started, ended, life.cpu_milli)).await.unwrap();
            }
        }
    }
    close(&store, 3 * HOUR + hour::LATENESS).await;
    let shares = shares(&store, 3, "").await;
    let totals = store.totals(Hour(0), Hour(3)).await.unwrap();
    format!("{shares:?}{totals:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn restarts_and_repetition_change_no_total(
        lives in lives(),
        restarts in prop::collection::vec(0..3 * HOUR, 0..4),
        repeats in 0_usize..2,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (once, often) = runtime.block_on(async { (run(&lives, &[], 0).await, run(&lives, &restarts, repeats).await) });
        prop_assert_eq!(once, often);
    }
}

#[tokio::test]
async fn a_team_made_anew_within_the_hour_has_its_own_statement_and_the_hour_closes() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    seed(&store).await;
    store.end_metering("t", HOUR / 3, 2, "e2").await.unwrap();
    let again = Metered { uid: "t2".into(), from: HOUR / 2, ..team(1) };
    let fact = publish::metering_started(&again, 1, String::new(), HOUR / 2);
    store.begin_metering(&again, "e3", &fact).await.unwrap();
    let span = Hour(0).span();
    let ledger = store.ledger(span).await.unwrap();
    let allocation = allocation(&ledger, span);
    let closed = hour::close(Hour(0), &allocation, &store.metered().await.unwrap(), &ledger.with_claims);
    let uids: Vec<_> = closed.iter().map(|closed| closed.uid.as_str()).collect();
    assert!(uids.contains(&"t") && uids.contains(&"t2"), "{uids:?}");
    let closing = Closing {
        hour: Hour(0),
        allocation: &allocation,
        closed: &closed,
        facts: &[],
        now: 2 * HOUR,
        oldest: Hour(-1),
    };
    assert!(store.close_hour(&closing).await.unwrap());
    assert_eq!(store.statements(0, "ml", 10).await.unwrap().len(), 2);
}
