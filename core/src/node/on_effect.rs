//! Results of effects: to the service machine what is its own, the rest here.

use core::time::Duration;

use super::persist::Pending;
use super::{Node, Phase, ctx, moment};
use crate::model::command::{CommandError, Reply};
use crate::model::context::Context;
use crate::model::event::EventKind;
use crate::model::id::EffectId;
use crate::model::io::EffectResult;
use crate::model::rumor::Rumor;
use crate::model::time::Instant;

/// Wait before an identity that could not be stored is stored again.
const START_RETRY_MS: u64 = 1_000;

impl Node {
    pub(super) fn on_effect(&mut self, effect: EffectId, result: EffectResult) {
        if self.services.handle_effect_done(moment!(self), effect, &result) {
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
            // It was told to leave before it could begin.
            Pending::Start if self.phase != Phase::Starting => {}
            Pending::Start if !stored => self.plan_retry(),
            Pending::Start => {
                let incarnation = self.incarnation();
                self.started(incarnation);
            }
            Pending::Raise(_) if !stored => self.membership.raise_failed(),
            Pending::Raise(incarnation) => self.membership.raised(ctx!(self), incarnation),
            Pending::Farewell(incarnation) => self.farewell(stored.then_some(incarnation)),
            Pending::Departure { request, member } => match failure {
                Some(reason) => self.reply(request, Reply::Failed(CommandError::NotDurable(reason))),
                None => {
                    self.reply(request, Reply::Done);
                    let rumor = Rumor::Departure(crate::model::rumor::Departure { member_id: member });
                    self.learn_departure(&rumor, member, None);
                }
            },
            Pending::Version { request, rumor } => self.version_stored(request, &rumor, failure),
            Pending::Batch(keys) if !stored => self.store_again(keys),
            Pending::Batch(_) => {}
            Pending::Vote(group) => self.elections.handle_stored(ctx!(self), &group, stored),
        }
    }

    /// Without an identity on disk there is nothing that a node may say; try until there is.
    fn plan_retry(&mut self) {
        self.persist_at = self.now + Duration::from_millis(START_RETRY_MS);
    }

    pub(super) fn retry_start(&mut self) {
        assert!(self.phase == Phase::Starting, "only a node that starts waits for its identity");
        self.persist_at = Instant::FAR_FUTURE;
        let incarnation = self.incarnation();
        self.persist_identity(incarnation, Pending::Start);
    }
}
