//! Computes how long a suspicion lasts: long while one member accuses, shorter as others confirm it of their own
//! knowledge (Lifeguard's dogpile), and longer in larger rings, where a refutation takes longer to arrive. It plans the
//! next step; `detect` takes it.

use core::time::Duration;

use super::detect::Step;
use crate::model::accusers::Accusers;
use crate::model::config::Timings;
use crate::model::id::{EventId, MemberId};
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// One member that this node suspects.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    /// The members that accuse it of their own knowledge.
    pub(crate) accusers: Accusers,
    /// When this node came to suspect it.
    pub(crate) started: Instant,
    /// The time of its next step.
    pub(crate) due: Instant,
    /// The event that began it.
    pub(crate) event: EventId,
    /// When this node last put the accusation to the suspect itself, or its own probe of it failed.
    pub(crate) asked: Option<Instant>,
    /// When this node will probe the suspect for itself.
    pub(crate) check_at: Option<Instant>,
    /// When this node last heard from the suspect.
    pub(crate) heard: Option<Instant>,
    /// Another member holds it confirmed, so the shortest time applies.
    pub(crate) confirmed_elsewhere: bool,
}

impl Suspicion {
    /// When it runs out, should nothing happen.
    pub(crate) fn deadline(&self, timings: &Timings, members: usize) -> Instant {
        let confirmations = self.accusers.len().saturating_sub(1);
        let mut length = timeout_ms(timings, members, confirmations as u32);
        if mutated!(ElsewhereIgnored, self.confirmed_elsewhere, false) {
            length = timeout_min_ms(timings, members);
        }
        let deadline = self.started + Duration::from_millis(length);
        assert!(length >= timeout_min_ms(timings, members), "the shortest suspicion is the least");
        // A member that was heard since is not dead yet, also where others say so.
        match self.heard {
            Some(heard) => mutated!(
                HeardDoesNotCount,
                deadline.max(heard + Duration::from_millis(timeout_min_ms(timings, members))),
                deadline.min(heard + Duration::from_secs(3_600))
            ),
            None => deadline,
        }
    }

    /// The next step and its time: probe the suspect, tell it of the accusation once more, or confirm it dead.
    pub(super) fn next_step(&self, timings: &Timings, members: usize) -> (Instant, Step) {
        if let Some(at) = self.check_at {
            return (at, Step::Check);
        }
        let deadline = self.deadline(timings, members);
        assert!(deadline >= self.started, "a suspicion lasts");
        let question = Duration::from_millis(timings.probe_verdict_ms);
        match self.asked {
            // The suspect's answer has had time to arrive, and the finding is not old yet.
            Some(asked)
                if asked + mutated!(NotAskedBeforeTheEnd, question * 2, question * 2_000) >= deadline =>
            {
                (deadline.max(asked + question), Step::Confirm)
            }
            // No member probed it lately. That all probes failed once may have been a fault of the paths to it.
            _ => (deadline - question, Step::Ask),
        }
    }

    /// Whether this member is among the accusers.
    pub(crate) fn accused_by(&self, id: &MemberId) -> bool {
        self.accusers.iter().any(|accuser| accuser == *id)
    }
}

/// The shortest suspicion, in milliseconds: from 10 members on it grows by half for each tenfold of the ring's
/// size, because the time in which a refutation reaches all members grows in that way.
pub(crate) fn timeout_min_ms(timings: &Timings, members: usize) -> u64 {
    let growth_milli = log10_milli(members).saturating_sub(1000) / 2;
    let min = timings.suspicion_timeout_ms_min.saturating_mul(1000 + growth_milli) / 1000;
    assert!(min >= timings.suspicion_timeout_ms_min, "no ring makes a suspicion shorter");
    min
}

/// The length of a suspicion with this many confirmations beyond the first accusation, in milliseconds.
pub(crate) fn timeout_ms(timings: &Timings, members: usize, confirmations: u32) -> u64 {
    let min = timeout_min_ms(timings, members);
    // In a ring of three there is one other member that could confirm; of two, none.
    let possible = u32::try_from(members.saturating_sub(2)).unwrap_or(u32::MAX);
    let wanted = timings.suspicion_confirmations.min(possible);
    if mutated!(SuspicionNeverShrinks, confirmations >= wanted, false) {
        return min;
    }
    let max = min.saturating_mul(u64::from(timings.suspicion_max_factor));
    // max - (max - min) * log(confirmations + 1) / log(wanted + 1)
    let part = log2_milli(u64::from(confirmations) + 1) * 1000 / log2_milli(u64::from(wanted) + 1).max(1);
    let length = max - (max - min) * part.min(1000) / 1000;
    assert!(min <= length && length <= max, "a suspicion stays within its two times");
    length
}

/// 1000 times log10, rounded down a little; 0 below 2.
pub(crate) fn log10_milli(n: usize) -> u64 {
    log2_milli(n as u64) * 30_103 / 100_000
}

/// 1000 times log2, with the fraction interpolated; exact at powers of two and within 9 % of a unit between.
fn log2_milli(n: u64) -> u64 {
    if n < 2 {
        return 0;
    }
    let whole = u64::from(n.ilog2());
    let power = 1_u64 << whole;
    assert!(power <= n && n - power < power, "the whole part is the greatest power below");
    whole * 1000 + ((u128::from(n - power) * 1000) / u128::from(power)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms() {
        assert_eq!([1, 2, 4, 1024].map(log2_milli), [0, 1000, 2000, 10_000]);
        for (n, log) in [(10, 1000), (100, 2000), (1000, 3000), (10_000, 4000)] {
            let got = log10_milli(n);
            assert!(got.abs_diff(log) <= 30, "log10 of {n} is {got} thousandths");
        }
    }

    #[test]
    fn more_accusers_never_lengthen_a_suspicion() {
        let t = Timings::lan();
        for members in [2, 3, 4, 10, 100, 1000, 10_000] {
            let lengths: alloc::vec::Vec<u64> = (0..5).map(|c| timeout_ms(&t, members, c)).collect();
            assert!(lengths.is_sorted_by(|a, b| a >= b), "{members}: {lengths:?}");
            assert_eq!(lengths[4], timeout_min_ms(&t, members));
        }
        assert_eq!(timeout_ms(&t, 2, 0), t.suspicion_timeout_ms_min, "no other member could confirm");
        assert_eq!(timeout_ms(&t, 100, 0), timeout_min_ms(&t, 100) * u64::from(t.suspicion_max_factor));
    }

    #[test]
    fn larger_rings_take_longer() {
        let t = Timings::lan();
        let lengths: alloc::vec::Vec<u64> = [3, 10, 100, 1000].map(|n| timeout_min_ms(&t, n)).to_vec();
        assert!(lengths.is_sorted(), "{lengths:?}");
    }
}
