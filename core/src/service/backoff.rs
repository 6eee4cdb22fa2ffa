//! Computes how long a service that ended waits before the supervisor starts it again. It draws and compares times
//! only; `instance` decides whether to start.

use core::time::Duration;

use crate::model::config::Timings;
use crate::model::mutant::mutated;
use crate::model::rng::Rng;

/// Exponential back-off with jitter, after the three `restart_*` timings.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    cooldown_ms: u64,
    failures_max: u32,
}

impl Backoff {
    pub(super) fn new(timings: &Timings) -> Self {
        // A wait of zero would let a service that ends at once take the whole processor.
        let min_ms = timings.restart_backoff_ms_min.max(1);
        assert!(min_ms > 0, "a service that ends at once leaves the processor to others");
        Self {
            min_ms,
            max_ms: timings.restart_backoff_ms_max.max(min_ms),
            cooldown_ms: timings.restart_cooldown_ms,
            failures_max: timings.restart_failures_max,
        }
    }

    /// The wait after the `failures`th failure in a row, counted from 1.
    ///
    /// Doubles with each failure. The upper half of the range is drawn, so that services that fell together
    /// (a shared database went away) do not come back together, and every wait stays within the two timings.
    pub(super) fn wait(&self, failures: u32, rng: &mut Rng) -> Duration {
        let doublings = mutated!(BackoffDoesNotGrow, failures.saturating_sub(1).min(63), 0);
        let ceiling = self.min_ms.saturating_mul(1 << doublings).min(self.max_ms);
        let floor = (ceiling / 2).max(self.min_ms);
        assert!(floor <= ceiling, "a wait is drawn from a range");
        let wait_ms = mutated!(NoJitter, rng.between(floor, ceiling), ceiling);
        assert!(self.min_ms <= wait_ms && wait_ms <= self.max_ms, "a wait stays within its two timings");
        Duration::from_millis(wait_ms)
    }

    /// Whether the supervisor gives up after so many failures in a row.
    pub(super) fn is_hopeless(&self, failures: u32) -> bool {
        self.failures_max > 0 && failures >= self.failures_max + mutated!(GivesUpLate, 0, 1)
    }

    /// Whether a process that ran this long shows that its service had recovered.
    pub(super) fn is_recovered(&self, ran: Duration) -> bool {
        ran >= Duration::from_millis(self.cooldown_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn waits_double_up_to_the_maximum() {
        let backoff = Backoff::new(&Timings::lan());
        let mut rng = Rng::from_seed([1; 32]);
        assert_eq!(backoff.wait(1, &mut rng), Duration::from_millis(50));
        for (failures, floor, ceiling) in
            [(2, 50, 100), (3, 100, 200), (9, 6_400, 12_800), (40, 15_000, 30_000)]
        {
            for _ in 0..50 {
                let wait = backoff.wait(failures, &mut rng).as_millis();
                assert!((floor..=ceiling).contains(&wait), "{failures}: {wait}");
            }
        }
    }

    #[test]
    fn services_that_fell_together_come_back_one_by_one() {
        let (backoff, mut rng) = (Backoff::new(&Timings::lan()), Rng::from_seed([1; 32]));
        let mut waits: alloc::vec::Vec<_> = (0..20).map(|_| backoff.wait(9, &mut rng).as_millis()).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() >= 18, "{waits:?}");
        assert!(
            waits.last() > waits.first().map(|first| first + 3_000).as_ref(),
            "over the upper half: {waits:?}"
        );
    }

    proptest! {
        #[test]
        fn every_wait_is_within_bounds(min in 0_u64.., span in 0_u64.., failures in any::<u32>(), seed in any::<[u8; 32]>()) {
            let timings = Timings {
                restart_backoff_ms_min: min,
                restart_backoff_ms_max: min.saturating_add(span),
                ..Timings::lan()
            };
            let wait = Backoff::new(&timings).wait(failures, &mut Rng::from_seed(seed));
            prop_assert!(wait >= Duration::from_millis(min));
            prop_assert!(wait <= Duration::from_millis(min.saturating_add(span).max(1)));
        }
    }
}
