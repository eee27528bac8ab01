//! A work queue of keys: each key at most once in line, at most one worker on it, nothing lost.
//!
//! `state` is the pure machine (it is told the time); [`Queue`] adds the waiting. Memory is
//! bounded by the number of distinct keys: a wake of a key already in line only leaves its cause,
//! and of these at most [`CAUSES_LIMIT`].

mod backoff;
mod state;

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use backoff::Backoff;
use state::{State, Taken};

/// How many causes of a wake are kept for one run of one key.
pub const CAUSES_LIMIT: usize = 16;

/// One key, handed to a worker. Give it back with [`Queue::finish`].
#[derive(Debug)]
pub struct Work<Key> {
    /// What to look at.
    pub key: Key,
    /// `traceparent`s of the spans that woke the key, oldest first.
    pub causes: Vec<String>,
    /// Failed runs in a row before this one.
    pub failures: u32,
    /// How long the key was in line.
    pub waited: Duration,
}

/// When a finished key is looked at again (a wake during the run comes first in any case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Only when it is woken.
    OnWake,
    /// After this time; failures are forgotten.
    After(Duration),
    /// After this time, even when it was woken during the run; failures are forgotten.
    AfterConflict(Duration),
    /// After the back-off, which grows with each failure in a row.
    AfterBackoff,
}

/// The queue is closed: no run will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is stopping")]
pub struct Closed;

/// What the queue holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Keys in line.
    pub ready: usize,
    /// Keys being worked on.
    pub running: usize,
    /// Keys that wait for their time.
    pub delayed: usize,
    /// Age of the key that has been in line longest.
    pub oldest: Duration,
}

/// Keys in, work out. `Answer` is what a waiter gets.
pub struct Queue<Key, Answer> {
    state: Mutex<State<Key, Answer>>,
    ready: Notify,
    backoff: Backoff,
}

impl<Key: Clone + Eq + Hash, Answer: Clone> Queue<Key, Answer> {
    /// An empty queue.
    pub fn new(backoff: Backoff) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), ready: Notify::new(), backoff })
    }

    /// Puts `key` in line now; where it already is, only the cause is added, and where it is being
    /// worked on, it runs once more afterwards.
    pub fn wake(&self, key: Key, cause: Option<String>) {
        self.lock().wake(key, cause, Instant::now());
        self.ready.notify_one();
    }

    /// Wakes `key` and waits for the answer of a run that started after this call.
    ///
    /// # Errors
    /// [`Closed`] when the queue closes before.
    pub async fn wake_and_wait(&self, key: Key, cause: Option<String>) -> Result<Answer, Closed> {
        let (waiter, answer) = oneshot::channel();
        self.lock().wake_with(key, cause, waiter, Instant::now())?;
        self.ready.notify_one();
        answer.await.map_err(|_| Closed)
    }

    /// The next key to work on, when there is one; `None` once the queue is closed.
    pub async fn next(&self) -> Option<Work<Key>> {
        loop {
            let taken = self.lock().take(Instant::now());
            match taken {
                Taken::Work(work, more) => {
                    if more {
                        self.ready.notify_one();
                    }
                    return Some(work);
                }
                Taken::Closed => {
                    // The next worker has to hear of it too.
                    self.ready.notify_one();
                    return None;
                }
                Taken::Nothing(None) => self.ready.notified().await,
                Taken::Nothing(Some(due)) => {
                    // Whichever comes first; a lost race only means one more look.
                    let _ = tokio::time::timeout_at(due, self.ready.notified()).await;
                }
            }
        }
    }

    /// Gives back a key: those who waited for this run get `answer`.
    pub fn finish(&self, key: &Key, again: Again, answer: &Answer) {
        let now = Instant::now();
        let jitter = rand::random::<f64>();
        self.lock().finish(key, again, answer, &self.backoff, jitter, now);
        self.ready.notify_one();
    }

    /// Gives back work that could not be done yet; it comes up again after `delay` or when woken, and
    /// whoever waits for it goes on waiting.
    pub fn postpone(&self, work: Work<Key>, delay: Duration) {
        self.lock().postpone(work, Instant::now() + delay);
        self.ready.notify_one();
    }

    /// Closes the queue: workers get no more keys; runs in progress may still finish and answer.
    pub fn close(&self) {
        self.lock().close();
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    /// Closes the queue and gives [`Closed`] to everybody who still waits.
    pub fn abandon(&self) {
        self.close();
        self.lock().abandon();
    }

    /// What the queue holds now.
    pub fn depth(&self) -> Depth {
        self.lock().depth(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, State<Key, Answer>> {
        // No code under the lock panics half-way through a change, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
