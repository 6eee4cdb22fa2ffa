//! Every component's deadlines, in a fixed order: judge others, do services, then speak.

use core::time::Duration;

use super::{Node, Phase, ctx, moment};
use crate::model::context::Context;
use crate::model::planted::Bug;
use crate::model::time::Instant;

/// Time between looks for tombstones that are old enough, in milliseconds.
const COLLECT_PERIOD_MS: u64 = 60_000;

impl Node {
    pub(super) fn on_timeout(&mut self) {
        if self.phase == Phase::Starting && self.persist_at <= self.now {
            self.retry_start();
        }
        if !self.is_heard() {
            return;
        }
        self.membership.handle_timeout(ctx!(self));
        if self.services.poll_timeout().is_some_and(|at| at <= self.now) {
            self.services.handle_timeout(moment!(self));
        }
        if self.news.at <= self.now {
            self.tell_news();
        }
        if self.elections.poll_timeout() <= self.now {
            self.elections.handle_timeout(ctx!(self));
        }
        self.wire_up();
        if self.gossip_at <= self.now {
            self.run_gossip();
            if self.services.is_announcing() {
                self.services.handle_timeout(moment!(self));
            }
        }
        if self.sync.next <= self.now {
            self.run_sync();
        }
        if self.persist_at <= self.now {
            self.flush_dirty();
        }
        if self.collect_at <= self.now {
            self.collect();
        }
        if self.departing_until() <= self.now {
            self.finish_departing();
        }
    }

    /// Forgets tombstones that everybody has had time to hear of.
    fn collect(&mut self) {
        let mut age = Duration::from_millis(self.config.timings.forget_after_ms);
        if self.config.planted.has(Bug::TombstoneCollectedEarly) {
            age = Duration::ZERO;
        }
        for key in self.rumors.collect(self.now, age) {
            self.heat.stop(&key);
            self.mark_dirty(key);
        }
        self.collect_at = Instant::FAR_FUTURE;
        self.plan_collection();
    }

    pub(super) fn plan_collection(&mut self) {
        if self.collect_at == Instant::FAR_FUTURE && self.rumors.has_tombstones() {
            let mut period_ms = COLLECT_PERIOD_MS.min(self.config.timings.forget_after_ms / 2);
            if self.config.planted.has(Bug::TombstoneCollectedEarly) {
                period_ms = 1_000;
            }
            self.collect_at = self.now + Duration::from_millis(period_ms);
        }
    }
}
