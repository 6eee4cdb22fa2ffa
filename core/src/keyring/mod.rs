//! Which keys of the ring this member opens messages with, with which one it speaks to each member, and when a key that was
//! offered becomes current.
//!
//! ```text
//! offered ── every member that is not departed can open it, or an operator forces it ──▶ current
//! current ── a greater key is current ──▶ retired ── the grace of that key is over ──▶ dropped
//! ```
//!
//! A member hears with every key that it has, and is spoken to with the newest one that it says it can open, so that a
//! rotation loses no member that still has a key of its peers: one that was down, or on the other side of a partition where
//! another key became current. Of two current keys the greater one wins everywhere. Those that lack a key of the ring are
//! handed it by members that have it, sealed for them alone.
//!
//! The core knows keys by name. The runtime seals with the key that a message names and says which one opened what came.

mod delivery;
mod record;
mod speaking;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::model::command::CommandError;
use crate::model::config::Config;
use crate::model::context::{Context, Follows, earliest};
use crate::model::event::EventKind;
use crate::model::id::{EffectId, Incarnation, MemberId};
use crate::model::io::{KeyWork, WakeReason};
use crate::model::limits::{Limit, NAME_BYTES_MAX, OPEN_KEYS_MAX, RING_KEYS_BY_ONE_MAX, RING_KEYS_MAX};
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::ring_key::{KeyStep, RingKeyId};
use crate::model::rng::Rng;
use crate::model::rumor::{MemberKeys, OpenKey, RingKey};
use crate::model::time::{Instant, UnixTime};
use delivery::Errand;
pub use record::KeyRecord;

/// Time between looks while a key is on its way to being current, or to a member, in milliseconds.
const BUSY_PERIOD_MS: u64 = 2_000;
/// Longest time between looks while a key is retired.
const RETIRED_PERIOD_MS: u64 = 60_000;
/// Looks that find a key ready before a member makes it current whose operator did not offer it.
const READY_LOOKS: u32 = 5;

const _: () = assert!(BUSY_PERIOD_MS < RETIRED_PERIOD_MS && OPEN_KEYS_MAX > 2);

/// News of the keyring for the node.
#[derive(Debug)]
pub(crate) enum KeyringEvent {
    /// This member states anew what it can open.
    Tell(MemberKeys),
    /// The ring is told that a key is current.
    TellKey(RingKey),
    /// The runtime is asked for work; the number comes back by [`Keyring::handle_work_begun`].
    Work(Errand, KeyWork),
    /// A sealed key goes to this member.
    Deliver { to: SocketAddr, key: RingKeyId, sealed: Vec<u8> },
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
struct Place {
    swim: SocketAddr,
    gossip: SocketAddr,
    state: State,
}

/// The keys of one member, and what it knows of those of the others.
#[derive(Debug)]
pub(crate) struct Keyring {
    me: MemberId,
    /// Every key that this member opens messages with, and until when.
    opens: BTreeMap<RingKeyId, Option<UnixTime>>,
    /// The current key as far as this member can open it.
    speaks: RingKeyId,
    /// None in an open ring.
    box_key: Option<[u8; 32]>,
    /// What the ring says of its keys.
    facts: BTreeMap<RingKeyId, RingKey>,
    statements: BTreeMap<MemberId, MemberKeys>,
    places: BTreeMap<MemberId, Place>,
    at_address: BTreeMap<SocketAddr, MemberId>,
    /// The key that opened the last message from an address. Noted while there is a choice only.
    heard: BTreeMap<SocketAddr, RingKeyId>,
    /// How often an offered key was found ready.
    ready: BTreeMap<RingKeyId, u32>,
    /// A key of the ring that this member was found to lack.
    missing: Option<RingKeyId>,
    /// What the runtime still had at the start of keys that the ring has given up.
    given_up: Vec<RingKeyId>,
    work: BTreeMap<EffectId, Errand>,
    looks: u64,
    at: Instant,
    rng: Rng,
    events: VecDeque<KeyringEvent>,
    planted: Planted,
}

/// What a member knows of the ring's keys, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringView {
    /// The key with which this member speaks.
    pub speaks: RingKeyId,
    /// The keys that it can open.
    pub opens: Vec<OpenKey>,
    /// The keys that were offered to the ring, oldest first.
    pub keys: Vec<RingKey>,
    /// Every member that is not departed, and its own word about its keys.
    pub members: Vec<(MemberId, State, Option<MemberKeys>)>,
}

impl Keyring {
    /// The keyring of a member that starts. Keys that the ring has given up, by the record of the last life, are not opened:
    /// the runtime is told to drop what it still has of them.
    pub(crate) fn new(config: &Config, me: MemberId, record: &KeyRecord, rng: Rng) -> Self {
        let keys = config.ring_keys.as_ref();
        let held = keys.map_or(&[RingKeyId::CLEAR][..], |keys| &keys.opens);
        let held = held.iter().filter(|key| key.can_be_told());
        let (given_up, opened): (Vec<RingKeyId>, Vec<RingKeyId>) =
            held.partition(|key| record.has_given_up(key));
        let until =
            |key: &RingKeyId| record.open(key).filter(|_| !key.is_clear()).and_then(|open| open.until);
        let mut opens: BTreeMap<RingKeyId, Option<UnixTime>> =
            opened.iter().map(|key| (*key, until(key))).collect();
        let given = keys.map_or(RingKeyId::CLEAR, |keys| keys.speaks);
        assert!(given.can_be_told(), "a runtime has keys with a revision");
        // What the last life spoke with counts, and not a newer file that no operator has brought into use.
        let speaks = record.current().filter(|key| opens.contains_key(key)).unwrap_or(given);
        opens.insert(speaks, None);
        let given_up = given_up.into_iter().filter(|key| *key != speaks).collect();
        assert!(opens.len() <= OPEN_KEYS_MAX, "a runtime holds no more keys than a member may open");
        Self {
            me,
            opens,
            speaks,
            box_key: keys.map(|keys| keys.box_key),
            facts: BTreeMap::new(),
            statements: BTreeMap::new(),
            places: BTreeMap::new(),
            at_address: BTreeMap::new(),
            heard: BTreeMap::new(),
            ready: BTreeMap::new(),
            missing: None,
            given_up,
            work: BTreeMap::new(),
            looks: 0,
            at: Instant::FAR_FUTURE,
            rng,
            events: VecDeque::new(),
            planted: config.planted,
        }
    }

    /// Whether this member has a key of the ring.
    const fn is_keyed(&self) -> bool {
        self.box_key.is_some()
    }

    /// Whether this member has a key and hears the clear as well.
    pub(crate) fn hears_clear(&self) -> bool {
        self.is_keyed() && self.opens.contains_key(&RingKeyId::CLEAR)
    }

    pub(crate) fn poll_event(&mut self) -> Option<KeyringEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Housekeeping)])
    }

    /// This member takes part in the ring from now on. One whose last life had keys says that this one has none.
    pub(crate) fn handle_started(&mut self, ctx: &mut Context<'_>, had_keys: bool) {
        if self.is_keyed() || had_keys {
            self.tell();
        }
        for key in core::mem::take(&mut self.given_up) {
            self.let_go(key);
        }
        self.look(ctx);
    }

    /// What is known of a member changed; none: it is forgotten.
    pub(crate) fn handle_member(
        &mut self,
        ctx: &mut Context<'_>,
        id: &MemberId,
        record: Option<&MemberRecord>,
    ) {
        if !self.is_keyed() || *id == self.me {
            return;
        }
        self.place(id, record);
        if self.is_busy() {
            self.look_soon(ctx);
        }
    }

    fn place(&mut self, id: &MemberId, record: Option<&MemberRecord>) {
        if let Some(before) = self.places.remove(id) {
            for address in [before.swim, before.gossip] {
                if self.at_address.get(&address) == Some(id) {
                    self.at_address.remove(&address);
                }
            }
        }
        let Some(record) = record.filter(|record| record.state != State::Departed) else {
            self.statements.remove(id);
            return;
        };
        let place = Place { swim: record.swim_addr(), gossip: record.gossip_addr(), state: record.state };
        self.at_address.insert(place.swim, *id);
        self.at_address.insert(place.gossip, *id);
        self.places.insert(*id, place);
        assert!(self.at_address.len() <= 2 * self.places.len(), "an address is a member's");
    }

    /// A member said which keys it can open.
    pub(crate) fn handle_statement(&mut self, ctx: &mut Context<'_>, keys: &MemberKeys) {
        if !self.is_keyed() || keys.member_id == self.me {
            return;
        }
        assert!(keys.opens.len() <= OPEN_KEYS_MAX, "what is read keeps the limits");
        self.statements.insert(keys.member_id, keys.clone());
        if self.is_busy() {
            self.look_soon(ctx);
        }
    }

    /// The ring has another key, or a key of it took a step.
    pub(crate) fn handle_key(&mut self, ctx: &mut Context<'_>, key: &RingKey, after: Follows) {
        if !self.is_keyed() {
            return;
        }
        let was = self.facts.insert(key.key, key.clone());
        assert!(self.facts.len() <= RING_KEYS_MAX, "keys have a limit");
        let step = if key.is_current { KeyStep::Current } else { KeyStep::Offered };
        // That a key is current is reported when this member speaks with it.
        if step == KeyStep::Offered && was.is_none() {
            let (ring_key, by) = (key.key, Some(key.by));
            ctx.event(after, EventKind::RingKeyChanged { ring_key, step, by });
        }
        self.follow_ring(ctx, after);
        self.end_older(ctx, after);
        self.look(ctx);
    }

    /// Older keys that came to this member with the current one, by an invitation, open as long as they do elsewhere.
    fn end_older(&mut self, ctx: &mut Context<'_>, after: Follows) {
        let Some(fact) = self.facts.get(&self.speaks).filter(|fact| fact.is_current) else { return };
        // A date ahead of the clock gives no longer time than the key's own.
        let since = fact.since.as_millis().min(ctx.wall.as_millis());
        let until = UnixTime::from_millis(since.saturating_add(fact.grace_ms));
        let speaks = self.speaks;
        let is_endless = |(key, end): &(&RingKeyId, &mut Option<UnixTime>)| {
            **key < speaks && !key.is_clear() && end.is_none()
        };
        let mut is_told = false;
        for (key, end) in self.opens.iter_mut().filter(is_endless) {
            *end = Some(until);
            is_told = true;
            let (ring_key, step) = (*key, KeyStep::Retired);
            ctx.event(after, EventKind::RingKeyChanged { ring_key, step, by: None });
        }
        assert!(self.opens.get(&speaks) == Some(&None), "what a member speaks with has no end");
        if is_told {
            self.tell();
        }
    }

    /// The runtime can open these keys too.
    pub(crate) fn handle_held(&mut self, ctx: &mut Context<'_>, keys: &[RingKeyId]) {
        if !self.is_keyed() {
            return;
        }
        for key in keys {
            self.hold(ctx, *key);
        }
        self.follow_ring(ctx, Follows::Input);
        self.look(ctx);
    }

    /// A key older than the current one was retired, and stays so.
    fn hold(&mut self, ctx: &mut Context<'_>, key: RingKeyId) {
        if self.opens.contains_key(&key) || !key.can_be_told() || key.is_clear() {
            return;
        }
        let is_ahead = key.revision > self.speaks.believed_up_to(ctx.wall) && !self.facts.contains_key(&key);
        if key < self.speaks || is_ahead || self.is_another_of_its_revision(key) {
            return self.let_go(key);
        }
        if self.opens.len() >= OPEN_KEYS_MAX && !self.make_room(ctx) {
            ctx.limit_reached(Limit::RingKeys);
            return;
        }
        self.opens.insert(key, None);
        assert!(self.opens.len() <= OPEN_KEYS_MAX, "room was made");
        ctx.event(Follows::Input, EventKind::RingKeyChanged { ring_key: key, step: KeyStep::Held, by: None });
        self.tell();
    }

    /// The oldest retired key goes first; without one, nothing does.
    fn make_room(&mut self, ctx: &mut Context<'_>) -> bool {
        let oldest = self.opens.keys().copied().find(|key| *key < self.speaks && !key.is_clear());
        if let Some(oldest) = oldest {
            self.drop_key(ctx, oldest);
        }
        assert!(self.opens.contains_key(&self.speaks), "what a member says it can open");
        oldest.is_some()
    }

    /// Whether an order to use this key can be carried out, and what the ring is told then. None: it is on its way.
    pub(crate) fn order(
        &self,
        wall: UnixTime,
        key: RingKeyId,
        ring: String,
        force: bool,
        grace_ms: u64,
    ) -> Result<Option<RingKey>, CommandError> {
        if !self.is_keyed() {
            return Err(CommandError::NoRingKey);
        }
        if key == self.speaks && self.facts.get(&key).is_none_or(|fact| fact.is_current) {
            return Err(CommandError::KeyIsCurrent(key));
        }
        if key < self.speaks {
            return Err(CommandError::KeyIsOlder { current: self.speaks });
        }
        if key.revision > self.speaks.believed_up_to(wall) {
            return Err(CommandError::KeyIsAhead(key));
        }
        if !self.opens.contains_key(&key) {
            return Err(CommandError::KeyNotHeld(key));
        }
        if ring.len() > NAME_BYTES_MAX {
            return Err(CommandError::TooLarge { bytes: ring.len(), limit: NAME_BYTES_MAX });
        }
        let held = self.facts.get(&key);
        // Of an offer the grace can be changed, as long as it is one.
        let is_same = |held: &&RingKey| held.is_current || held.grace_ms == grace_ms;
        if held.filter(is_same).is_some() && !force {
            return Ok(None);
        }
        let is_full = self.facts.len() >= RING_KEYS_MAX || !self.has_room_for(&self.me);
        if held.is_none() && is_full {
            return Err(CommandError::Limit(Limit::RingKeys));
        }
        assert!(key > self.speaks || held.is_some(), "an order leads to a newer key");
        let is_current = force || self.planted.has(Bug::OfferedKeyUsed);
        Ok(Some(RingKey { key, ring, is_current, since: wall, grace_ms, by: self.me }))
    }

    /// Whether one more key is taken on the word of this member.
    pub(crate) fn has_room_for(&self, by: &MemberId) -> bool {
        let theirs = self.facts.values().filter(|fact| fact.by == *by).count();
        assert!(self.facts.len() <= RING_KEYS_MAX, "keys have a limit");
        mutated!(KeysOfOneUnbounded, theirs < RING_KEYS_BY_ONE_MAX, true)
    }

    /// Whether a key that a message names can be the ring's: one of a clock that is wrong would stay the newest.
    pub(crate) fn believes(&self, wall: UnixTime, key: RingKeyId) -> bool {
        assert!(self.facts.len() <= RING_KEYS_MAX, "keys have a limit");
        key.revision <= self.speaks.believed_up_to(wall)
    }

    /// Speaks with the greatest current key that this member can open; the older ones are retired with that.
    fn follow_ring(&mut self, ctx: &mut Context<'_>, after: Follows) {
        let current = self.facts.values().rev().find(|fact| fact.is_current);
        let can_open =
            self.facts.values().rev().find(|fact| fact.is_current && self.opens.contains_key(&fact.key));
        if let Some(current) = current.map(|fact| (fact.key, fact.by))
            && current.0 > self.speaks
            && !self.opens.contains_key(&current.0)
            && self.missing != Some(current.0)
        {
            self.missing = Some(current.0);
            let (ring_key, by) = (current.0, Some(current.1));
            ctx.event(after, EventKind::RingKeyChanged { ring_key, step: KeyStep::Missing, by });
        }
        let Some(fact) = can_open.filter(|fact| fact.key > self.speaks).cloned() else { return };
        assert!(self.opens.contains_key(&fact.key) && fact.is_current, "it speaks with a current key");
        self.speaks = fact.key;
        self.missing = self.missing.filter(|missing| *missing > fact.key);
        let kind =
            EventKind::RingKeyChanged { ring_key: fact.key, step: KeyStep::Current, by: Some(fact.by) };
        let after = Follows::Event(ctx.event(after, kind));
        let grace_ms = if self.planted.has(Bug::RetiredKeyDropped) { 0 } else { fact.grace_ms };
        let until = UnixTime::from_millis(ctx.wall.as_millis().saturating_add(grace_ms));
        let speaks = self.speaks;
        for (key, end) in self.opens.iter_mut().filter(|(key, _)| **key < speaks && !key.is_clear()) {
            *end = Some(end.map_or(until, |end| end.min(until)));
            let (ring_key, step) = (*key, KeyStep::Retired);
            ctx.event(after, EventKind::RingKeyChanged { ring_key, step, by: None });
        }
        assert!(self.opens.contains_key(&self.speaks), "a member can open what it says");
        let others = self.opens.keys().copied().filter(|key| *key > speaks);
        let others: Vec<RingKeyId> = others.filter(|key| self.is_another_of_its_revision(*key)).collect();
        for key in others {
            self.drop_key(ctx, key);
        }
        self.tell();
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        if self.at <= ctx.now {
            self.look(ctx);
        }
    }

    fn look_soon(&mut self, ctx: &Context<'_>) {
        self.at = self.at.min(ctx.now + Duration::from_millis(BUSY_PERIOD_MS / 10));
    }

    /// Drops what is retired for long enough, makes current what every member can open, hands keys on.
    fn look(&mut self, ctx: &mut Context<'_>) {
        self.looks += 1;
        let over: Vec<RingKeyId> = self
            .opens
            .iter()
            .filter(|(_, until)| until.is_some_and(|until| until <= ctx.wall))
            .map(|(key, _)| *key)
            .collect();
        for key in over {
            self.drop_key(ctx, key);
        }
        assert!(self.opens.contains_key(&self.speaks), "a member can open what it says");
        self.promote(ctx);
        self.hand_on();
        self.plan(ctx);
    }

    /// Whether the ring's key of this revision is another one.
    fn is_another_of_its_revision(&self, key: RingKeyId) -> bool {
        let mut ours = self.facts.keys().chain([&self.speaks]).filter(|ours| ours.revision == key.revision);
        !self.facts.contains_key(&key) && self.speaks != key && ours.next().is_some()
    }

    /// The runtime has a key that this member does not open.
    fn let_go(&mut self, key: RingKeyId) {
        assert!(!self.opens.contains_key(&key) && !key.is_clear(), "what is open is not let go");
        self.events.push_back(KeyringEvent::Work(Errand::Drop(key), KeyWork::Drop { key }));
    }

    fn drop_key(&mut self, ctx: &mut Context<'_>, key: RingKeyId) {
        let is_retired = key < self.speaks || self.is_another_of_its_revision(key);
        assert!(is_retired && !key.is_clear(), "only a retired key is dropped");
        let was_open = self.opens.remove(&key).is_some();
        assert!(was_open, "a key is dropped once");
        ctx.event(
            Follows::Input,
            EventKind::RingKeyChanged { ring_key: key, step: KeyStep::Dropped, by: None },
        );
        self.let_go(key);
        self.tell();
    }

    /// The other members that cannot open a key by their own word.
    fn lack(&self, key: RingKeyId) -> impl Iterator<Item = (&MemberId, &Place)> {
        let can_open = move |id: &MemberId| self.statements.get(id).is_some_and(|said| said.can_open(&key));
        self.places.iter().filter(move |(id, _)| !can_open(id))
    }

    fn promote(&mut self, ctx: &Context<'_>) {
        let speaks = self.speaks;
        let offers = self.facts.values().filter(|fact| !fact.is_current && fact.key > speaks);
        let ready: Vec<RingKey> = offers
            .filter(|fact| self.opens.contains_key(&fact.key) && self.lack(fact.key).next().is_none())
            .cloned()
            .collect();
        self.ready.retain(|key, _| ready.iter().any(|fact| fact.key == *key));
        for offer in ready {
            assert!(offer.key > self.speaks && !offer.is_current, "only an offer becomes current");
            let looks = self.ready.entry(offer.key).or_default();
            *looks += 1;
            // The member whose operator ordered it speaks first, so that one statement goes round and not one of each.
            if offer.by == self.me || *looks > READY_LOOKS {
                let current = RingKey { is_current: true, since: ctx.wall, by: self.me, ..offer };
                self.events.push_back(KeyringEvent::TellKey(current));
            }
        }
    }

    /// Whether a key is on its way to being current, or to a member.
    fn is_busy(&self) -> bool {
        let speaks = self.speaks;
        self.facts.values().any(|fact| {
            let is_coming = fact.key > speaks || (fact.key == speaks && fact.grace_ms > 0);
            is_coming && (!fact.is_current || self.lack(fact.key).next().is_some())
        })
    }

    fn plan(&mut self, ctx: &Context<'_>) {
        let ends = self.opens.values().flatten().map(|until| until.as_millis());
        let left_ms = ends.min().map(|until| until.saturating_sub(ctx.wall.as_millis()));
        let wait_ms = match left_ms {
            _ if self.is_busy() => BUSY_PERIOD_MS,
            Some(left_ms) => left_ms.clamp(1, RETIRED_PERIOD_MS),
            None => {
                self.at = Instant::FAR_FUTURE;
                return;
            }
        };
        self.at = ctx.now + Duration::from_millis(left_ms.map_or(wait_ms, |left| wait_ms.min(left.max(1))));
        assert!(self.at > ctx.now, "one look is followed by a pause");
    }

    /// What this member says of itself. The store counts its statements.
    pub(crate) fn statement(&self) -> MemberKeys {
        let opens = self.opens.iter().map(|(key, until)| OpenKey { key: *key, until: *until }).collect();
        MemberKeys {
            member_id: self.me,
            incarnation: Incarnation(0),
            opens,
            speaks: self.speaks,
            box_key: self.box_key.unwrap_or_default(),
        }
    }

    fn tell(&mut self) {
        self.events.push_back(KeyringEvent::Tell(self.statement()));
    }

    pub(crate) const fn speaks(&self) -> RingKeyId {
        self.speaks
    }

    /// What is known of the ring's keys; none in an open ring.
    pub(crate) fn view(&self) -> Option<KeyringView> {
        self.box_key?;
        let said = |id: &MemberId| self.statements.get(id).cloned();
        let mut members: Vec<(MemberId, State, Option<MemberKeys>)> =
            self.places.iter().map(|(id, place)| (*id, place.state, said(id))).collect();
        members.push((self.me, State::Alive, Some(self.statement())));
        members.sort_unstable_by_key(|(id, ..)| *id);
        let keys = self.facts.values().cloned().collect();
        Some(KeyringView { speaks: self.speaks, opens: self.statement().opens, keys, members })
    }

    /// Checks what always holds.
    pub(crate) fn check_invariants(&self) {
        assert!(self.opens.contains_key(&self.speaks), "a member can open what it says");
        assert!(self.opens.len() <= OPEN_KEYS_MAX && self.facts.len() <= RING_KEYS_MAX, "keys have limits");
        let retired = self.opens.iter().filter(|(_, until)| until.is_some());
        assert!(retired.clone().all(|(key, _)| *key < self.speaks), "what is retired is older");
    }
}
