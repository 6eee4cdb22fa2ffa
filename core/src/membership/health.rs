//! Lifeguard's local health multiplier: a member that sees signs of its own trouble becomes slower to accuse others. It
//! only stretches times; it accuses and clears no member.

use crate::model::mutant::mutated;

/// The score: 0 is healthy, each step stretches every probe time by the base time.
#[derive(Clone, Debug)]
pub(crate) struct LocalHealth {
    score: u32,
    max: u32,
}

impl LocalHealth {
    pub(crate) const fn new(max: u32) -> Self {
        Self { score: 0, max }
    }

    pub(crate) const fn score(&self) -> u32 {
        self.score
    }

    /// A probe was answered in time. True when the score changed.
    pub(crate) fn better(&mut self) -> bool {
        let before = self.score;
        self.score = mutated!(HealthNeverRecovers, self.score.saturating_sub(1), self.score);
        before != self.score
    }

    /// A sign of trouble with this weight: an ack or nack that did not come, an accusation that had to be
    /// refuted, a stall. True when the score changed.
    pub(crate) fn worse(&mut self, by: u32) -> bool {
        let before = self.score;
        self.score = mutated!(
            HealthWithoutLimit,
            self.score.saturating_add(by).min(self.max),
            self.score.saturating_add(by)
        );
        assert!(mutated!(HealthWithoutLimit, self.score <= self.max, true), "a score has a limit");
        before != self.score
    }

    /// A probe time, stretched.
    pub(crate) const fn stretch_ms(&self, ms: u64) -> u64 {
        ms.saturating_mul(self.score as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_stretches_times_up_to_a_limit_and_answers_make_up_for_it() {
        let mut health = LocalHealth::new(3);
        assert_eq!(health.stretch_ms(100), 100);
        assert!(health.worse(1) && health.worse(5) && !health.worse(1));
        assert_eq!((health.score(), health.stretch_ms(100)), (3, 400));
        assert!((0..3).all(|_| health.better()) && !health.better());
        assert_eq!(health.stretch_ms(100), 100);
    }
}
