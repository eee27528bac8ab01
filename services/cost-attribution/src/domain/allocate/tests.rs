use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::hour::totals;
use crate::domain::price::tests::sheet;
use crate::domain::time::HOUR;

const GIB: u64 = 1 << 30;

fn node(uid: &str, cpu_milli: u64, memory: u64, reserved: u64) -> NodeRecord {
    let capacity = Amounts { cpu_milli, memory, gpu: 0 };
    let allocatable = Amounts { cpu_milli: cpu_milli - reserved, memory, gpu: 0 };
    let state = NodeState { capacity, allocatable, labels: BTreeMap::new() };
    NodeRecord {
        uid: uid.into(),
        name: uid.into(),
        pool: "general".into(),
        started: 0,
        ended: None,
        states: vec![(0, state)],
    }
}

fn pod(
    uid: &str,
    node: &str,
    namespace: &str,
    span: (Millis, Option<Millis>),
    cpu_milli: u64,
    memory: u64,
) -> PodRecord {
    PodRecord {
        uid: uid.into(),
        namespace: namespace.into(),
        name: uid.into(),
        node: node.into(),
        controller: None,
        started: span.0,
        ended: span.1,
        requests: [(1, (span.0, Amounts { cpu_milli, memory, gpu: 0 }))].into(),
    }
}

fn team(name: &str) -> NamespaceRecord {
    let tenancy = Tenancy::Team { team: name.into(), cost_center: name.into() };
    NamespaceRecord {
        uid: format!("ns-{name}"),
        name: format!("{name}-team"),
        started: 0,
        states: vec![(0, tenancy)],
    }
}

fn prices() -> PriceBook {
    let any = json!([{"name": "any", "anyNode": true, "cpuCoreHour": "0.03", "memoryGibHour": "0.004"}]);
    PriceBook::new(vec![sheet("s", "1970-01-01T00:00:00Z", any)])
}

fn hour() -> Span {
    Span { start: 0, end: HOUR }
}

fn by_team(known: Known<'_>, span: Span) -> BTreeMap<String, i64> {
    totals(&allocate(known, span)).into_iter().map(|(team, total)| (team, total.cost.total())).collect()
}

#[test]
fn a_pod_pays_for_its_request_while_it_ran_and_the_rest_is_idle_and_overhead() {
    let nodes = [node("n", 4_000, 16 * GIB, 200)];
    let pods = [pod("a", "n", "ml-team", (0, Some(HOUR / 2)), 1_000, 4 * GIB)];
    let (namespaces, prices) = ([team("ml")], prices());
    let known = Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices };
    let allocation = allocate(known, hour());
    // 4 cores at $0.03 and 16 GiB at $0.004.
    assert_eq!(allocation.assets, Cost { cpu: 120_000_000, memory: 64_000_000, gpu: 0 });
    let cost =
        |purpose: &Purpose| allocation.shares.iter().find(|share| share.purpose == *purpose).unwrap().cost;
    let ml = Tenancy::Team { team: "ml".into(), cost_center: "ml".into() };
    assert_eq!(
        cost(&Purpose::Pod { uid: "a".into(), tenancy: ml }),
        Cost { cpu: 15_000_000, memory: 8_000_000, gpu: 0 }
    );
    assert_eq!(cost(&Purpose::Overhead), Cost { cpu: 6_000_000, memory: 0, gpu: 0 });
    assert_eq!(cost(&Purpose::Idle), Cost { cpu: 99_000_000, memory: 56_000_000, gpu: 0 });
}

#[test]
fn requests_beyond_the_node_are_scaled_down_together_and_idle_is_never_negative() {
    let nodes = [node("n", 4_000, 16 * GIB, 0)];
    let pods =
        [pod("a", "n", "ml-team", (0, None), 6_000, 0), pod("b", "n", "data-team", (0, None), 2_000, 0)];
    let (namespaces, prices) = ([team("ml"), team("data")], prices());
    let known = Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices };
    let teams = by_team(known, hour());
    assert_eq!((teams["ml"], teams["data"], teams["_platform"]), (90_000_000, 30_000_000, 64_000_000));
}

#[test]
fn the_owner_of_a_namespace_is_the_one_of_that_time() {
    let nodes = [node("n", 1_000, GIB, 0)];
    let pods = [pod("a", "n", "ml-team", (0, None), 1_000, GIB)];
    let moved = NamespaceRecord {
        states: vec![(0, Tenancy::Unallocated), (HOUR / 4, team("ml").states[0].1.clone())],
        ..team("ml")
    };
    let (namespaces, prices) = ([moved], prices());
    let known = Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices };
    let teams = by_team(known, hour());
    assert_eq!((teams["_unallocated"], teams["ml"]), (8_500_000, 25_500_000));
}

#[test]
fn a_price_changes_within_the_hour_and_what_has_none_is_unpriced_and_not_free() {
    let nodes = [node("n", 1_000, 0, 0)];
    let row =
        |price: &str| json!([{"name": "any", "anyNode": true, "cpuCoreHour": price, "memoryGibHour": "0"}]);
    let prices = PriceBook::new(vec![
        sheet("old", "1970-01-01T00:00:00Z", row("0.02")),
        sheet("new", "1970-01-01T00:30:00Z", row("0.04")),
    ]);
    let known = Known { nodes: &nodes, pods: &[], namespaces: &[], prices: &prices };
    assert_eq!(allocate(known, hour()).assets.cpu, 30_000_000);
    let none = PriceBook::default();
    let unpriced = allocate(Known { prices: &none, ..known }, hour());
    assert!(unpriced.shares.iter().any(|share| share.purpose == Purpose::Idle && share.unpriced));
}

type Case = (Vec<NodeRecord>, Vec<PodRecord>);

fn case() -> impl Strategy<Value = Case> {
    let nodes = prop::collection::vec((500_u64..8_000, 1_u64..32, 0_u64..400), 1..4);
    let pods = prop::collection::vec(
        (
            0_usize..4,
            0_i64..2 * HOUR,
            prop::option::of(1_i64..2 * HOUR),
            0_u64..9_000,
            0_u64..40 * GIB,
            0_usize..3,
        ),
        0..12,
    );
    (nodes, pods).prop_map(|(nodes, pods)| {
        let nodes: Vec<_> = nodes
            .into_iter()
            .enumerate()
            .map(|(n, (cpu, gib, kept))| node(&format!("n{n}"), cpu, gib * GIB + 12_345, kept))
            .collect();
        let pods = pods.into_iter().enumerate().map(|(index, (on, start, length, cpu, memory, whose))| {
            let namespace = ["ml-team", "data-team", "stray"][whose];
            let on = format!("n{}", on % nodes.len());
            pod(
                &format!("p{index}"),
                &on,
                namespace,
                (start, length.map(|length| start + length)),
                cpu,
                memory,
            )
        });
        let pods = pods.collect();
        (nodes, pods)
    })
}

proptest! {
    #[test]
    fn workloads_idle_and_overhead_equal_the_nodes_to_the_last_nano_dollar((nodes, pods) in case(), start in 0_i64..HOUR) {
        let (namespaces, prices) = ([team("ml"), team("data")], prices());
        let known = Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices };
        let allocation = allocate(known, Span { start, end: start + HOUR });
        let sum = allocation.shares.iter().fold(Cost::default(), |sum, share| sum.plus(share.cost));
        prop_assert_eq!(sum, allocation.assets);
        prop_assert!(allocation.shares.iter().all(|share| share.cost.cpu >= 0 && share.cost.memory >= 0));
        prop_assert_eq!(allocation.assets.cpu > 0, true);
    }

    #[test]
    fn the_order_of_what_is_known_does_not_count((mut nodes, mut pods) in case()) {
        let (namespaces, prices) = ([team("ml"), team("data")], prices());
        let first = allocate(Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices }, hour());
        nodes.reverse();
        pods.reverse();
        let second = allocate(Known { nodes: &nodes, pods: &pods, namespaces: &namespaces, prices: &prices }, hour());
        prop_assert_eq!(first, second);
    }
}
