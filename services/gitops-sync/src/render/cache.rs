//! What tools made, as long as it fits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Key};

/// Results by what went in; those that were asked for least recently go first.
pub(super) struct Cache {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    made: HashMap<Key, (u64, Arc<str>)>,
    bytes: usize,
    clock: u64,
}

impl Cache {
    /// Keeps so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<str>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (used, made) = state.made.get_mut(key)?;
        *used = now;
        Some(Arc::clone(made))
    }

    pub(super) fn put(&self, key: Key, made: Arc<str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        state.bytes += made.len();
        if let Some((_, before)) = state.made.insert(key, (now, made)) {
            state.bytes -= before.len();
        }
        while state.bytes > self.most {
            let oldest = state.made.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            let Some((_, gone)) = oldest.and_then(|key| state.made.remove(&key)) else { return };
            state.bytes -= gone.len();
        }
    }
}

/// What tools refused a moment ago: the same input is not tried at every look.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Key, (Instant, Error)>>);

/// After so long it is tried again: a bound of time may have been met by bad luck.
const AGAIN: Duration = Duration::from_secs(300);
/// Refusals that are remembered; beyond it all are forgotten.
const REFUSALS: usize = 1_000;

impl Refusals {
    pub(super) fn get(&self, key: &Key) -> Option<Error> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = all.get(key)?;
        (at.elapsed() < AGAIN).then(|| repeated(error)).flatten()
    }

    /// Remembers a refusal, and nothing that may pass by itself.
    pub(super) fn put(&self, key: Key, error: &Error) {
        let Some(error) = repeated(error) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REFUSALS {
            all.clear();
        }
        all.insert(key, (Instant::now(), error));
    }
}

fn repeated(error: &Error) -> Option<Error> {
    match error {
        Error::Refused { tool, said } => Some(Error::Refused { tool, said: said.clone() }),
        Error::TooMuch { tool, why } => Some(Error::TooMuch { tool, why: why.clone() }),
        Error::Source(_) | Error::Broken { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_and_a_missing_tool_is_not() {
        let refusals = Refusals::default();
        refusals.put([1; 32], &Error::Refused { tool: "helm", said: "no".into() });
        refusals.put([2; 32], &Error::Broken { tool: "helm", why: "missing".into() });
        assert!(refusals.get(&[1; 32]).is_some() && refusals.get(&[2; 32]).is_none());
    }

    #[test]
    fn what_was_asked_for_least_recently_goes_first() {
        let cache = Cache::new(10);
        let key = |number: u8| [number; 32];
        cache.put(key(1), "aaaa".into());
        cache.put(key(2), "bbbb".into());
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(3), "cccc".into());
        assert!(cache.get(&key(2)).is_none() && cache.get(&key(1)).is_some() && cache.get(&key(3)).is_some());
        cache.put(key(1), "aaaa".into());
        assert_eq!(cache.state.lock().unwrap().bytes, 8, "the same once");
        cache.put(key(4), "more than all of it".into());
        assert!(cache.get(&key(4)).is_none(), "what does not fit is not kept");
    }
}
