//! Delays between attempts: growing, jittered, bounded.

use std::time::Duration;

use rand::Rng as _;

/// Doubling delays from `first` to at most `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Delay before the second attempt.
    pub first: Duration,
    /// No delay is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Upper bound of the delay after `attempt` failures (from 1).
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// A delay between half the bound and the bound, so that clients do not come back together.
    pub fn delay(&self, attempt: u32) -> Duration {
        jitter(self.bound(attempt))
    }
}

/// A duration between half of `bound` and `bound`.
pub fn jitter(bound: Duration) -> Duration {
    bound.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// The NAK delay after the `attempt`-th failed delivery (from 1): that entry of the consumer's
/// back-off, the last one repeating, with jitter.
pub fn redelivery(steps: &[Duration], attempt: u64) -> Duration {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let step = steps.get(index).or(steps.last()).copied();
    jitter(step.unwrap_or(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest_and_jitter_below_the_bound() {
        let backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };
        assert_eq!(backoff.bound(1), Duration::from_millis(50));
        assert_eq!(backoff.bound(3), Duration::from_millis(200));
        assert_eq!(backoff.bound(u32::MAX), Duration::from_secs(2));
        for attempt in 1..50 {
            let (delay, bound) = (backoff.delay(attempt), backoff.bound(attempt));
            assert!(delay <= bound && delay >= bound / 2, "{attempt}: {delay:?}");
        }
    }

    #[test]
    fn the_last_step_repeats() {
        let steps = [Duration::from_secs(1), Duration::from_secs(8)];
        assert!(redelivery(&steps, 1) <= Duration::from_secs(1));
        assert!(redelivery(&steps, 9) >= Duration::from_secs(4));
        assert!(redelivery(&[], 1) > Duration::ZERO);
    }
}
