//! How fast one member may raise an election's terms. It does not say when a member wants to.

use core::time::Duration;

use crate::model::config::Timings;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// The doublings of the pause between two terms; the timings bound the pause itself.
const DOUBLINGS_MAX: u32 = 16;

/// The first new term after a calm time comes at once; each further one waits twice as long as the one before. So two
/// members that outbid each other, or two supervisors with one identity, use up terms slowly, whatever makes them do
/// it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    raises: u32,
    last: Option<Instant>,
    next_at: Option<Instant>,
}

impl Pace {
    /// The time from which this member may use another new term.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at.unwrap_or(Instant::from_nanos(0))
    }

    /// This member has used a term that no member used before.
    pub(super) fn raised(&mut self, now: Instant, timings: &Timings) {
        let pause_ms_max = timings.election_backoff_ms_max;
        let calm = Duration::from_millis(pause_ms_max.saturating_mul(4));
        if mutated!(PaceNeverCalms, self.last.is_none_or(|last| last + calm <= now), false) {
            self.raises = 0;
        }
        self.raises = mutated!(PauseDoesNotGrow, (self.raises + 1).min(DOUBLINGS_MAX), 1);
        let pause_ms = (timings.election_answer_ms << self.raises).min(pause_ms_max);
        assert!(pause_ms > 0, "terms follow each other with a pause");
        self.last = Some(now);
        self.next_at = Some(now + Duration::from_millis(pause_ms));
        assert!(self.raises > 0 && self.next_at() > now, "the next term waits");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_follow_each_other_ever_slower_until_it_is_calm() {
        let (timings, mut pace, mut now) = (Timings::lan(), Pace::default(), Instant::from_millis(1_000));
        let mut pauses = alloc::vec::Vec::new();
        for _ in 0..5 {
            assert!(pace.next_at() <= now);
            pace.raised(now, &timings);
            pauses.push(pace.next_at().saturating_since(now).as_millis());
            now = pace.next_at();
        }
        assert_eq!(pauses, [600, 1_200, 2_400, 4_000, 4_000]);
        now = now + Duration::from_millis(16_000);
        pace.raised(now, &timings);
        assert_eq!(pace.next_at().saturating_since(now).as_millis(), 600);
    }
}
