//! What is known about when things ran: one record per uid, grown by merging sightings.
//!
//! Merging takes the earliest start, the earliest end, and for each generation of a pod's requests the
//! earliest time: it does not matter in which order sightings come, or how often.

use std::collections::BTreeMap;

use super::quantity::Amounts;
use super::time::{Millis, Span};

/// What controls a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Controller {
    /// Kind, for example `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// A pod's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// uid; names are used again by other pods.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of the node it runs on.
    pub node: String,
    /// What controls it.
    pub controller: Option<Controller>,
    /// When its first container began to run.
    pub started: Millis,
    /// When it ended, where it has.
    pub ended: Option<Millis>,
    /// Requests by generation, each with the time from which it is known to hold. The first one holds
    /// from the start.
    pub requests: BTreeMap<i64, (Millis, Amounts)>,
}

impl PodRecord {
    /// What both know, together.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.started = self.started.min(other.started);
        self.ended = earliest(self.ended, other.ended);
        for (generation, (from, amounts)) in &other.requests {
            let known = self.requests.entry(*generation).or_insert((*from, *amounts));
            known.0 = known.0.min(*from);
        }
        self.controller = self.controller.or_else(|| other.controller.clone());
        self
    }

    /// The spans within `span` in which it ran, each with its request.
    pub fn runs(&self, span: Span) -> Vec<(Span, Amounts)> {
        let end = self.ended.unwrap_or(Millis::MAX);
        let Some(whole) = span.overlap(Span { start: self.started, end }) else { return Vec::new() };
        let all: Vec<(Millis, Amounts)> = self.requests.values().copied().collect();
        let starts = all
            .iter()
            .enumerate()
            .map(|(index, (from, amounts))| (if index == 0 { self.started } else { *from }, *amounts));
        pieces(starts, whole)
    }
}

/// Capacity of a node from one time on.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeState {
    /// All of it; this is what is paid for.
    pub capacity: Amounts,
    /// What is left to pods.
    pub allocatable: Amounts,
    /// Labels, by which it is priced.
    pub labels: BTreeMap<String, String>,
}

/// A node's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// uid.
    pub uid: String,
    /// Name.
    pub name: String,
    /// Pool.
    pub pool: String,
    /// When it joined.
    pub started: Millis,
    /// When it left, where it has.
    pub ended: Option<Millis>,
    /// States, each from the time at which it was first seen; the first holds from the start.
    pub states: Vec<(Millis, NodeState)>,
}

impl NodeRecord {
    /// What both know, together. A state that equals the one before it adds nothing.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.started = self.started.min(other.started);
        self.ended = earliest(self.ended, other.ended);
        self.states = merge_states(self.states, &other.states);
        self
    }

    /// The spans within `span` in which it lived, each with its state.
    pub fn lives(&self, span: Span) -> Vec<(Span, NodeState)> {
        let end = self.ended.unwrap_or(Millis::MAX);
        let Some(whole) = span.overlap(Span { start: self.started, end }) else { return Vec::new() };
        pieces(first_from(self.started, &self.states), whole)
    }
}

/// Whose a namespace is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Tenancy {
    /// A team's.
    Team {
        /// Name of the team.
        team: String,
        /// The cost centre that pays.
        cost_center: String,
    },
    /// The platform's own.
    Platform,
    /// Nobody's: its cost is shown, never lost.
    Unallocated,
}

/// Whose a namespace was, over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// uid; names are used again.
    pub uid: String,
    /// Name.
    pub name: String,
    /// When it was made.
    pub started: Millis,
    /// Owners, each from the time at which it was first seen; the first holds from the start.
    pub states: Vec<(Millis, Tenancy)>,
}

impl NamespaceRecord {
    /// What both know, together.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.started = self.started.min(other.started);
        self.states = merge_states(self.states, &other.states);
        self
    }

    /// Whose it was at an instant.
    pub fn at(&self, instant: Millis) -> Option<&Tenancy> {
        let known = self.states.iter().rfind(|(from, _)| *from <= instant);
        known.or(self.states.first()).map(|(_, tenancy)| tenancy)
    }
}

fn earliest(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}

fn merge_states<S: Clone + PartialEq>(
    mut states: Vec<(Millis, S)>,
    other: &[(Millis, S)],
) -> Vec<(Millis, S)> {
    states.extend(other.iter().cloned());
    states.sort_by_key(|(from, _)| *from);
    states.dedup_by(|later, earlier| later.1 == earlier.1);
    states
}

fn first_from<S: Clone>(started: Millis, states: &[(Millis, S)]) -> impl Iterator<Item = (Millis, S)> {
    let states: Vec<_> = states.to_vec();
    states
        .into_iter()
        .enumerate()
        .map(move |(index, (from, state))| (if index == 0 { started } else { from }, state))
}

/// Cuts `whole` where a new state begins.
fn pieces<S: Clone>(states: impl Iterator<Item = (Millis, S)>, whole: Span) -> Vec<(Span, S)> {
    let states: Vec<(Millis, S)> = states.collect();
    let ends = states.iter().skip(1).map(|(from, _)| *from).chain([Millis::MAX]);
    let spans =
        states.iter().zip(ends).map(|((start, state), end)| (Span { start: *start, end }, state.clone()));
    spans.filter_map(|(span, state)| Some((span.overlap(whole)?, state))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts(cpu_milli: u64) -> Amounts {
        Amounts { cpu_milli, ..Amounts::default() }
    }

    fn pod(started: Millis, ended: Option<Millis>, generation: i64, from: Millis) -> PodRecord {
        PodRecord {
            uid: "u".into(),
            namespace: "n".into(),
            name: "p".into(),
            node: "node".into(),
            controller: None,
            started,
            ended,
            requests: [(generation, (from, amounts(u64::try_from(generation).unwrap() * 100)))].into(),
        }
    }

    #[test]
    fn a_resize_holds_from_when_it_was_first_seen() {
        let record = pod(10, None, 1, 10).merge(&pod(10, Some(100), 2, 40)).merge(&pod(10, None, 2, 60));
        let span = |start, end| Span { start, end };
        assert_eq!(
            record.runs(span(0, 1_000)),
            [(span(10, 40), amounts(100)), (span(40, 100), amounts(200))]
        );
        assert_eq!(record.runs(span(50, 60)), [(span(50, 60), amounts(200))]);
        assert!(record.runs(span(100, 200)).is_empty());
    }

    #[test]
    fn a_namespace_remembers_whose_it_was() {
        let of = |seen, tenancy| NamespaceRecord {
            uid: "u".into(),
            name: "n".into(),
            started: 5,
            states: vec![(seen, tenancy)],
        };
        let record =
            of(10, Tenancy::Unallocated).merge(&of(20, Tenancy::Platform)).merge(&of(30, Tenancy::Platform));
        assert_eq!(record.at(0), Some(&Tenancy::Unallocated));
        assert_eq!(record.at(19), Some(&Tenancy::Unallocated));
        assert_eq!(record.at(25), Some(&Tenancy::Platform));
        assert_eq!(record.states.len(), 2);
    }

    fn sighting() -> impl Strategy<Value = PodRecord> {
        (0_i64..50, prop::option::of(50_i64..100), 1_i64..4, 0_i64..100)
            .prop_map(|(started, ended, generation, from)| pod(started, ended, generation, from))
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_count(
            sightings in prop::collection::vec(sighting(), 1..12),
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let merged = |all: &[PodRecord]| all.iter().skip(1).fold(all[0].clone(), |known, next| known.merge(next));
            let mut other: Vec<PodRecord> = sightings.iter().rev().cloned().collect();
            other.extend(again.iter().map(|index| index.get(&sightings).clone()));
            prop_assert_eq!(merged(&sightings), merged(&other));
        }
    }
}
