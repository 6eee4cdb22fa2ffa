//! Every component's deadlines, in a fixed order: judge others, do services, then speak.

use super::{Node, Phase, ctx, know, moment};
use crate::model::context::{Context, is_due};

impl Node {
    pub(super) fn on_timeout(&mut self) {
        let now = self.clock.now();
        if self.phase == Phase::Starting && self.journal.at() <= now {
            self.retry_start();
        }
        if !self.is_heard() {
            return;
        }
        self.membership.handle_timeout(ctx!(self));
        if self.services.poll_timeout().is_some_and(|at| at <= now) {
            self.services.handle_timeout(moment!(self));
        }
        if self.news.at() <= now {
            self.tell_news();
        }
        if is_due(self.elections.poll_timeout(), now) {
            self.elections.handle_timeout(ctx!(self));
        }
        self.wire_up();
        if self.gossip.at() <= now {
            self.run_gossip();
            if self.services.is_announcing() {
                self.services.handle_timeout(moment!(self));
            }
        }
        if self.sync.at() <= now {
            self.run_sync();
        }
        if self.journal.at() <= now {
            self.journal.flush(ctx!(self), know!(self));
        }
        if self.collection.at() <= now {
            self.collect();
        }
        if self.departing_until() <= now {
            self.finish_departing();
        }
    }
}
