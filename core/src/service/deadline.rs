//! The time bounds of hooks, checks and drains. No work beside a process may run without one of them.

use core::time::Duration;

use crate::model::time::Instant;

/// The init hook. It may migrate a database.
pub(super) const INIT_MS: u64 = 300_000;
/// The post-run hook, once.
pub(super) const POST_RUN_MS: u64 = 60_000;
/// The reconfigure hook, once.
pub(super) const RECONFIGURE_MS: u64 = 60_000;
/// The file-updated hook, once.
pub(super) const FILE_UPDATED_MS: u64 = 60_000;
/// The suitability hook: an election waits for it.
pub(super) const SUITABILITY_MS: u64 = 10_000;
/// The post-stop hook: the next start waits for it.
pub(super) const POST_STOP_MS: u64 = 60_000;
/// A health check, and never longer than the time between two.
pub(super) const HEALTH_MS_MAX: u64 = 30_000;
/// Between two health checks of a service that is not well, at most.
pub(super) const UNWELL_INTERVAL_MS: u64 = 30_000;
/// Between the first two health checks of a process that has not been well yet; twice as long after each.
pub(super) const WARM_UP_INTERVAL_MS: u64 = 100;
/// Between two health checks, at least: an interval of zero would ask without a pause.
pub(super) const HEALTH_INTERVAL_MS_MIN: u64 = 100;
/// Until the ring knows that a service takes no new work, at most.
pub(super) const ANNOUNCE_MS: u64 = 1_000;
/// Draining, where the package has a way to drain and does not say how long.
pub(super) const DRAIN_MS: u64 = 30_000;
/// Clients that look for another server only now and then still send requests for a while after the announcement. For
/// this part of the drain timeout an idle service may yet get work …
pub(super) const LINGER_DIVISOR: u64 = 4;
/// … but not longer than this.
pub(super) const LINGER_MS_MAX: u64 = 5_000;
/// Between two counts of requests in flight, and the time that one may take.
pub(super) const INFLIGHT_MS: u64 = 200;
/// What an ordered stop of a leader may take beyond telling the ring, draining and shutting down: signals, hooks that are
/// killed, and the guard's word that the tree is empty.
pub(super) const ORDERED_STOP_MS: u64 = 1_000;
/// A leader whose service the supervisor replaces keeps the lead for so long from the end of the old tree. Longer, and the
/// group is better off with another member.
pub(super) const RESTARTED_LEAD_MS: u64 = 10_000;
/// Until a leader that is to stop, but whose package is demoted in place, has been demoted. An election with a successor
/// answers within a round trip, and the reconfigure hook follows; without one it is stopped as it is.
pub(super) const RESIGN_MS: u64 = 3_000;
/// Until the ring's news have reached a supervisor that was started again: its first exchange of digests, and the time in
/// which news go round; once more while it knows of no other member. Until then the files of a process that it adopted are
/// not written.
pub(super) const ADOPTION_FACTS_MS: u64 = 1_000;
/// Until an election has named a leader to a supervisor that was started again: the longest promise of the last life, and
/// a round. Afterwards the adopted service may stand itself. Its files still wait for the role: a follower that was not
/// adopted runs on, too, while no member leads.
pub(super) const ADOPTION_ROLE_MS: u64 = 5_000;
/// Until a stop that the disk did not take is written again.
pub(super) const STORE_AGAIN_MS: u64 = 5_000;
/// A hook that has run for so long is told of in the ring, where an operator may wait for it: well within the second after
/// which a command that waits says for what.
pub(super) const SLOW_HOOK_MS: u64 = 400;
/// Until the package of an adopted process has been looked at that is to be stopped before its files were written: its plan
/// says how it is drained. Longer, and it is stopped as its launcher knows it.
pub(super) const LOOK_MS: u64 = 3_000;
/// A process between its stop signal and KILL, where neither spec nor package say (as in Habitat).
pub(super) const SHUTDOWN_MS: u64 = 8_000;

const _: () =
    assert!(HEALTH_INTERVAL_MS_MIN <= WARM_UP_INTERVAL_MS && WARM_UP_INTERVAL_MS <= UNWELL_INTERVAL_MS);
const _: () = assert!(HEALTH_MS_MAX <= UNWELL_INTERVAL_MS, "a check ends before the next one begins");
const _: () = assert!(SUITABILITY_MS < POST_RUN_MS, "an election waits less long than a start may take");
const _: () = assert!(LINGER_DIVISOR > 1, "a drain is not over when being idle begins to count");
const _: () =
    assert!(LINGER_MS_MAX < DRAIN_MS && INFLIGHT_MS < LINGER_MS_MAX, "a drain counts several times");
const _: () =
    assert!(ANNOUNCE_MS < DRAIN_MS && ANNOUNCE_MS < SHUTDOWN_MS, "telling the ring is the shortest part");
const _: () =
    assert!(2 * ADOPTION_FACTS_MS < ADOPTION_ROLE_MS, "an election begins with what the ring knows");
const _: () = assert!(RESIGN_MS < RESTARTED_LEAD_MS, "a leader is demoted sooner than a restart gives it up");

/// Milliseconds until then, at least one.
pub(super) fn ms_until(until: Instant, now: Instant) -> u64 {
    u64::try_from(until.saturating_since(now).as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A duration that an operator or a package chose, kept within the range of deadlines.
pub(super) const fn bounded(ms: u64) -> Duration {
    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
    Duration::from_millis(if ms > YEAR_MS { YEAR_MS } else { ms })
}
