//! Lifeguard's local health multiplier: a member that sees signs of its own trouble becomes slower to accuse others. It
//! only stretches times; it accuses and clears no member.

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
    pub(crate) const fn better(&mut self) -> bool {
        let before = self.score;
        self.score = self.score.saturating_sub(1);
        before != self.score
    }

    /// A sign of trouble with this weight: an ack or nack that did not come, an accusation that had to be
    /// refuted, a stall. True when the score changed.
    pub(crate) fn worse(&mut self, by: u32) -> bool {
        let before = self.score;
        self.score = self.score.saturating_add(by).min(self.max);
        assert!(self.score <= self.max, "a score has a limit");
        before != self.score
    }

    /// A probe time, stretched.
    pub(crate) const fn stretch_ms(&self, ms: u64) -> u64 {
        ms.saturating_mul(self.score as u64 + 1)
    }
}
