//! Order across redeliveries: what is put back holds later messages of its aggregate back.
//!
//! Pure: the caller passes the time. Bounded by the consumer's `maxAckPending`, because each entry
//! stands for one unacknowledged message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Later messages come this much after the one they wait for.
const AFTER: Duration = Duration::from_millis(250);

/// What waits for its redelivery, per aggregate.
#[derive(Debug)]
pub(super) struct Order<K> {
    outstanding: HashMap<K, BTreeMap<u64, Due>>,
    excused: HashMap<u64, u64>,
    /// Messages whose handler has run in this process.
    tried: HashSet<u64>,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    forget: Instant,
}

impl<K: Clone + Eq + std::hash::Hash> Order<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { outstanding: HashMap::new(), excused: HashMap::new(), tried: HashSet::new(), limit }
    }

    /// Notes that a message was put back for `delay`. Another instance of the consumer may get
    /// it: it is forgotten `grace` after it was due.
    pub(super) fn put_back(&mut self, key: K, sequence: u64, now: Instant, delay: Duration, grace: Duration) {
        if self.outstanding.len() >= self.limit {
            self.outstanding.retain(|_, lane| lane.values().any(|due| due.forget > now));
        }
        if self.outstanding.len() < self.limit || self.outstanding.contains_key(&key) {
            let due = Due { at: now + delay, forget: now + delay + grace };
            self.outstanding.entry(key).or_default().insert(sequence, due);
        }
    }

    /// A message is here: it no longer holds others back. Returns how long it must wait itself for
    /// an earlier one of its aggregate that is still out.
    pub(super) fn arrived(&mut self, key: &K, sequence: u64, now: Instant) -> Option<Duration> {
        let lane = self.outstanding.get_mut(key)?;
        lane.remove(&sequence);
        lane.retain(|_, due| due.forget > now);
        let wait = lane.range(..sequence).map(|(_, due)| due.at.saturating_duration_since(now)).max();
        if lane.is_empty() {
            self.outstanding.remove(key);
        }
        wait.map(|wait| wait + AFTER)
    }

    /// A delivery that was put back for no fault of its own does not count as an attempt.
    pub(super) fn excuse(&mut self, sequence: u64) {
        if self.excused.len() >= self.limit && !self.excused.contains_key(&sequence) {
            return;
        }
        *self.excused.entry(sequence).or_default() += 1;
    }

    /// Deliveries that count as attempts.
    pub(super) fn attempts(&self, sequence: u64, delivered: u64) -> u64 {
        delivered.saturating_sub(self.excused.get(&sequence).copied().unwrap_or(0)).max(1)
    }

    /// Notes that the message's handler runs; returns whether it has run in this process before. An
    /// earlier process' excuses are not known here, so a count alone says nothing of the handler.
    pub(super) fn tries(&mut self, sequence: u64) -> bool {
        if self.tried.len() >= self.limit && !self.tried.contains(&sequence) {
            self.tried.clear();
        }
        !self.tried.insert(sequence)
    }

    /// The message is settled for good.
    pub(super) fn settled(&mut self, sequence: u64) {
        self.excused.remove(&sequence);
        self.tried.remove(&sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn later_messages_wait_for_the_one_that_was_put_back() {
        let (mut order, now) = (Order::new(8), Instant::now());
        order.put_back("a", 5, now, 4 * SECOND, SECOND);
        assert_eq!(order.arrived(&"a", 6, now + SECOND), Some(3 * SECOND + AFTER));
        assert_eq!(order.arrived(&"b", 7, now), None);
        order.put_back("a", 6, now + SECOND, 3 * SECOND + AFTER, SECOND);
        assert_eq!(order.arrived(&"a", 4, now), None, "an earlier one goes ahead");
        assert_eq!(order.arrived(&"a", 5, now + 4 * SECOND), None);
        assert!(order.arrived(&"a", 7, now + 4 * SECOND).is_some(), "6 is still out");
        assert_eq!(order.arrived(&"a", 6, now + 4 * SECOND), None);
        assert_eq!(order.arrived(&"a", 7, now + 4 * SECOND), None);
        assert!(order.outstanding.is_empty());
    }

    #[test]
    fn what_another_instance_took_is_forgotten() {
        let (mut order, now) = (Order::new(8), Instant::now());
        order.put_back("a", 5, now, SECOND, SECOND);
        assert!(order.arrived(&"a", 6, now + SECOND).is_some());
        assert_eq!(order.arrived(&"a", 6, now + 3 * SECOND), None);
    }

    #[test]
    fn excused_deliveries_are_no_attempts_and_memory_is_bounded() {
        let (mut order, now) = (Order::<&str>::new(2), Instant::now());
        order.excuse(1);
        order.excuse(1);
        assert_eq!((order.attempts(1, 5), order.attempts(2, 5), order.attempts(1, 1)), (3, 5, 1));
        order.excuse(2);
        order.excuse(3);
        assert_eq!(order.excused.len(), 2);
        assert!(!order.tries(1) && order.tries(1));
        order.settled(1);
        assert_eq!(order.attempts(1, 5), 5);
        assert!(!order.tries(1));
        for (sequence, key) in ["a", "b", "c"].into_iter().enumerate() {
            order.put_back(key, sequence as u64, now, SECOND, SECOND);
        }
        assert_eq!(order.outstanding.len(), 2);
    }
}
