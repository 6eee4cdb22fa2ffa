//! The ring's keys with rumors, the disk and messages.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::SocketAddr;

use super::journal::Pending;
use super::wire_up::Learned;
use super::{Node, ctx, know, transmit};
use crate::keyring::{KeyringEvent, KeyringView};
use crate::membership::Heard;
use crate::model::command::{CommandError, Reply};
use crate::model::context::{Context, Follows};
use crate::model::id::{EffectId, Incarnation, MemberId, RequestId};
use crate::model::io::{Effect, KeyDone};
use crate::model::limits::{INCARNATION_MAX, Limit};
use crate::model::member::MemberRecord;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{MemberKeys, RingKey, Rumor, RumorKey, Told};
use crate::rumor::Priority;
use crate::store::snapshot;
use crate::wire::stream;

impl Node {
    /// What this member knows of the keys of its ring; none in a ring without.
    #[must_use]
    pub fn ring_keys(&self) -> Option<KeyringView> {
        self.keyring.view()
    }

    /// The key with which this member speaks; the clear in a ring without.
    #[must_use]
    pub const fn speaks_with(&self) -> RingKeyId {
        self.keyring.speaks()
    }

    /// The member takes part from now on: what its disk holds of keys counts, and the ring hears what it can open.
    pub(super) fn start_keyring(&mut self) {
        assert!(self.is_heard(), "a member that takes part says what it can open");
        for record in self.members() {
            self.keyring.handle_member(ctx!(self), &record.id, Some(&record));
        }
        let held: alloc::vec::Vec<Rumor> =
            self.rumors.iter().filter(|rumor| is_about_keys(rumor)).cloned().collect();
        for rumor in &held {
            self.keys_learned(rumor, Follows::Input);
        }
        let had_keys = self.rumors.get(&RumorKey::MemberKeys(self.me)).is_some();
        self.keyring.handle_started(ctx!(self), had_keys);
    }

    /// The record of a member changed, or it is forgotten.
    pub(super) fn keys_of_member_changed(&mut self, id: &MemberId) {
        let record = self.membership.table().get(id).copied();
        self.keyring.handle_member(ctx!(self), id, record.as_ref());
    }

    /// A rumor about keys is new.
    pub(super) fn keys_learned(&mut self, rumor: &Rumor, after: Follows) {
        if let Rumor::RingKey(key) = rumor {
            self.keyring.handle_key(ctx!(self), key, after);
        }
        if let Rumor::MemberKeys(keys) = rumor {
            self.keyring.handle_statement(ctx!(self), keys);
        }
    }

    /// What another member says that this one can open, which is this one's to say.
    pub(super) fn hear_of_own_keys(&mut self, told: &Told<'_>) -> Heard {
        assert!(told.rumor().owner() == Some(self.me), "it is about this member");
        if self.rumors.holds(told) {
            return Heard::Known;
        }
        let number = Incarnation(told.rumor().number());
        let held = self.rumors.get(&told.rumor().key()).map_or(0, Rumor::number);
        if held <= number.0 && number < Incarnation(INCARNATION_MAX) {
            self.tell_own(Rumor::MemberKeys(self.keyring.statement()), number);
        }
        Heard::Stale
    }

    pub(super) fn on_keyring_event(&mut self, event: KeyringEvent) {
        match event {
            KeyringEvent::Tell(keys) => self.tell_keys(keys),
            KeyringEvent::TellKey(key) => {
                let told = self.signed(Rumor::RingKey(key));
                self.learn_key(&told, None, Follows::Input);
            }
            KeyringEvent::Work(errand, work) => {
                let ctx = ctx!(self);
                let effect = ctx.effect(Effect::RingKey(work));
                self.keyring.handle_work_begun(effect, errand);
            }
            KeyringEvent::Deliver { to, key, sealed } => {
                transmit::stream(ctx!(self), know!(self), to, stream::Body::RingKey { key, sealed });
            }
        }
    }

    fn tell_keys(&mut self, keys: MemberKeys) {
        assert!(keys.member_id == self.me, "a member says what it can open itself");
        if self.is_heard() {
            self.tell_own(Rumor::MemberKeys(keys), Incarnation(0));
        }
    }

    /// Takes in which key the ring is to speak with.
    pub(super) fn learn_key(&mut self, told: &Told<'_>, from: Option<MemberId>, after: Follows) -> Heard {
        let Rumor::RingKey(fact) = told.rumor() else { panic!("only a key is taken in as one") };
        let is_known = self.rumors.get(&told.rumor().key()).is_some();
        if from.is_some() && !is_known && !self.keyring.believes(self.clock.wall(), fact.key) {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::Numbers);
            return Heard::Known;
        }
        if from.is_some() && !is_known && !self.keyring.has_room_for(&fact.by) {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::RingKeys);
            return Heard::Known;
        }
        let Learned { heard, .. } = self.learn(told, Priority::Urgent, from, after);
        if heard == Heard::New {
            // A restart goes on with the key that is current.
            let key = told.rumor().key();
            self.journal.store_record(ctx!(self), know!(self), key);
        }
        heard
    }

    pub(super) fn use_key(&mut self, request: RequestId, key: RingKeyId, ring: String, how: (bool, u64)) {
        let (force, grace_ms) = how;
        match self.keyring.order(self.clock.wall(), key, ring, force, grace_ms) {
            Err(refused) => self.reply(request, Reply::Failed(refused)),
            Ok(None) => self.reply(request, Reply::Unchanged),
            Ok(Some(ordered)) => self.store_key(request, ordered),
        }
    }

    fn store_key(&mut self, request: RequestId, key: RingKey) {
        assert!(key.by == self.me, "an order is taken by the member that was asked");
        let told = self.signed(Rumor::RingKey(key));
        let rows = alloc::vec![snapshot::rumor_row(&told)];
        self.journal.store(ctx!(self), rows, true, Pending::RingKey { request, told: Box::new(told) });
    }

    /// The disk has answered for a key that an operator ordered.
    pub(super) fn key_stored(&mut self, request: RequestId, told: &Told<'static>, failure: Option<String>) {
        if let Some(reason) = failure {
            return self.reply(request, Reply::Failed(CommandError::NotDurable(reason)));
        }
        self.reply(request, Reply::Done);
        self.learn_key(told, None, Follows::Input);
    }

    /// Whether the effect was the keyring's.
    pub(super) fn key_work_done(&mut self, effect: EffectId, done: &KeyDone) -> bool {
        self.keyring.handle_work_done(ctx!(self), effect, done)
    }

    /// Notes with which key a member spoke over a connection, which comes from any port of its host.
    pub(super) fn heard_with(&mut self, (source, key): (SocketAddr, RingKeyId), from: &MemberRecord) {
        for port in [from.swim_port, from.gossip_port] {
            self.keyring.handle_heard(SocketAddr::new(source.ip(), port), key);
        }
    }
}

const fn is_about_keys(rumor: &Rumor) -> bool {
    matches!(rumor, Rumor::RingKey(_) | Rumor::MemberKeys(_))
}
