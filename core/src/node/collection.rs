//! Collects tombstones once every member has had time to hear of them. A tombstone must not go earlier, or a member
//! that still holds the old rumor would bring it back.

use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use crate::model::config::Config;
use crate::model::context::earliest;
use crate::model::io::WakeReason;
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::rumor::RumorKey;
use crate::model::time::Instant;
use crate::rumor::RumorStore;

/// Time between collections, in milliseconds.
const COLLECT_PERIOD_MS: u64 = 60_000;

/// The time of the next collection. One is planned exactly while there are tombstones.
#[derive(Debug)]
pub(super) struct Collection {
    at: Instant,
    period: Duration,
    /// How old a tombstone has to be.
    age: Duration,
}

impl Collection {
    pub(super) fn new(config: &Config) -> Self {
        let (mut age_ms, mut period_ms) = (config.timings.forget_after_ms, COLLECT_PERIOD_MS);
        period_ms = period_ms.min(age_ms / 2);
        if config.planted.has(Bug::TombstoneCollectedEarly) {
            (age_ms, period_ms) = (0, 1_000);
        }
        assert!(period_ms > 0, "one look is followed by a pause");
        Self {
            at: Instant::FAR_FUTURE,
            period: Duration::from_millis(period_ms),
            age: Duration::from_millis(mutated!(TombstonesForgottenSoon, age_ms, age_ms / 1_000)),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Housekeeping)])
    }

    /// Plans a collection where there are tombstones.
    fn plan(&mut self, now: Instant, rumors: &RumorStore) {
        if self.at == Instant::FAR_FUTURE && rumors.has_tombstones() {
            self.at = now + self.period;
            assert!(self.at > now, "one look is followed by a pause");
        }
    }

    /// Forgets the tombstones that are old enough; returns their keys.
    fn run(&mut self, now: Instant, rumors: &mut RumorStore) -> Vec<RumorKey> {
        assert!(self.at <= now, "tombstones are looked for when that is due");
        let forgotten = rumors.collect(now, self.age);
        self.at = Instant::FAR_FUTURE;
        forgotten
    }
}

impl Node {
    pub(super) fn plan_collection(&mut self) {
        self.collection.plan(self.clock.now(), &self.rumors);
    }

    pub(super) fn collect(&mut self) {
        for key in self.collection.run(self.clock.now(), &mut self.rumors) {
            assert!(self.rumors.get(&key).is_none(), "what was collected is gone");
            self.gossip.stop(&key);
            self.mark_dirty(key);
        }
        self.plan_collection();
        let is_planned = self.collection.poll_timeout().is_some();
        assert!(is_planned == self.rumors.has_tombstones(), "a look is planned while there are tombstones");
    }
}
