//! Reads the operating system's clocks. The daemon and its command line read them nowhere else.
#![expect(clippy::disallowed_methods, reason = "this is the place where the clocks are read")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annulus_core::{Instant, UnixTime};
use nix::sys::time::TimeValLike as _;

/// Longest sleep; a deadline further away is looked at again after it.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);

/// The wall clock now; a clock set before 1970 reads as 1970.
#[must_use]
pub fn wall() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Time since this host was started, in milliseconds, including the time that it was asleep.
/// All processes read the same.
///
/// Zero where the system has no such clock; no deadline has passed then.
#[must_use]
pub fn boot_ms() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.ok().and_then(|now| u64::try_from(now.num_milliseconds()).ok()).unwrap_or_default()
}

/// The system's monotonic clock in microseconds, which service managers compare with their own.
#[must_use]
pub fn monotonic_us() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.ok().and_then(|now| u64::try_from(now.num_microseconds()).ok()).unwrap_or_default()
}

/// The time of a driver: monotonic and wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: tokio::time::Instant,
    /// What it shows at that moment.
    begin: Instant,
    epoch: Option<UnixTime>,
}

impl Clock {
    /// The host's clocks. Monotonic time counts from the start of the host, so that it has a number for the begin of
    /// every process.
    #[must_use]
    pub fn host() -> Self {
        Self { zero: tokio::time::Instant::now(), begin: Instant::from_millis(boot_ms()), epoch: None }
    }

    /// A wall clock that shows `epoch` now and advances with the runtime's own time: for harnesses that run on virtual
    /// time and must not read the host's clocks.
    #[must_use]
    pub fn starting_at(epoch: UnixTime) -> Self {
        Self { zero: tokio::time::Instant::now(), begin: Instant::ZERO, epoch: Some(epoch) }
    }

    /// Monotonic time, which begins somewhere.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.begin + self.zero.elapsed()
    }

    /// Wall-clock time.
    #[must_use]
    pub fn wall(&self) -> UnixTime {
        match self.epoch {
            None => wall(),
            Some(epoch) => UnixTime::from_millis(epoch.as_millis().saturating_add(self.now().as_millis())),
        }
    }

    /// Completes at `deadline`, or after a day when the deadline is further away.
    pub async fn sleep_until(&self, deadline: Instant) {
        let left = deadline.saturating_since(self.now());
        // A deadline that has passed completes at once: the runtime rounds timers up, so a caller that starts its wait
        // again for each message would wait for ever.
        if !left.is_zero() {
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn both_clocks_follow_the_runtime() {
        let clock = Clock::starting_at(UnixTime::from_millis(5_000));
        let before = clock.now();
        clock.sleep_until(before + Duration::from_millis(20)).await;
        assert!(clock.now().saturating_since(before) >= Duration::from_millis(20));
        assert!(clock.wall() >= UnixTime::from_millis(5_020));
        assert!(clock.wall() < UnixTime::from_millis(1_000_000), "the host's wall clock does not show");
    }
}
