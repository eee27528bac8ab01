//! Whether many teams are being isolated at the moment.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many pieces of work within [`WINDOW`] are a burst.
const MANY: usize = 8;
const WINDOW: Duration = Duration::from_secs(3);

/// When the last pieces of work were begun.
#[derive(Default)]
pub(super) struct Burst(Mutex<VecDeque<Instant>>);

impl Burst {
    /// Notes a piece of work.
    pub(super) fn note(&self, now: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == MANY {
            last.pop_front();
        }
        last.push_back(now);
    }

    /// Whether there was much of it just now.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.len() == MANY && last.front().is_some_and(|first| now.saturating_duration_since(*first) < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_work_in_a_moment_is_a_burst_and_it_ends_by_itself() {
        let (burst, begin) = (Burst::default(), Instant::now());
        for number in 0..7 {
            burst.note(begin + Duration::from_millis(number * 100));
        }
        assert!(!burst.is_on(begin + Duration::from_secs(1)));
        burst.note(begin + Duration::from_secs(1));
        assert!(burst.is_on(begin + Duration::from_secs(2)));
        assert!(!burst.is_on(begin + Duration::from_secs(3)));
    }
}
