//! Runs every component's timers that are due, in a fixed order: membership, services and elections first, then gossip,
//! sync and the journal.

use super::{Node, Phase, around, ctx, know};
use crate::model::context::{Context, is_due};

impl Node {
    pub(super) fn on_timeout(&mut self) {
        let now = self.clock.now();
        if self.phase == Phase::Starting && is_due(self.journal.poll_identity(), now) {
            self.retry_start();
        }
        if !self.is_heard() {
            return;
        }
        self.membership.handle_timeout(ctx!(self));
        if is_due(self.services.poll_timeout(), now) {
            self.services.handle_timeout(ctx!(self), around!(self));
        }
        if is_due(self.updates.poll_timeout(), now) {
            self.updates.handle_timeout(ctx!(self));
        }
        if is_due(self.news.poll_timeout(), now) {
            self.tell_news();
        }
        if is_due(self.elections.poll_timeout(), now) {
            self.elections.handle_timeout(ctx!(self));
        }
        // Before gossip, which tells what it leads to.
        if is_due(self.keyring.poll_timeout(), now) {
            self.keyring.handle_timeout(ctx!(self));
        }
        self.wire_up();
        if is_due(self.gossip.poll_timeout(), now) {
            self.run_gossip();
            self.look_at_telling();
        }
        if is_due(self.telling.poll_timeout(), now) {
            self.look_at_telling();
        }
        if is_due(self.sync.poll_timeout(), now) {
            self.run_sync();
        }
        if is_due(self.repair.poll_timeout(), now) {
            self.run_repair();
        }
        if is_due(self.journal.poll_timeout(), now) {
            self.journal.flush(ctx!(self), know!(self));
        }
        if is_due(self.collection.poll_timeout(), now) {
            self.collect();
        }
        let is_over = !is_due(self.gossip.poll_timeout(), now) && !is_due(self.sync.poll_timeout(), now);
        assert!(is_over, "every due timer has run");
        if is_due(self.departing_until(), now) {
            self.finish_departing();
        }
    }
}
