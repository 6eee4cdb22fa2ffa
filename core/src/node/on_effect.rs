//! Results of effects: to the service machine what is its own, the rest here.

use super::persist::Pending;
use super::{Node, Phase, ctx};
use crate::command::Reply;
use crate::context::Context;
use crate::error::CommandError;
use crate::id::EffectId;
use crate::io::{EffectResult, EventKind};
use crate::rumor::Rumor;

impl Node {
    pub(super) fn on_effect(&mut self, effect: EffectId, result: EffectResult) {
        if self.services.handle_effect_done(self.now, self.wall, effect, &result) {
            return;
        }
        let Some(pending) = self.pending.remove(&effect) else { return };
        let failure = match result {
            EffectResult::Persisted => None,
            EffectResult::PersistFailed(reason) => Some(reason),
            // A result of another kind answers nothing that the node itself asked for.
            _ => {
                self.pending.insert(effect, pending);
                return;
            }
        };
        if let Some(reason) = &failure {
            let ctx = ctx!(self);
            ctx.event(None, EventKind::PersistFailed { reason: reason.clone() });
        }
        let stored = failure.is_none();
        match pending {
            Pending::Start if !stored => self.retry_start(),
            Pending::Start => {
                let incarnation = self.incarnation();
                self.started(incarnation);
            }
            Pending::Raise(_) if !stored => self.membership.raise_failed(),
            Pending::Raise(incarnation) => self.membership.raised(ctx!(self), incarnation),
            Pending::Farewell => self.farewell(stored),
            Pending::Departure { request, member } => match failure {
                Some(reason) => self.reply(request, Reply::Failed(CommandError::NotDurable(reason))),
                None => {
                    self.reply(request, Reply::Done);
                    let rumor = Rumor::Departure(crate::rumor::Departure { member_id: member });
                    self.learn_departure(&rumor, member, None);
                }
            },
            Pending::Batch => {}
        }
    }

    /// Without an identity on disk there is nothing that a node may say; try until there is.
    fn retry_start(&mut self) {
        assert!(self.phase == Phase::Starting, "only a node that starts waits for its identity");
        let incarnation = self.incarnation();
        self.persist_identity(incarnation, Pending::Start);
    }
}
