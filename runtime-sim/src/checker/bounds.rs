//! Bounds of what follows when one thing happens and nothing else is wrong, each from the configuration. Checkers, the
//! sweep and its report take them from here.

use std::time::Duration;

use annulus_core::Timings;

/// The bounds of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From a version's acceptance to the last running member that holds it.
    pub spread: Duration,
    /// From the loss of a member's host to the last running member that holds the member dead.
    pub detection: Duration,
    /// From the loss of a leader's host to the next leader.
    pub fail_over: Duration,
    /// How long a group may have no leader while nothing is wrong: not at all.
    pub leaderless: Duration,
}

impl Bounds {
    /// The bounds of a ring of so many members with these timings, whose slowest link takes so long.
    #[must_use]
    pub fn of(timings: &Timings, members: usize, latency: Duration) -> Self {
        Self {
            spread: spread(timings, members, latency),
            detection: detection(timings, members, latency),
            fail_over: fail_over(timings, latency),
            leaderless: Duration::ZERO,
        }
    }
}

/// Ten rounds of gossip for up to a hundred members and ten more for each tenfold above, a way each. Where members tell
/// a rumor less often than by default, a digest exchange has to carry what gossip misses.
fn spread(timings: &Timings, members: usize, latency: Duration) -> Duration {
    let tenfolds = tenfolds(members).saturating_sub(1).max(1);
    let round = Duration::from_millis(timings.gossip_period_ms) + latency;
    let missed_ms = if timings.retransmit_factor < 3 { timings.sync_period_ms } else { 0 };
    round * (10 * tenfolds) + Duration::from_millis(missed_ms)
}

/// The powers of ten that a ring's size needs: 1 for up to ten members, 2 for up to a hundred.
fn tenfolds(members: usize) -> u32 {
    members.max(2).saturating_sub(1).ilog10() + 1
}

/// A member is probed by each other one at least once in two rounds of the ring; that none of many does it within 14
/// periods has a probability of e^-14. The first failed probe may be late, of a member that doubts itself a little, so
/// twice the verdict. Then a suspicion that no second member confirms, a third longer for each tenfold, and its spread.
fn detection(timings: &Timings, members: usize, latency: Duration) -> Duration {
    let periods = (2 * members as u64).min(14) + 1;
    let scale = u64::from(2 + tenfolds(members));
    let suspicion_ms = timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor) * scale / 2;
    let probes_ms = periods * timings.probe_period_ms + 2 * timings.probe_verdict_ms;
    Duration::from_millis(probes_ms + suspicion_ms) + spread(timings, members, latency)
}

/// Voters wait until the lease has surely run out, a quarter longer than it is; then a few rounds of an election, between
/// which candidates wait.
fn fail_over(timings: &Timings, latency: Duration) -> Duration {
    let round_ms = timings.election_window_ms + 2 * timings.election_answer_ms;
    let rounds_ms = 3 * round_ms + timings.election_backoff_ms_max;
    Duration::from_millis(timings.lease_ms * 5 / 4 + rounds_ms) + latency * 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bounds_are_those_that_are_promised() {
        let spread = |members| Bounds::of(&Timings::lan(), members, Duration::ZERO).spread.as_millis();
        assert_eq!([3, 10, 100, 1_000].map(spread), [1_000, 1_000, 1_000, 2_000]);
        let ten = Bounds::of(&Timings::lan(), 10, Duration::ZERO);
        assert_eq!(ten.fail_over, Duration::from_millis(8_600));
        assert!(ten.detection < Duration::from_secs(30), "{:?}", ten.detection);
    }
}
