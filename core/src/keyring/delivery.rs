//! Hands keys on to members that lack them, each sealed for its member alone: under the old key of the ring alone a new one
//! would be told to all that have the old one.

use alloc::vec::Vec;

use super::{Keyring, KeyringEvent};
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::id::{EffectId, MemberId};
use crate::model::io::{KeyDone, KeyWork};
use crate::model::member::State;
use crate::model::ring_key::RingKeyId;

/// Keys that are handed on at one look.
const DELIVERIES_MAX: usize = 64;

/// Why the runtime was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To hand this key on to this member.
    Seal(RingKeyId, MemberId),
    /// To have this key.
    Open(RingKeyId),
    /// To have it no longer.
    Drop(RingKeyId),
}

impl Keyring {
    /// Asks for keys to be sealed for those that lack them. The members that have a key take turns, so that one that cannot
    /// reach all of them holds none up.
    pub(super) fn hand_on(&mut self) {
        let mut wanted: Vec<(RingKeyId, MemberId, [u8; 32])> = Vec::new();
        let coming = self.facts.values().filter(|fact| fact.key >= self.speaks && fact.grace_ms > 0);
        for fact in coming.filter(|fact| self.opens.contains_key(&fact.key)) {
            let has = |id: &MemberId| self.statements.get(id).is_some_and(|said| said.can_open(&fact.key));
            let alive = self.places.iter().filter(|(_, place)| place.state == State::Alive);
            let before = alive.clone().filter(|(id, _)| has(id) && **id < self.me).count() as u64;
            assert!(before < self.places.len() as u64 + 1, "each member counts once");
            let holders = alive.clone().filter(|(id, _)| has(id)).count() as u64 + 1;
            if self.looks % holders != before && fact.by != self.me {
                continue;
            }
            let lacking = alive.filter(|(id, _)| !has(id));
            let boxes = lacking.filter_map(|(id, _)| Some((*id, self.statements.get(id)?.box_key)));
            wanted.extend(boxes.map(|(id, box_key)| (fact.key, id, box_key)));
        }
        for (key, id, box_key) in wanted.into_iter().take(DELIVERIES_MAX) {
            let errand = Errand::Seal(key, id);
            if !self.work.values().any(|work| *work == errand) {
                self.events.push_back(KeyringEvent::Work(errand, KeyWork::Seal { key, box_key }));
            }
        }
        assert!(self.work.len() <= 4 * DELIVERIES_MAX, "keys are handed on a few at a time");
    }

    /// The runtime was asked under this number.
    pub(crate) fn handle_work_begun(&mut self, effect: EffectId, errand: Errand) {
        let before = self.work.insert(effect, errand);
        assert!(before.is_none(), "an effect id is used once");
    }

    /// A member handed a key on.
    pub(crate) fn handle_delivered(&mut self, key: RingKeyId, sealed: &[u8]) {
        let is_wanted = key > self.speaks && self.facts.contains_key(&key) && !self.opens.contains_key(&key);
        assert!(!key.is_clear(), "what is read names a key");
        let is_asked = self.work.values().any(|work| matches!(work, Errand::Open(_)));
        // Only a key that the ring speaks of is worth the work, and one at a time.
        if is_wanted && !is_asked && self.box_key.is_some() {
            let work = KeyWork::Open { key, sealed: sealed.to_vec() };
            self.events.push_back(KeyringEvent::Work(Errand::Open(key), work));
        }
    }

    /// The runtime has done what it was asked for. False where this is no work of the keyring's.
    pub(crate) fn handle_work_done(
        &mut self,
        ctx: &mut Context<'_>,
        effect: EffectId,
        done: &KeyDone,
    ) -> bool {
        let Some(errand) = self.work.remove(&effect) else { return false };
        match (errand, done) {
            (Errand::Seal(key, to), KeyDone::Sealed(sealed)) => {
                if let Some(place) = self.places.get(&to) {
                    let (to, sealed) = (place.gossip, sealed.clone());
                    self.events.push_back(KeyringEvent::Deliver { to, key, sealed });
                }
            }
            (Errand::Open(key), KeyDone::Done) => self.handle_held(ctx, &[key]),
            (
                Errand::Seal(ring_key, _) | Errand::Open(ring_key) | Errand::Drop(ring_key),
                KeyDone::Failed(why),
            ) => {
                let reason = why.clone();
                ctx.event(Follows::Input, EventKind::RingKeyFailed { ring_key, reason });
            }
            (Errand::Drop(_), _)
            | (Errand::Seal(..), KeyDone::Done)
            | (Errand::Open(_), KeyDone::Sealed(_)) => {}
        }
        true
    }
}
