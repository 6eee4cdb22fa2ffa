//! A host's two clocks as functions of the world's time; they read no clock of this machine.

use std::time::Duration;

use annulus_core::{Instant, UnixTime};

/// 2026-01-01T00:00:00Z: what every wall clock shows at the world's zero.
const EPOCH_MS: u64 = 1_767_225_600_000;
const MILLION: i128 = 1_000_000;

/// A host's monotonic clock, which may run fast or slow, and its wall clock, which may also jump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor_world_ns: u64,
    anchor_local_ns: u64,
    rate_ppm: i32,
    wall_offset_ms: i64,
}

impl Clock {
    /// A clock that agrees with the world's.
    pub(crate) const fn exact() -> Self {
        Self { anchor_world_ns: 0, anchor_local_ns: 0, rate_ppm: 0, wall_offset_ms: 0 }
    }

    /// The monotonic clock's time at `world`.
    pub(crate) fn local(&self, world: Instant) -> Instant {
        let elapsed = world.as_nanos().saturating_sub(self.anchor_world_ns);
        Instant::from_nanos(self.anchor_local_ns.saturating_add(scale(
            elapsed,
            MILLION + i128::from(self.rate_ppm),
            MILLION,
        )))
    }

    /// When the monotonic clock will have reached `local`; never, if that is beyond the end of time.
    pub(crate) fn world(&self, local: Instant) -> Instant {
        if local == Instant::FAR_FUTURE {
            return local;
        }
        let ahead = local.as_nanos().saturating_sub(self.anchor_local_ns);
        let rate = MILLION + i128::from(self.rate_ppm);
        let mut at = self.anchor_world_ns.saturating_add(scale(ahead, MILLION, rate));
        // Rounding down must not wake a node a nanosecond before its deadline.
        while self.rate_ppm != 0 && self.local(Instant::from_nanos(at)) < local {
            at = at.saturating_add(1);
        }
        Instant::from_nanos(at)
    }

    /// The wall clock's time at `world`.
    pub(crate) fn wall(&self, world: Instant) -> UnixTime {
        let ms = EPOCH_MS.saturating_add(self.local(world).as_millis());
        UnixTime::from_millis(ms.saturating_add_signed(self.wall_offset_ms))
    }

    /// Lets the monotonic clock run faster (slower, when negative) from `world` on.
    pub(crate) fn set_rate(&mut self, world: Instant, rate_ppm: i32) {
        assert!(rate_ppm > -1_000_000, "a clock cannot stand still or run backwards");
        self.anchor_local_ns = self.local(world).as_nanos();
        self.anchor_world_ns = world.as_nanos();
        self.rate_ppm = rate_ppm;
    }

    /// The monotonic clock, and the wall clock with it, shows `by` more from `world` on.
    pub(crate) fn jump(&mut self, world: Instant, by: Duration) {
        self.anchor_local_ns = (self.local(world) + by).as_nanos();
        self.anchor_world_ns = world.as_nanos();
    }

    /// Sets the wall clock forward or back.
    pub(crate) fn jump_wall(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }
}

fn scale(ns: u64, numerator: i128, denominator: i128) -> u64 {
    if numerator == denominator {
        return ns;
    }
    u64::try_from(i128::from(ns) * numerator / denominator).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_deadline_is_reached_when_the_clock_says_so(
            rate_ppm in -500_000_i32..500_000, since in 0_u64..1 << 50, ahead in 0_u64..1 << 50,
        ) {
            let mut clock = Clock::exact();
            clock.set_rate(Instant::from_nanos(since), rate_ppm);
            let deadline = Instant::from_nanos(since + ahead);
            let at = clock.world(deadline);
            prop_assert!(clock.local(at) >= deadline);
            prop_assert!(at.as_nanos() == since || clock.local(Instant::from_nanos(at.as_nanos() - 1)) < deadline);
        }
    }

    #[test]
    fn a_jump_moves_the_wall_clock_only() {
        let mut clock = Clock::exact();
        let now = Instant::from_millis(5_000);
        let before = clock.wall(now);
        clock.jump_wall(-3_600_000);
        assert_eq!(clock.wall(now).as_millis() + 3_600_000, before.as_millis());
        assert_eq!(clock.local(now), now);
    }
}
