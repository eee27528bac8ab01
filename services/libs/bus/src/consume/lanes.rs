//! Keyed lanes: first in, first out within a key, keys in turn. Pure; the pool drives it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Jobs sorted by key. At most one job of a key is out at a time.
#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    running: HashSet<K>,
    ready: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, T> Default for Lanes<K, T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), running: HashSet::new(), ready: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, T> Lanes<K, T> {
    /// Adds a job at the end of its lane; true when the lane became ready to run.
    pub(super) fn push(&mut self, key: K, job: T) -> bool {
        let lane = self.waiting.entry(key.clone()).or_default();
        lane.push_back(job);
        let ready = lane.len() == 1 && !self.running.contains(&key);
        if ready {
            self.ready.push_back(key);
        }
        ready
    }

    /// Takes the first job of the lane whose turn it is. Call [`Lanes::done`] after it.
    pub(super) fn next(&mut self) -> Option<(K, T)> {
        let key = self.ready.pop_front()?;
        let job = self.waiting.get_mut(&key)?.pop_front()?;
        self.running.insert(key.clone());
        Some((key, job))
    }

    /// Says that the key's job is over; true when the lane is ready again.
    pub(super) fn done(&mut self, key: &K) -> bool {
        self.running.remove(key);
        if self.waiting.get(key).is_some_and(|lane| !lane.is_empty()) {
            self.ready.push_back(key.clone());
            return true;
        }
        self.waiting.remove(key);
        false
    }

    /// How many jobs wait in the key's lane.
    pub(super) fn depth(&self, key: &K) -> usize {
        self.waiting.get(key).map_or(0, VecDeque::len)
    }

    /// Empties all lanes.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.ready.clear();
        self.waiting.drain().flat_map(|(_, lane)| lane).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lane_runs_one_job_at_a_time_and_others_run_beside_it() {
        let mut lanes = Lanes::default();
        assert!(lanes.push("a", 1));
        assert!(!lanes.push("a", 2));
        assert!(lanes.push("b", 3));
        assert_eq!(lanes.next(), Some(("a", 1)));
        assert_eq!(lanes.next(), Some(("b", 3)));
        assert_eq!(lanes.next(), None);
        assert_eq!(lanes.depth(&"a"), 1);
        assert!(lanes.done(&"a") && !lanes.done(&"b"));
        assert_eq!(lanes.next(), Some(("a", 2)));
        assert!(!lanes.push("a", 4));
        assert_eq!(lanes.clear(), [4]);
        assert!(!lanes.done(&"a"));
    }

    proptest! {
        #[test]
        fn order_holds_per_key_whatever_runs_when(steps in prop::collection::vec((0u8..4, 0u8..3), 1..200)) {
            let mut lanes = Lanes::default();
            let mut running = Vec::new();
            let mut seen: HashMap<u8, Vec<usize>> = HashMap::new();
            let mut pushed = 0;
            for (number, (key, action)) in steps.into_iter().enumerate() {
                if action < 2 {
                    lanes.push(key, number);
                    pushed += 1;
                } else if running.len() > 1 {
                    let key = running.remove(0);
                    lanes.done(&key);
                }
                if let Some((key, job)) = lanes.next() {
                    prop_assert!(!running.contains(&key));
                    running.push(key);
                    seen.entry(key).or_default().push(job);
                }
            }
            while let Some(key) = running.pop() {
                lanes.done(&key);
                if let Some((key, job)) = lanes.next() {
                    running.push(key);
                    seen.entry(key).or_default().push(job);
                }
            }
            let all: usize = seen.values().map(Vec::len).sum();
            prop_assert_eq!(all, pushed);
            for jobs in seen.values() {
                prop_assert!(jobs.is_sorted());
            }
            prop_assert!(lanes.waiting.is_empty() && lanes.running.is_empty());
        }
    }
}
