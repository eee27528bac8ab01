//! The queue as a pure state machine: no clock, no waiting, no randomness.
//!
//! A key is in exactly one phase: delayed, ready (in line), or running. An entry exists while the
//! key has a phase or failures to remember; a key that is done leaves nothing behind.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Again, Backoff, CAUSES_LIMIT, Closed, Depth, Work};

/// The longest pause before a key that was woken during a failed run is run again.
const SELF_WAKE_DELAY: Duration = Duration::from_secs(1);

/// What [`State::take`] found.
pub(super) enum Taken<Key> {
    /// A key, and whether another worker has something to look at: a key in line, or the time of one.
    Work(Work<Key>, bool),
    /// Nothing in line; the time at which the next delayed key comes up.
    Nothing(Option<Instant>),
    /// The queue is closed.
    Closed,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Not in line; `due` names its place among the delayed, where it has one.
    Idle { due: Option<Due> },
    /// In line since.
    Ready { since: Instant },
    /// With a worker; `woken` says since when it has to run again.
    Running { woken: Option<Instant> },
}

/// Time and a serial number: unique, ordered by time.
type Due = (Instant, u64);

struct Entry<Answer> {
    phase: Phase,
    failures: u32,
    causes: Vec<String>,
    /// Waiters for the next run.
    next: Vec<oneshot::Sender<Answer>>,
    /// Waiters for the run in progress.
    current: Vec<oneshot::Sender<Answer>>,
}

pub(super) struct State<Key, Answer> {
    entries: HashMap<Key, Entry<Answer>>,
    ready: VecDeque<Key>,
    delayed: BTreeMap<Due, Key>,
    serial: u64,
    running: usize,
    closed: bool,
}

impl<Key, Answer> Default for State<Key, Answer> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            serial: 0,
            running: 0,
            closed: false,
        }
    }
}

impl<Answer> Entry<Answer> {
    const fn new() -> Self {
        let phase = Phase::Idle { due: None };
        Self { phase, failures: 0, causes: Vec::new(), next: Vec::new(), current: Vec::new() }
    }

    fn add_cause(&mut self, cause: Option<String>) {
        let Some(cause) = cause else { return };
        if self.causes.len() < CAUSES_LIMIT && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }
}

impl<Key: Clone + Eq + Hash, Answer: Clone> State<Key, Answer> {
    pub(super) fn wake(&mut self, key: Key, cause: Option<String>, now: Instant) {
        if self.closed {
            return;
        }
        let entry = self.entries.entry(key.clone()).or_insert_with(Entry::new);
        entry.add_cause(cause);
        match entry.phase {
            Phase::Ready { .. } => {}
            Phase::Running { woken } => {
                entry.phase = Phase::Running { woken: woken.or(Some(now)) };
            }
            Phase::Idle { due } => {
                entry.phase = Phase::Ready { since: now };
                if let Some(due) = due {
                    self.delayed.remove(&due);
                }
                self.ready.push_back(key);
            }
        }
    }

    pub(super) fn wake_with(
        &mut self,
        key: Key,
        cause: Option<String>,
        waiter: oneshot::Sender<Answer>,
        now: Instant,
    ) -> Result<(), Closed> {
        if self.closed {
            return Err(Closed);
        }
        self.wake(key.clone(), cause, now);
        let entry = self.entries.entry(key).or_insert_with(Entry::new);
        // Callers that gave up leave a closed sender behind; drop these before adding one.
        entry.next.retain(|waiter| !waiter.is_closed());
        entry.next.push(waiter);
        Ok(())
    }

    pub(super) fn take(&mut self, now: Instant) -> Taken<Key> {
        if self.closed {
            return Taken::Closed;
        }
        self.promote(now);
        while let Some(key) = self.ready.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let Phase::Ready { since } = entry.phase else { continue };
            entry.phase = Phase::Running { woken: None };
            entry.current = std::mem::take(&mut entry.next);
            self.running += 1;
            let causes = std::mem::take(&mut entry.causes);
            let waited = now.saturating_duration_since(since);
            let work = Work { key, causes, failures: entry.failures, waited };
            return Taken::Work(work, !self.ready.is_empty() || !self.delayed.is_empty());
        }
        Taken::Nothing(self.delayed.first_key_value().map(|((due, _), _)| *due))
    }

    pub(super) fn finish(
        &mut self,
        key: &Key,
        again: Again,
        answer: &Answer,
        backoff: &Backoff,
        random: f64,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Phase::Running { woken } = entry.phase else { return };
        self.running -= 1;
        for waiter in entry.current.drain(..) {
            // A waiter that gave up is no concern of the queue.
            let _ = waiter.send(answer.clone());
        }
        entry.failures = match again {
            Again::AfterBackoff => entry.failures.saturating_add(1),
            Again::OnWake | Again::After(_) | Again::AfterConflict(_) => 0,
        };
        let failed = matches!(again, Again::AfterBackoff | Again::AfterConflict(_));
        let delay = match again {
            Again::OnWake => None,
            Again::After(delay) | Again::AfterConflict(delay) => Some(delay),
            Again::AfterBackoff => Some(backoff.delay(entry.failures, random)),
        };
        entry.phase = Phase::Idle { due: None };
        if self.closed {
            self.entries.remove(key);
            return;
        }
        match (woken, delay) {
            // A run that fails and wakes itself must not spin; whoever waits for it must not wait longer.
            (Some(_), Some(delay)) if failed && entry.next.is_empty() => {
                self.schedule(key, now + delay.min(SELF_WAKE_DELAY));
            }
            (Some(since), _) => {
                entry.phase = Phase::Ready { since };
                self.ready.push_back(key.clone());
            }
            (None, Some(delay)) => self.schedule(key, now + delay),
            (None, None) => drop(self.entries.remove(key)),
        }
    }

    /// Takes back work that was not done: it keeps its causes, waiters and failures.
    pub(super) fn postpone(&mut self, work: Work<Key>, at: Instant) {
        let Some(entry) = self.entries.get_mut(&work.key) else { return };
        let Phase::Running { woken } = entry.phase else { return };
        self.running -= 1;
        let mut waiters = std::mem::take(&mut entry.current);
        waiters.append(&mut entry.next);
        entry.next = waiters;
        let later = std::mem::replace(&mut entry.causes, work.causes);
        later.into_iter().for_each(|cause| entry.add_cause(Some(cause)));
        if self.closed {
            self.entries.remove(&work.key);
            return;
        }
        match woken {
            Some(since) => {
                entry.phase = Phase::Ready { since };
                self.ready.push_back(work.key);
            }
            None => self.schedule(&work.key, at),
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.ready.clear();
        self.delayed.clear();
        self.entries.retain(|_, entry| matches!(entry.phase, Phase::Running { .. }));
        for entry in self.entries.values_mut() {
            entry.next.clear();
        }
    }

    pub(super) fn abandon(&mut self) {
        self.entries.clear();
    }

    pub(super) fn depth(&self, now: Instant) -> Depth {
        let oldest = self.ready.front().and_then(|key| match self.entries.get(key)?.phase {
            Phase::Ready { since } => Some(now.saturating_duration_since(since)),
            _ => None,
        });
        Depth {
            ready: self.ready.len(),
            running: self.running,
            delayed: self.delayed.len(),
            oldest: oldest.unwrap_or_default(),
        }
    }

    #[cfg(test)]
    pub(super) fn waiters(&self, key: &Key) -> usize {
        self.entries.get(key).map_or(0, |entry| entry.next.len())
    }

    /// Puts an idle key among the delayed.
    fn schedule(&mut self, key: &Key, at: Instant) {
        self.serial += 1;
        let due = (at, self.serial);
        self.delayed.insert(due, key.clone());
        if let Some(entry) = self.entries.get_mut(key) {
            entry.phase = Phase::Idle { due: Some(due) };
        }
    }

    /// Puts delayed keys whose time has come in line, in the order of their times.
    fn promote(&mut self, now: Instant) {
        while let Some((&(due, serial), _)) = self.delayed.first_key_value() {
            if due > now {
                return;
            }
            let Some(key) = self.delayed.remove(&(due, serial)) else { return };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.phase = Phase::Ready { since: due };
                self.ready.push_back(key);
            }
        }
    }
}
