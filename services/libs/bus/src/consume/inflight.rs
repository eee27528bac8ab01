//! Messages held in memory: kept alive at the server while they wait or run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Subject;
use async_nats::jetstream::AckKind;
use tracing::debug;

use super::worker::Shared;

/// The messages held, by stream sequence, with the subject that answers them.
#[derive(Debug, Default)]
pub(super) struct Inflight(Mutex<HashMap<u64, Held>>);

#[derive(Clone, Debug)]
struct Held {
    reply: Subject,
    since: Instant,
    running: Option<Instant>,
}

impl Inflight {
    /// Takes a message in; false when it is held already, so that this delivery is a copy.
    pub(super) fn insert(&self, sequence: u64, reply: Subject) -> bool {
        let mut held = self.lock();
        if held.contains_key(&sequence) {
            return false;
        }
        held.insert(sequence, Held { reply, since: Instant::now(), running: None });
        true
    }

    pub(super) fn runs(&self, sequence: u64) {
        if let Some(held) = self.lock().get_mut(&sequence) {
            held.running = Some(Instant::now());
        }
    }

    pub(super) fn remove(&self, sequence: u64) {
        self.lock().remove(&sequence);
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Vec<Subject> {
        self.lock().drain().map(|(_, held)| held.reply).collect()
    }

    /// What needs another word to the server: held longer than `every`, and not run above `cap`.
    fn due(&self, every: Duration, cap: Duration) -> Vec<Subject> {
        let held = self.lock();
        let due = held.values().filter(|held| {
            held.since.elapsed() >= every && held.running.is_none_or(|started| started.elapsed() < cap)
        });
        due.map(|held| held.reply.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the server that held messages are in work, so that they are not delivered elsewhere. A
/// handler above its cap is given up: its message is delivered again.
pub(super) async fn keep_alive(shared: Arc<Shared>) {
    let every = shared.spec.ack_wait / 3;
    loop {
        tokio::time::sleep(every).await;
        for reply in shared.inflight.due(every, shared.spec.handler_cap) {
            if let Err(error) = shared.bus.client().publish(reply, AckKind::Progress.into()).await {
                debug!(%error, "progress not reported");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_seen_and_progress_stops_at_the_cap() {
        let inflight = Inflight::default();
        assert!(inflight.insert(1, "a".into()) && !inflight.insert(1, "b".into()));
        assert_eq!(inflight.due(Duration::ZERO, Duration::ZERO).len(), 1, "waiting is not capped");
        inflight.runs(1);
        assert!(inflight.due(Duration::ZERO, Duration::ZERO).is_empty());
        assert_eq!(inflight.due(Duration::ZERO, Duration::from_secs(60)), ["a".into()]);
        assert!(inflight.due(Duration::from_secs(60), Duration::from_secs(60)).is_empty());
        inflight.remove(1);
        assert!(inflight.insert(1, "c".into()));
        assert_eq!(inflight.take(), ["c".into()]);
    }
}
