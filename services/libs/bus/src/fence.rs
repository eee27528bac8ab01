//! Fencing: what is not newer than what was handled is skipped.
//!
//! The broker delivers at least once and, after a redelivery, not in order. A consumer is right
//! because it remembers, per aggregate, the version it handled last. The memory here is bounded
//! and dies with the process; forgetting costs one more run of an idempotent handler.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::consume::{Handled, Handler};
use crate::event::Event;

/// How many aggregates a fence remembers by default.
pub const FENCE_CAPACITY: usize = 16_384;

/// The versions handled last, per (source, aggregate); the least recently advanced is forgotten first.
#[derive(Debug)]
pub struct Fence {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: u64,
    versions: HashMap<(String, String), Entry>,
    oldest: BTreeMap<u64, (String, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    version: u64,
    touched: u64,
}

impl Default for Fence {
    fn default() -> Self {
        Self::new(FENCE_CAPACITY)
    }
}

impl Fence {
    /// A fence that remembers at most `capacity` aggregates.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    /// Whether this version, or a later one, of the aggregate was handled already.
    pub fn is_stale(&self, event: &Event) -> bool {
        let key = (event.source.clone(), event.aggregate.clone());
        self.lock().versions.get(&key).is_some_and(|entry| event.version <= entry.version)
    }

    /// Remembers that the event was handled. An older version than the remembered one changes nothing.
    pub fn advance(&self, event: &Event) {
        let key = (event.source.clone(), event.aggregate.clone());
        let mut state = self.lock();
        state.clock += 1;
        let touched = state.clock;
        let before = state.versions.get(&key).copied();
        if before.is_some_and(|entry| entry.version >= event.version) {
            return;
        }
        if let Some(entry) = before {
            state.oldest.remove(&entry.touched);
        }
        state.versions.insert(key.clone(), Entry { version: event.version, touched });
        state.oldest.insert(touched, key);
        while state.versions.len() > self.capacity {
            let Some((_, forgotten)) = state.oldest.pop_first() else { break };
            state.versions.remove(&forgotten);
        }
    }

    /// How many aggregates are remembered.
    pub fn len(&self) -> usize {
        self.lock().versions.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler behind a fence: stale events are skipped as [`Handled::Stale`], handled ones advance it.
#[derive(Debug)]
pub struct Fenced<H> {
    fence: Fence,
    inner: H,
}

impl<H> Fenced<H> {
    /// Puts `inner` behind a fence of [`FENCE_CAPACITY`].
    pub fn new(inner: H) -> Self {
        Self { fence: Fence::default(), inner }
    }

    /// Puts `inner` behind the given fence.
    pub fn with(fence: Fence, inner: H) -> Self {
        Self { fence, inner }
    }
}

impl<H: Handler> Handler for Fenced<H> {
    type Error = H::Error;

    async fn handle(&self, event: &Event) -> Result<Handled, Self::Error> {
        if self.fence.is_stale(event) {
            return Ok(Handled::Stale);
        }
        let handled = self.inner.handle(event).await?;
        self.fence.advance(event);
        Ok(handled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(aggregate: &str, version: u64) -> Event {
        let topic: crate::Topic = format!("mlp.team.a.v1.ml.{aggregate}").parse().unwrap();
        Event {
            id: mlp_model::FactId::from_wire("x"),
            source: "/mlp/team".into(),
            message_type: "mlp.team.events.v1.A".into(),
            subject: "teams/ml".into(),
            team: "ml".into(),
            aggregate: aggregate.into(),
            topic,
            version,
            time: String::new(),
            flow: None,
            traceparent: None,
            data: bytes::Bytes::new(),
            delivery: 1,
        }
    }

    #[test]
    fn equal_and_older_versions_are_stale_and_others_are_not() {
        let fence = Fence::default();
        assert!(!fence.is_stale(&event("u", 2)));
        fence.advance(&event("u", 2));
        fence.advance(&event("u", 1));
        assert!(fence.is_stale(&event("u", 1)) && fence.is_stale(&event("u", 2)));
        assert!(!fence.is_stale(&event("u", 3)) && !fence.is_stale(&event("w", 1)));
    }

    #[test]
    fn memory_is_bounded_and_the_least_recent_goes_first() {
        let fence = Fence::new(2);
        for (aggregate, version) in [("a", 1), ("b", 1), ("a", 2), ("c", 1)] {
            fence.advance(&event(aggregate, version));
        }
        assert_eq!(fence.len(), 2);
        assert!(fence.is_stale(&event("a", 2)) && !fence.is_stale(&event("b", 1)));
    }
}
