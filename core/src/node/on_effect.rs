//! Handles results of effects: the service machine takes those of its own effects, the node those of the journal.

use core::time::Duration;

use super::journal::Pending;
use super::{Node, Phase, around, ctx, know};
use crate::model::command::CommandError;
use crate::model::command::Reply;
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::id::EffectId;
use crate::model::io::EffectResult;
use crate::model::mutant::mutated;

/// Wait before an identity that could not be stored is stored again.
const START_RETRY_MS: u64 = 1_000;

impl Node {
    pub(super) fn on_effect(&mut self, effect: EffectId, result: EffectResult) {
        if self.services.handle_effect_done(ctx!(self), around!(self), effect, &result) {
            return;
        }
        if self.updates.handle_effect_done(ctx!(self), effect, &result) {
            return;
        }
        if let EffectResult::RingKey(done) = &result
            && self.key_work_done(effect, done)
        {
            return;
        }
        let Some((pending, failure)) = self.journal.answered(effect, result) else { return };
        if let Some(reason) = &failure {
            let ctx = ctx!(self);
            ctx.event(Follows::Input, EventKind::PersistFailed { reason: reason.clone() });
        }
        let stored = failure.is_none();
        assert!(
            !matches!(pending, Pending::Raise(_)) || self.phase != Phase::Starting,
            "a node starts first"
        );
        match pending {
            // An operator told the node to leave before its identity was on disk.
            Pending::Start if self.phase != Phase::Starting => {}
            Pending::Start if mutated!(SpeaksUnstored, !stored, false) => {
                self.journal.retry_after(self.clock.now(), Duration::from_millis(START_RETRY_MS));
            }
            Pending::Start => {
                let incarnation = self.incarnation();
                self.started(incarnation);
            }
            Pending::Raise(_) if !stored => self.membership.handle_raise_failed(),
            Pending::Raise(incarnation) => self.membership.handle_raised(ctx!(self), incarnation),
            Pending::Farewell(incarnation) => self.farewell(stored.then_some(incarnation)),
            Pending::Departure { request, told, member } => {
                match failure.filter(|_| mutated!(BanNotOnDisk, true, false)) {
                    Some(reason) => self.reply(request, Reply::Failed(CommandError::NotDurable(reason))),
                    None => {
                        self.reply(request, Reply::Done);
                        self.learn_departure(&told, member, None);
                    }
                }
            }
            Pending::Version { request, told, at, rows } => {
                self.version_stored(request, &told, at, failure);
                let (know, now) = (know!(self), self.clock.now());
                self.journal.settle(now, know, told.rumor().key(), stored.then_some(rows.as_slice()));
            }
            Pending::RingKey { request, told } => self.key_stored(request, &told, failure),
            Pending::Batch(keys) if !stored => {
                keys.into_iter().for_each(|key| mutated!(BatchLost, self.mark_dirty(key), drop(key)));
                let now = self.clock.now();
                self.updates.rows().into_iter().for_each(|row| self.journal.note_build(now, row));
            }
            Pending::Batch(keys) => self.lift_stored(&keys),
            Pending::Vote(election) => self.elections.handle_stored(ctx!(self), &election, stored),
        }
    }

    pub(super) fn retry_start(&mut self) {
        assert!(self.phase == Phase::Starting, "only a node that starts waits for its identity");
        self.journal.retried();
        let incarnation = self.incarnation();
        self.journal.store_identity(ctx!(self), incarnation, Pending::Start);
    }
}
