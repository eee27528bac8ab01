//! Who pays for what, in a span of at most an hour.
//!
//! Each node, and each time within the span with one price and one capacity, is an asset. Its cost per
//! resource is one whole number of nano-dollars, split once, by largest remainder, over the pods that
//! ran on it, what stood idle, and what the system keeps for itself. So workloads + idle + overhead
//! equal the asset to the last nano-dollar. A pod's share is the integral over time of its request;
//! where the requests on a node exceed it, all are scaled down together.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Controller, NamespaceRecord, NodeRecord, NodeState, PodRecord, Tenancy};
use super::money::{NanoUsd, split};
use super::price::{PriceBook, Rates};
use super::quantity::Amounts;
use super::time::{Millis, Span};

/// Everything known that bears on a span.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Nodes.
    pub nodes: &'a [NodeRecord],
    /// Pods.
    pub pods: &'a [PodRecord],
    /// Namespaces.
    pub namespaces: &'a [NamespaceRecord],
    /// Prices.
    pub prices: &'a PriceBook,
}

/// Money by resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// For cores.
    pub cpu: NanoUsd,
    /// For memory.
    pub memory: NanoUsd,
    /// For GPUs.
    pub gpu: NanoUsd,
}

impl Cost {
    /// The sum.
    pub const fn total(self) -> NanoUsd {
        self.cpu.saturating_add(self.memory).saturating_add(self.gpu)
    }

    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            gpu: self.gpu.saturating_add(other.gpu),
        }
    }
}

/// What a share is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Purpose {
    /// A pod, while its namespace was of one owner.
    Pod {
        /// uid of the pod.
        uid: String,
        /// Whose its namespace was.
        tenancy: Tenancy,
    },
    /// Left to pods, and asked for by none.
    Idle,
    /// Kept by the system: capacity that is not allocatable.
    Overhead,
}

/// One share of one node in the span.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// What it is for.
    pub purpose: Purpose,
    /// Namespace of a pod; empty otherwise.
    pub namespace: String,
    /// Name of a pod; empty otherwise.
    pub pod: String,
    /// What controls the pod.
    pub controller: Option<Controller>,
    /// Name of the node.
    pub node: String,
    /// Pool of the node.
    pub pool: String,
    /// First to last moment.
    pub span: Span,
    /// Millicore-seconds, MiB-seconds, GPU-seconds; rounded down, money is not.
    pub used: [u64; 3],
    /// What it costs.
    pub cost: Cost,
    /// Whether something of it has no price.
    pub unpriced: bool,
}

/// Who paid for a span, and what the nodes cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// By node, purpose and pod.
    pub shares: Vec<Share>,
    /// Cost of all nodes; equal to the sum over the shares.
    pub assets: Cost,
}

/// Allocates a span.
pub fn allocate(known: Known<'_>, span: Span) -> Allocation {
    let namespaces: BTreeMap<&str, Vec<&NamespaceRecord>> =
        known.namespaces.iter().fold(BTreeMap::new(), |mut all, record| {
            all.entry(record.name.as_str()).or_insert_with(Vec::new).push(record);
            all
        });
    let mut pods: BTreeMap<&str, Vec<&PodRecord>> = BTreeMap::new();
    for pod in known.pods {
        pods.entry(pod.node.as_str()).or_default().push(pod);
    }
    let mut nodes: Vec<&NodeRecord> = known.nodes.iter().collect();
    nodes.sort_by(|a, b| a.uid.cmp(&b.uid));
    let mut allocation = Allocation::default();
    for node in nodes {
        let on_it = pods.get(node.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut shares = BTreeMap::new();
        for (life, state) in node.lives(span) {
            for asset in at_one_price(known.prices, life) {
                let rates = known.prices.at(&state.labels, asset.start);
                let whole = Asset { span: asset, state: &state, rates };
                allocation.assets = allocation.assets.plus(whole.allocate(on_it, &namespaces, &mut shares));
            }
        }
        allocation.shares.extend(shares.into_iter().map(|(purpose, part)| part.share(purpose, node)));
    }
    allocation
}

fn at_one_price(prices: &PriceBook, span: Span) -> Vec<Span> {
    let mut cuts: BTreeSet<Millis> = prices.changes(span).collect();
    cuts.extend([span.start, span.end]);
    let cuts: Vec<Millis> = cuts.into_iter().collect();
    cuts.iter().zip(cuts.iter().skip(1)).map(|(start, end)| Span { start: *start, end: *end }).collect()
}

/// A node at one price and one capacity.
struct Asset<'a> {
    span: Span,
    state: &'a NodeState,
    rates: Rates,
}

/// What one purpose has collected on one node.
#[derive(Clone, Debug)]
struct Part {
    namespace: String,
    pod: String,
    controller: Option<Controller>,
    span: Span,
    used: [u128; 3],
    cost: Cost,
    unpriced: bool,
}

impl Part {
    fn of(pod: Option<&PodRecord>, span: Span) -> Self {
        Self {
            namespace: pod.map(|pod| pod.namespace.clone()).unwrap_or_default(),
            pod: pod.map(|pod| pod.name.clone()).unwrap_or_default(),
            controller: pod.and_then(|pod| pod.controller.clone()),
            span,
            used: [0; 3],
            cost: Cost::default(),
            unpriced: false,
        }
    }

    fn share(self, purpose: Purpose, node: &NodeRecord) -> Share {
        let Self { namespace, pod, controller, span, used, cost, unpriced } = self;
        let (node, pool) = (node.name.clone(), node.pool.clone());
        let [cpu, memory, gpu] = used;
        let whole = |milli: u128, unit: u128| u64::try_from(milli / (1_000 * unit)).unwrap_or(u64::MAX);
        let used = [whole(cpu, 1), whole(memory, 1 << 20), whole(gpu, 1)];
        Share { purpose, namespace, pod, controller, node, pool, span, used, cost, unpriced }
    }
}

/// One pod with one request and one owner for a while.
struct Run<'a> {
    span: Span,
    request: [u64; 3],
    purpose: Purpose,
    pod: &'a PodRecord,
}

type Namespaces<'a> = BTreeMap<&'a str, Vec<&'a NamespaceRecord>>;

const fn by_resource(amounts: Amounts) -> [u64; 3] {
    [amounts.cpu_milli, amounts.memory, amounts.gpu]
}

impl Asset<'_> {
    /// Adds the asset's shares to `parts`; returns what the asset costs.
    fn allocate(
        &self,
        pods: &[&PodRecord],
        namespaces: &Namespaces<'_>,
        parts: &mut BTreeMap<Purpose, Part>,
    ) -> Cost {
        let runs: Vec<Run<'_>> = pods.iter().flat_map(|pod| runs(pod, self.span, namespaces)).collect();
        let weights = self.weights(&runs);
        let costs = self.costs();
        for (purpose, (pod, span, _)) in &weights {
            let part = parts.entry(purpose.clone()).or_insert_with(|| Part::of(*pod, *span));
            part.span = Span { start: part.span.start.min(span.start), end: part.span.end.max(span.end) };
        }
        let mut total = [0_i64; 3];
        for (resource, cost) in costs.into_iter().enumerate() {
            let of = |weight: &[u128; 3]| weight.get(resource).copied().unwrap_or(0);
            let wanted: Vec<u128> = weights.values().map(|(_, _, weight)| of(weight)).collect();
            let money = split(cost.unwrap_or(0), &wanted);
            for ((purpose, weight), money) in weights.keys().zip(&wanted).zip(money) {
                let Some(part) = parts.get_mut(purpose) else { continue };
                part.add(resource, *weight, money, cost.is_none());
            }
            if let Some(slot) = total.get_mut(resource) {
                *slot = cost.unwrap_or(0);
            }
        }
        let [cpu, memory, gpu] = total;
        Cost { cpu, memory, gpu }
    }

    /// Cost of each resource over the span; none where it has no price.
    fn costs(&self) -> [Option<NanoUsd>; 3] {
        const MILLI_HOUR: u128 = 1_000 * 3_600_000;
        const GIB_HOUR: u128 = (1 << 30) * 3_600_000;
        const GPU_HOUR: u128 = 3_600_000;
        let cost = |rate: Option<NanoUsd>, amount: u64, unit: u128| {
            if amount == 0 {
                return Some(0);
            }
            let rate = u128::try_from(rate?).ok()?;
            let product = rate.checked_mul(u128::from(amount))?.checked_mul(self.span.length())?;
            i64::try_from((product + unit / 2) / unit).ok()
        };
        let capacity = self.state.capacity;
        [
            cost(self.rates.cpu, capacity.cpu_milli, MILLI_HOUR),
            cost(self.rates.memory, capacity.memory, GIB_HOUR),
            cost(self.rates.gpu, capacity.gpu, GPU_HOUR),
        ]
    }

    /// Integrals of the scaled requests, of what is idle and of what the system keeps.
    fn weights<'p>(&self, runs: &[Run<'p>]) -> BTreeMap<Purpose, (Option<&'p PodRecord>, Span, [u128; 3])> {
        let mut weights: BTreeMap<Purpose, (Option<&PodRecord>, Span, [u128; 3])> = BTreeMap::new();
        for purpose in [Purpose::Idle, Purpose::Overhead] {
            weights.insert(purpose, (None, self.span, [0; 3]));
        }
        for run in runs {
            let entry = weights.entry(run.purpose.clone()).or_insert((Some(run.pod), run.span, [0; 3]));
            entry.1 = Span { start: entry.1.start.min(run.span.start), end: entry.1.end.max(run.span.end) };
        }
        let mut cuts: BTreeSet<Millis> = runs.iter().flat_map(|run| [run.span.start, run.span.end]).collect();
        cuts.extend([self.span.start, self.span.end]);
        let cuts: Vec<Millis> = cuts.into_iter().collect();
        let capacity = by_resource(self.state.capacity);
        let allocatable = by_resource(self.state.allocatable);
        for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
            let moment = Span { start: *start, end: *end };
            let present: Vec<&Run<'_>> =
                runs.iter().filter(|run| run.span.start <= *start && run.span.end >= *end).collect();
            for resource in 0..3 {
                let at = |amounts: &[u64; 3]| u128::from(amounts.get(resource).copied().unwrap_or(0));
                let (all, left) = (at(&capacity), at(&allocatable).min(at(&capacity)));
                let asked: u128 = present.iter().map(|run| at(&run.request)).sum();
                let mut given = 0;
                let mut give = |purpose: &Purpose, amount: u128| {
                    if let Some(slot) =
                        weights.get_mut(purpose).and_then(|(_, _, weight)| weight.get_mut(resource))
                    {
                        *slot += amount;
                    }
                };
                for run in &present {
                    // More asked for than there is: all are scaled down together.
                    let asks = at(&run.request) * moment.length();
                    let share = if asked > all { asks * all / asked } else { asks };
                    given += share;
                    give(&run.purpose, share);
                }
                let rest = (all * moment.length()).saturating_sub(given);
                let idle = (left * moment.length()).saturating_sub(given).min(rest);
                give(&Purpose::Idle, idle);
                give(&Purpose::Overhead, rest - idle);
            }
        }
        weights
    }
}

impl Part {
    fn add(&mut self, resource: usize, weight: u128, money: NanoUsd, unpriced: bool) {
        if let Some(used) = self.used.get_mut(resource) {
            *used += weight;
        }
        let slot = match resource {
            0 => &mut self.cost.cpu,
            1 => &mut self.cost.memory,
            _ => &mut self.cost.gpu,
        };
        *slot = slot.saturating_add(money);
        self.unpriced |= unpriced && weight > 0;
    }
}

/// The runs of a pod within a span, cut where its request or its namespace's owner changes.
fn runs<'p>(pod: &'p PodRecord, span: Span, namespaces: &Namespaces<'_>) -> Vec<Run<'p>> {
    let records = namespaces.get(pod.namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
    // Of namespaces of one name, the one that was there last when the pod began.
    let before = records.iter().filter(|record| record.started <= pod.started);
    let record = before.max_by_key(|record| record.started).or(records.first()).copied();
    let changes =
        || record.into_iter().flat_map(|record| record.states.iter().skip(1).map(|(from, _)| *from));
    let mut all = Vec::new();
    for (run, amounts) in pod.runs(span) {
        let mut cuts: BTreeSet<Millis> = changes().filter(|at| *at > run.start && *at < run.end).collect();
        cuts.extend([run.start, run.end]);
        let cuts: Vec<Millis> = cuts.into_iter().collect();
        for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
            let tenancy =
                record.and_then(|record| record.at(*start)).cloned().unwrap_or(Tenancy::Unallocated);
            let purpose = Purpose::Pod { uid: pod.uid.clone(), tenancy };
            all.push(Run {
                span: Span { start: *start, end: *end },
                request: by_resource(amounts),
                purpose,
                pod,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests;
