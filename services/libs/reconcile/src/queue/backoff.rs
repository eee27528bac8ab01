//! How long to wait after a failure.

use std::time::Duration;

/// Doubles from `initial` to `max` with each failure in a row, plus jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub initial: Duration,
    /// The longest delay; jitter does not exceed it.
    pub max: Duration,
    /// Share of the delay by which it may be shortened at random, 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_millis(250), max: Duration::from_secs(60), jitter: 0.25 }
    }
}

impl Backoff {
    /// The delay after the `failures`-th failure in a row (from 1); `random` is within 0 and 1.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        // 2^20 times any useful initial delay is beyond any useful maximum.
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_jitter_only_shortens() {
        let backoff =
            Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(1), jitter: 0.5 };
        let delays: Vec<_> = (1..=6).map(|n| backoff.delay(n, 0.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay(3, 1.0).as_millis(), 200);
        assert_eq!(backoff.delay(u32::MAX, 0.0), Duration::from_secs(1));
    }
}
