//! Tells hot rumors: by datagram, and by stream those that no datagram can hold. It chooses and sends; it takes no
//! rumor in.
//!
//! A round goes to the contacts that are owed a rumor and to a few members in turn. In a small ring a member tells a
//! rumor to every other one, and a permanent peer does so in larger ones too, because zones may meet at it alone. A ring
//! that has told everything compares: a ping carries the hash of what its sender holds, and a member that holds
//! something else begins a digest exchange. So a member that missed a rumor gets it within about a probe's period.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use prost::Message as _;

use super::knowledge::Knowledge;
use super::{Node, ctx, know, transmit};
use crate::membership::{CONTACTS, Contacts, log10_milli};
use crate::model::config::Config;
use crate::model::context::{Context, earliest};
use crate::model::io::WakeReason;
use crate::model::limits::{DATAGRAM_BYTES_MIN, Limit, STREAM_BYTES_MAX};
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::rumor::{MemberRumor, Rumor, RumorKey};
use crate::model::time::Instant;
use crate::rumor::{HEAT_CONTACTS_MAX, Heat, Priority};
use crate::wire::swim::Body;
use crate::wire::{proto, stream};

/// The largest datagram without rumors: the sender, and a second member in indirect probes.
const ENVELOPE_BYTES_MAX: usize = 280;
/// What a single rumor leaves free beside that; a larger one travels by stream.
const SPARE_BYTES: usize = 16;
/// Tag and length of an embedded message.
pub(super) const FIELD_BYTES_MAX: usize = 5;
/// Rumors of one stream message, in bytes.
const STREAM_BUDGET_BYTES: usize = STREAM_BYTES_MAX / 2;
/// A rumor is told to so many members if there are so many, however small the ring.
const TOLD_IN_SMALL_RINGS: usize = 10;
/// The same by a permanent peer.
const TOLD_BY_PERMANENT_PEERS: usize = 32;
/// Datagrams for a contact in one round: the statements of one burst, with their authors' words, do not fit into one.
const CONTACT_DATAGRAMS_MAX: usize = 2;
/// Datagrams for a member that is back.
const BACK_DATAGRAMS_MAX: usize = 4;
/// Periods of gossip after which a member that heard nothing new has told all.
const QUIET_PERIODS: u64 = 3;

const _: () = assert!(CONTACTS <= HEAT_CONTACTS_MAX, "every contact can be owed a rumor");

const _: () = assert!(
    DATAGRAM_BYTES_MIN - ENVELOPE_BYTES_MAX - SPARE_BYTES > 500,
    "most rumors must travel by datagram"
);

/// The hot rumors, and the time of the next round. A round is planned exactly while a rumor is hot.
#[derive(Debug)]
pub(super) struct Gossip {
    heat: Heat,
    at: Instant,
    /// When a rumor last became hot.
    started: Instant,
    /// Whether the next round begins a burst: its targets come in a new order.
    is_burst: bool,
    period_ms: u64,
    fanout: usize,
    retransmit_factor: u32,
    /// What a datagram has for rumors.
    budget_bytes: usize,
    planted: Planted,
}

impl Gossip {
    pub(super) fn new(config: &Config) -> Self {
        assert!(
            config.timings.gossip_period_ms > 0 && config.timings.gossip_fanout > 0,
            "a configuration is checked"
        );
        assert!(config.timings.retransmit_factor > 0, "a configuration is checked");
        Self {
            heat: Heat::default(),
            at: Instant::FAR_FUTURE,
            started: Instant::ZERO,
            is_burst: true,
            period_ms: config.timings.gossip_period_ms,
            fanout: config.timings.gossip_fanout as usize,
            retransmit_factor: config.timings.retransmit_factor,
            budget_bytes: config.datagram_bytes() - ENVELOPE_BYTES_MAX,
            planted: config.planted,
        }
    }

    /// When the next round begins.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Gossip)])
    }

    /// Rumors that are still being told.
    pub(super) fn len(&self) -> usize {
        self.heat.len()
    }

    pub(super) fn is_hot(&self, key: &RumorKey) -> bool {
        self.heat.is_hot(key)
    }

    /// What a datagram has for rumors.
    pub(super) const fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Whether a rumor of this length fits into a datagram.
    pub(super) const fn has_room_for(&self, bytes: usize) -> bool {
        bytes <= self.budget_bytes - SPARE_BYTES
    }

    /// Stops telling a rumor.
    pub(super) fn stop(&mut self, key: &RumorKey) {
        self.heat.stop(key);
    }

    /// Makes a rumor hot; the next round tells it.
    pub(super) fn start(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        rng: &mut Rng,
        key: RumorKey,
        priority: Priority,
        contacts: &Contacts,
    ) {
        assert!(know.planted == self.planted, "one node has one set of planted bugs");
        // Members' records, which are not among these rumors, always fit into a datagram.
        let large = know.rumors.told_len(&key).is_some_and(|bytes| !self.has_room_for(bytes));
        let owed = (0..CONTACTS).filter(|place| contacts[*place].is_some());
        let owed = owed.filter(|_| !self.planted.has(Bug::ColdTooEarly));
        self.started = ctx.now;
        if self.heat.start(key, priority, large, owed) {
            ctx.limit_reached(Limit::HotRumors);
        }
        assert!(!self.heat.is_empty(), "a rumor that was just started is hot");
        if self.at == Instant::FAR_FUTURE {
            // The round begins a little later, so that rumors that arrive in one burst go out in one datagram.
            let wait_ms = rng.below(self.period_ms / 5 + 1);
            self.at = ctx.now + Duration::from_millis(wait_ms);
            self.is_burst = true;
        }
    }

    /// Whether this member has told everything that it knows: what it holds can be compared.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let settled = self.started + Duration::from_millis(QUIET_PERIODS * self.period_ms);
        self.heat.is_empty() && mutated!(ComparesTooSoon, settled <= now, true)
    }

    /// How often this member tells one rumor: SWIM's lambda log n.
    fn told_max(&self, know: Knowledge<'_>) -> u32 {
        if self.planted.has(Bug::ColdTooEarly) {
            return 1;
        }
        let members = know.membership.ring_size();
        let digits = digits(members);
        let own = know.membership.own();
        let least = if mutated!(PeersTellFew, own.permanent, false) {
            TOLD_BY_PERMANENT_PEERS
        } else {
            TOLD_IN_SMALL_RINGS
        };
        let least = members.saturating_sub(1).min(least) as u32;
        let told_max = (self.retransmit_factor * digits as u32).max(least);
        assert!(told_max > 0, "every rumor is told");
        told_max
    }

    /// How long those that heard a rumor last may need to tell it on to the rest: a period for each round that a rumor needs
    /// to get through a ring of this size.
    pub(super) fn relays_take(&self, know: Knowledge<'_>) -> Duration {
        let rounds = digits(know.membership.ring_size());
        assert!(rounds > 0, "what was told is told on");
        Duration::from_millis(self.period_ms * rounds)
    }

    /// Tells hot rumors to the contacts and to a few members more.
    fn run(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        contacts: &Contacts,
        targets: &[MemberRecord],
    ) {
        assert!(targets.len() <= self.fanout, "a round goes to a few members");
        self.is_burst = false;
        if targets.is_empty() {
            // This member knows no other; a member that joins gets every rumor in one exchange.
            self.heat = Heat::default();
        }
        let mut told = Vec::new();
        for (place, contact) in contacts.iter().enumerate() {
            match contact.and_then(|id| know.membership.table().get(&id)) {
                Some(record) if self.heat.owes(place) => {
                    self.tell_contact(ctx, know, place, record);
                    told.push(record.id);
                }
                Some(_) => {}
                None => self.heat.release(place),
            }
        }
        assert!(told.len() <= CONTACTS, "each contact is told once in a round");
        for target in targets.iter().filter(|target| !told.contains(&target.id)) {
            if self.heat.is_empty() {
                break;
            }
            self.tell(ctx, know, target);
        }
        let wait = Duration::from_millis(self.period_ms);
        self.at = if self.heat.is_empty() { Instant::FAR_FUTURE } else { ctx.now + wait };
        assert!(self.at > ctx.now, "one round is followed by a pause");
    }

    /// Tells a contact what it is owed.
    fn tell_contact(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        place: usize,
        contact: &MemberRecord,
    ) {
        assert!(contact.id != know.me, "a member tells itself nothing");
        assert!(place < CONTACTS && self.heat.owes(place), "a contact is told what it is owed");
        let told_max = self.told_max(know);
        let size_of = |key: &RumorKey| know.encoded_len(key);
        let keys = self.heat.select_owed(place, true, STREAM_BUDGET_BYTES, told_max, size_of);
        let large: Vec<Vec<u8>> = keys.iter().filter_map(|key| know.rumors.told(key)).collect();
        if !large.is_empty() {
            transmit::stream(ctx, know, contact.gossip_addr(), stream::Body::Gossip { rumors: large });
        }
        let budget = self.budget_bytes;
        let size_of = |key: &RumorKey| know.encoded_len(key).map(|bytes| bytes + FIELD_BYTES_MAX);
        for _ in 0..CONTACT_DATAGRAMS_MAX {
            let keys = self.heat.select_owed(place, false, budget, told_max, size_of);
            let (mut membership, mut rumors) = (Vec::new(), Vec::new());
            pack(know, keys, budget, &mut membership, &mut rumors);
            if membership.is_empty() && rumors.is_empty() {
                break;
            }
            let to = contact.swim_addr();
            transmit::datagram(ctx, to, &know.own_word(), &Body::Gossip, membership, rumors, 0);
        }
    }

    /// Tells one member the hot rumors.
    pub(super) fn tell(&mut self, ctx: &mut Context<'_>, know: Knowledge<'_>, target: &MemberRecord) {
        assert!(target.id != know.me, "a member tells itself nothing");
        let told_max = self.told_max(know);
        let keys = self.heat.select_large(STREAM_BUDGET_BYTES, told_max, |key| know.encoded_len(key));
        let large: Vec<Vec<u8>> = keys.iter().filter_map(|key| know.rumors.told(key)).collect();
        if !large.is_empty() {
            transmit::stream(ctx, know, target.gossip_addr(), stream::Body::Gossip { rumors: large });
        }
        if !self.heat.is_empty() {
            self.send(ctx, know, target.swim_addr(), &Body::Gossip, None);
        }
    }

    /// Tells a member that is back what belongs to the whole ring, as much of it as fits into a few datagrams.
    pub(super) fn tell_back(&self, ctx: &mut Context<'_>, know: Knowledge<'_>, to: &MemberRecord) {
        assert!(to.id != know.me, "a member tells itself nothing");
        let of_ring = know.rumors.iter().filter(|rumor| rumor.owner().is_none() && !rumor.is_tombstone());
        let mut keys: Vec<RumorKey> = of_ring.map(Rumor::key).collect();
        for _ in 0..BACK_DATAGRAMS_MAX {
            let mut left = self.budget_bytes;
            let (now, later): (Vec<RumorKey>, Vec<RumorKey>) = keys.into_iter().partition(|key| {
                let size = know.encoded_len(key).map(|bytes| bytes + 2 * FIELD_BYTES_MAX);
                let fits = size.filter(|size| *size <= left);
                left -= fits.unwrap_or(0);
                fits.is_some()
            });
            if now.is_empty() {
                return;
            }
            let (mut membership, mut rumors) = (Vec::new(), Vec::new());
            pack(know, now, self.budget_bytes, &mut membership, &mut rumors);
            transmit::datagram(ctx, to.swim_addr(), &know.own_word(), &Body::Gossip, membership, rumors, 0);
            keys = later;
        }
    }

    /// Sends a datagram from this member with as many hot rumors as fit.
    pub(super) fn send(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        to: SocketAddr,
        body: &Body,
        accuse: Option<&MemberRecord>,
    ) {
        let mut membership = Vec::new();
        let mut budget = self.budget_bytes;
        if let Some(accused) = accuse {
            let own = know.statement(&accused.id).filter(|s| s.record == *accused);
            let statement = own.unwrap_or_else(|| MemberRumor::new(*accused)).to_wire();
            budget = budget.saturating_sub(statement.encoded_len() + FIELD_BYTES_MAX);
            membership.push(statement);
        }
        let mut rumors = Vec::new();
        if !self.heat.is_empty() {
            assert!(budget <= self.budget_bytes, "rumors leave room for the message that carries them");
            let told_max = self.told_max(know);
            let size_of = |key: &RumorKey| know.encoded_len(key).map(|bytes| bytes + FIELD_BYTES_MAX);
            let keys = self.heat.select(budget, told_max, size_of);
            pack(know, keys, budget, &mut membership, &mut rumors);
        }
        let compares = matches!(body, Body::Ping { forward_to: None, .. }) && self.is_quiet(ctx.now);
        let digest = if compares { know.digest_hash() } else { 0 };
        transmit::datagram(ctx, to, &know.own_word(), body, membership, rumors, digest);
    }
}

/// One more than the whole part of log10: the number of digits, which is log10(n + 1) rounded up.
fn digits(members: usize) -> u64 {
    log10_milli(members.saturating_add(members / 32)) / 1000 + 1
}

/// Takes chosen rumors that fit into the budget.
fn pack(
    know: Knowledge<'_>,
    keys: Vec<RumorKey>,
    budget: usize,
    membership: &mut Vec<proto::Membership>,
    rumors: &mut Vec<Vec<u8>>,
) {
    let mut left = budget;
    // A size may have been taken before a member's address became known, so it is checked.
    let mut fits = |size: usize| {
        let fits = size + FIELD_BYTES_MAX <= left;
        left = left.saturating_sub(if fits { size + FIELD_BYTES_MAX } else { 0 });
        fits
    };
    for key in keys {
        if let RumorKey::Member(id) = &key {
            let statement = know.statement(id).map(|statement| statement.to_wire());
            membership.extend(statement.filter(|statement| fits(statement.encoded_len())));
        } else {
            rumors.extend(know.rumors.told(&key).filter(|rumor| fits(rumor.len())));
        }
    }
    assert!(left <= budget, "chosen rumors came out of the budget");
}

impl Node {
    /// Makes a rumor hot; the next round tells it.
    pub(super) fn start_heat(&mut self, key: RumorKey, priority: Priority) {
        let contacts = self.membership.contacts();
        self.gossip.start(ctx!(self), know!(self), &mut self.rng, key, priority, &contacts);
    }

    /// Tells hot rumors to the contacts and to a few members in turn.
    pub(super) fn run_gossip(&mut self) {
        let contacts = self.membership.contacts();
        let targets = self.membership.next_members(self.gossip.fanout, self.gossip.is_burst);
        self.gossip.run(ctx!(self), know!(self), &contacts, &targets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_compares_once_the_last_news_has_had_time_to_arrive() {
        let config = Config::new(9_638);
        let mut gossip = Gossip::new(&config);
        gossip.started = Instant::from_millis(10_000);
        let settled_ms = QUIET_PERIODS * config.timings.gossip_period_ms;
        assert!(!gossip.is_quiet(Instant::from_millis(10_000 + settled_ms - 1)));
        assert!(gossip.is_quiet(Instant::from_millis(10_000 + settled_ms)));
        let key = RumorKey::Opaque { subject: 1, number: 77 };
        gossip.heat.start(key, Priority::Normal, false, core::iter::empty());
        assert!(!gossip.is_quiet(Instant::from_millis(60_000)), "it has not told all that it knows");
    }
}
