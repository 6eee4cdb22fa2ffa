//! Members that were spoken of, or that spoke, and have not answered from an address of theirs yet. A member exists once
//! it has: any host can make up ids and tell of them, and send datagrams from addresses that are not its own.
//!
//! What is told of such a member is hearsay. It is in no list of members, so that it has no turn in the probe rounds,
//! counts for nothing, pushes out no other member and is told to none. It is asked at the address that is said to be
//! its, with a number that cannot be guessed, by few and bare pings; its answer makes it a member. Where the ping finds no
//! way, a member that knows it is asked to pass one on, because zones may meet only at that one; an answer that came by
//! such a way holds the number too. Members that were only ever reached so may be a few times as many as those that were
//! reached directly and no more, for the one that passes answers on could make them up.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::probe::stands_here;
use super::{Membership, MembershipEvent};
use crate::model::accusers::Accusers;
use crate::model::context::{Context, Follows};
use crate::model::event::Why;
use crate::model::id::{Incarnation, MemberId, ProbeSeq};
use crate::model::limits::{HEARSAY_BY_ONE_MAX, HEARSAY_MAX, Limit, MEMBERS_AT_ADDRESS_MAX, STRANGERS_MAX};
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::time::Instant;
use crate::wire::swim::Body;

/// How long hearsay is kept that nothing confirms, in milliseconds. What is still true is told again.
const KEPT_MS: u64 = 600_000;
/// Pings that follow each other within a probe's time; later ones come ever more rarely.
const QUICK_TRIES: u32 = 3;
/// The longest pause between two pings, in milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;
/// Pings to all of them together: at once, and in a second.
const ASKS_MAX: u64 = 2_048;
const ASKS_PER_SECOND: u64 = 1_024;
/// Pings to one host in a second, whatever is said to be there.
const ASKS_OF_HOST_MAX: u32 = 256;
/// Pings to peers whose members are not known yet, and whose answers are awaited.
const JOINS_MAX: usize = 64;
/// Members that were reached through others alone: so many, and so many for each that was reached directly.
const THROUGH_OTHERS_MIN: usize = 64;
const THROUGH_OTHERS_FACTOR: usize = 4;

const _: () = assert!(ASKS_PER_SECOND <= ASKS_MAX && QUICK_TRIES > 1);
const _: () = assert!(THROUGH_OTHERS_FACTOR > 1, "a bastion joins several zones as large as the own one");

/// Hearsay of one member.
#[derive(Clone, Copy, Debug)]
struct Unmet {
    record: MemberRecord,
    /// Which member told of it; itself when it spoke.
    teller: MemberId,
    since: Instant,
    ask_at: Instant,
    tries: u32,
    /// The number of the pings; none before the first.
    seq: Option<ProbeSeq>,
}

/// All hearsay.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    unmet: BTreeMap<MemberId, Unmet>,
    due: BTreeSet<(Instant, MemberId)>,
    /// How many each member told of.
    told_by: BTreeMap<MemberId, usize>,
    /// Those that spoke themselves, oldest first.
    strangers: VecDeque<MemberId>,
    /// Pings to addresses of peers.
    joins: VecDeque<(ProbeSeq, SocketAddr)>,
    /// Members that answered through others alone.
    through_others: BTreeSet<MemberId>,
    /// Pings of the last moments, of which time takes some off.
    asks: u64,
    asks_since: Instant,
    /// Pings to each host in the second that began then.
    asked: BTreeMap<IpAddr, u32>,
    asked_since: Instant,
    /// Whether there was no room, and that was said.
    is_full: bool,
}

impl Hearsay {
    fn insert(&mut self, unmet: Unmet) {
        let id = unmet.record.id;
        self.remove(&id);
        self.due.insert((unmet.ask_at, id));
        *self.told_by.entry(unmet.teller).or_default() += 1;
        if unmet.teller == id {
            self.strangers.push_back(id);
        }
        self.unmet.insert(id, unmet);
        assert!(self.due.len() == self.unmet.len(), "each of them is asked at some time");
    }

    fn remove(&mut self, id: &MemberId) -> Option<Unmet> {
        let unmet = self.unmet.remove(id)?;
        let was_due = self.due.remove(&(unmet.ask_at, *id));
        assert!(was_due, "each of them is asked at some time");
        let count = self.told_by.get_mut(&unmet.teller).expect("what was told has a teller");
        *count -= 1;
        if *count == 0 {
            self.told_by.remove(&unmet.teller);
        }
        if unmet.teller == *id {
            self.strangers.retain(|stranger| stranger != id);
        }
        self.is_full &= self.unmet.len() > HEARSAY_MAX / 2;
        Some(unmet)
    }

    /// Hearsay is forgotten before anything else: what was asked most often in vain goes first.
    fn least_likely(&self) -> Option<MemberId> {
        let told = self.unmet.values().filter(|unmet| unmet.teller != unmet.record.id);
        told.max_by_key(|unmet| (unmet.tries, self.told_by.get(&unmet.teller))).map(|unmet| unmet.record.id)
    }

    /// Whether one more ping may go to this host now.
    fn may_ask(&mut self, now: Instant, host: IpAddr) -> bool {
        let past_ms = u64::try_from(now.saturating_since(self.asks_since).as_millis()).unwrap_or(u64::MAX);
        let past = past_ms.saturating_mul(ASKS_PER_SECOND) / 1_000;
        if past > 0 {
            self.asks_since = now;
            self.asks = self.asks.saturating_sub(past);
        }
        if now.saturating_since(self.asked_since) >= Duration::from_secs(1) {
            self.asked_since = now;
            self.asked.clear();
        }
        let of_host = self.asked.entry(host).or_default();
        let may = self.asks < ASKS_MAX && *of_host < ASKS_OF_HOST_MAX;
        if may {
            self.asks += 1;
            *of_host += 1;
        }
        assert!(*of_host <= ASKS_OF_HOST_MAX, "no host is asked without end");
        assert!(self.asks <= ASKS_MAX, "questions have a limit");
        may
    }
}

impl Membership {
    pub(super) fn hearsay_at(&self) -> Instant {
        let due = self.hearsay.due.first().map(|(at, _)| *at);
        due.filter(|_| !self.leaving).unwrap_or(Instant::FAR_FUTURE)
    }

    /// What is known of a member by hearsay alone, and the number that its answer has to repeat.
    pub(crate) fn hearsay(&self, id: &MemberId) -> Option<(MemberRecord, Option<ProbeSeq>)> {
        self.hearsay.unmet.get(id).map(|unmet| (unmet.record, unmet.seq))
    }

    /// How many members are known by hearsay alone.
    pub(crate) fn hearsay_count(&self) -> usize {
        self.hearsay.unmet.len()
    }

    /// The number of a ping to the address of a peer, whatever member is there. Its answer proves that one.
    pub(super) fn join_seq(&mut self, to: SocketAddr) -> ProbeSeq {
        let seq = self.prober.seq();
        if self.hearsay.joins.len() >= JOINS_MAX {
            self.hearsay.joins.pop_front();
        }
        self.hearsay.joins.push_back((seq, to));
        assert!(self.hearsay.joins.len() <= JOINS_MAX, "peers that are tried have a limit");
        seq
    }

    /// A member that is not known was told of by another one, or spoke itself. It is asked at once.
    pub(super) fn note_hearsay(&mut self, ctx: &mut Context<'_>, record: &MemberRecord, teller: MemberId) {
        assert!(record.id != self.me && self.table.get(&record.id).is_none(), "a known member is no hearsay");
        let own = *self.own();
        let is_sought = record.state != State::Departed && record.address != UNSPECIFIED;
        if !is_sought || self.leaving || self.is_banned(&self.me) || stands_here(record, &own) {
            return;
        }
        let now = ctx.now;
        let mut unmet = Unmet { record: *record, teller, since: now, ask_at: now, tries: 0, seq: None };
        match self.hearsay.unmet.get(&record.id).copied() {
            Some(held) => {
                let incarnation = record.incarnation.max(held.record.incarnation);
                // Where it was asked in vain is not where it is; before that the first word stands.
                let moved = record.swim_addr() != held.record.swim_addr() && held.tries > 0;
                let record = MemberRecord { incarnation, ..if moved { *record } else { held.record } };
                let ask_at = if moved { held.ask_at.min(now) } else { held.ask_at };
                unmet = Unmet { record, ask_at, ..held };
            }
            None if !self.has_room_for_hearsay(ctx, record.id, teller) => return,
            None => {}
        }
        self.hearsay.insert(unmet);
        self.run_hearsay(ctx);
    }

    fn has_room_for_hearsay(&mut self, ctx: &mut Context<'_>, id: MemberId, teller: MemberId) -> bool {
        if teller == id {
            // The oldest stranger had more time to answer than an answer takes.
            if self.hearsay.strangers.len() >= STRANGERS_MAX
                && let Some(oldest) = self.hearsay.strangers.front().copied()
            {
                self.drop_hearsay(&oldest);
            }
            return true;
        }
        let by_one = self.hearsay.told_by.get(&teller).copied().unwrap_or(0);
        let is_full = self.hearsay.unmet.len() >= HEARSAY_MAX;
        if (by_one >= HEARSAY_BY_ONE_MAX || is_full) && !core::mem::replace(&mut self.hearsay.is_full, true) {
            ctx.limit_reached(Limit::Hearsay);
        }
        if by_one >= HEARSAY_BY_ONE_MAX {
            return false;
        }
        if is_full && let Some(id) = self.hearsay.least_likely() {
            self.drop_hearsay(&id);
        }
        self.hearsay.unmet.len() < HEARSAY_MAX
    }

    pub(super) fn drop_hearsay(&mut self, id: &MemberId) {
        if self.hearsay.remove(id).is_some() {
            self.events.push_back(MembershipEvent::Unmet { id: *id });
        }
    }

    /// Asks those whose turn it is.
    pub(super) fn run_hearsay(&mut self, ctx: &mut Context<'_>) {
        while self.hearsay_at() <= ctx.now {
            let Some((at, id)) = self.hearsay.due.first().copied() else { return };
            let Some(unmet) = self.hearsay.unmet.get(&id).copied() else { return };
            if unmet.since + Duration::from_millis(KEPT_MS) <= ctx.now {
                self.drop_hearsay(&id);
                continue;
            }
            let unmet = self.ask_hearsay(ctx, unmet);
            assert!(unmet.ask_at > ctx.now, "one question is followed by a pause");
            self.hearsay.due.remove(&(at, id));
            self.hearsay.due.insert((unmet.ask_at, id));
            self.hearsay.unmet.insert(id, unmet);
        }
    }

    /// A member is said to be at another address than it spoke from: it is asked there, and its answer moves it.
    pub(super) fn ask_elsewhere(&mut self, now: Instant, to: SocketAddr) {
        if to != self.own().swim_addr() && self.hearsay.may_ask(now, to.ip()) {
            let seq = self.prober.seq();
            self.events.push_back(MembershipEvent::Ask { to, seq });
        }
    }

    fn ask_hearsay(&mut self, ctx: &Context<'_>, mut unmet: Unmet) -> Unmet {
        let record = unmet.record;
        if !self.hearsay.may_ask(ctx.now, record.address) {
            unmet.ask_at = ctx.now + Duration::from_millis(self.timings.probe_timeout_ms.max(1));
            return unmet;
        }
        let seq = match unmet.seq {
            Some(seq) => seq,
            None => self.prober.seq(),
        };
        self.events.push_back(MembershipEvent::Ask { to: record.swim_addr(), seq });
        if unmet.tries > 0 {
            // There may be no direct way, or none for datagrams.
            for helper in self.helpers_to_meet(&unmet) {
                let (to, body) = (helper.swim_addr(), Body::PingReq { seq, target: record });
                self.events.push_back(MembershipEvent::Send { to, body, accuse: None });
            }
            self.events.push_back(MembershipEvent::StreamPing { to: record.gossip_addr(), seq });
        }
        let pause_ms = if unmet.tries < QUICK_TRIES {
            self.timings.probe_timeout_ms
        } else {
            let doublings = (unmet.tries - QUICK_TRIES).min(16);
            self.timings.probe_period_ms.saturating_mul(1 << doublings).min(PAUSE_MS_MAX)
        };
        unmet.ask_at = ctx.now + Duration::from_millis(pause_ms.max(1));
        unmet.tries += 1;
        unmet.seq = Some(seq);
        unmet
    }

    /// The member that told of it, and one that reaches others.
    fn helpers_to_meet(&mut self, unmet: &Unmet) -> Vec<MemberRecord> {
        let teller = self.table.get(&unmet.teller).filter(|teller| teller.state == State::Alive).copied();
        let preferred = self.preferred_helpers(&unmet.record.id);
        let mut helpers: Vec<MemberRecord> = teller.into_iter().collect();
        helpers.extend(preferred.into_iter().find(|helper| Some(helper.id) != teller.map(|t| t.id)));
        assert!(helpers.iter().all(|helper| helper.id != unmet.record.id), "others are asked about it");
        helpers
    }

    /// An answer with this number. One of a member that is not known makes it one, where this member asked for it.
    /// `is_direct`: it came from the member's own socket.
    pub(crate) fn handle_introduction(
        &mut self,
        ctx: &mut Context<'_>,
        from: &MemberRecord,
        seq: ProbeSeq,
        is_direct: bool,
    ) {
        assert!(from.id != self.me, "a member meets others");
        if self.table.get(&from.id).is_some() {
            if is_direct && self.prober.is_awaited(&from.id, seq) {
                self.hearsay.through_others.remove(&from.id);
            }
            return;
        }
        if self.is_banned(&from.id) || from.state == State::Departed {
            return;
        }
        let asked = self.hearsay.unmet.get(&from.id).filter(|unmet| unmet.seq == Some(seq)).copied();
        let join = self.hearsay.joins.iter().position(|(of, _)| *of == seq).filter(|_| is_direct);
        let (address, teller) = match (asked, join) {
            (Some(unmet), _) => (unmet.record.address, unmet.teller),
            (None, Some(at)) => {
                self.hearsay.joins.remove(at);
                (from.address, from.id)
            }
            (None, None) => return,
        };
        if !is_direct && !self.may_trust_others_with(&from.id) {
            return;
        }
        let incarnation = Incarnation(from.incarnation.0.min(self.believed_up_to(&from.id, ctx.wall)));
        let record = MemberRecord { address, incarnation, state: State::Alive, ..*from };
        let spoke = teller == from.id;
        let why = if spoke { Why::Contact } else { Why::Rumor { from: teller } };
        if self.meet(ctx, record, Accusers::default(), why) && spoke {
            self.events.push_back(MembershipEvent::Healed { id: from.id });
        }
    }

    fn may_trust_others_with(&mut self, id: &MemberId) -> bool {
        let through_others = self.hearsay.through_others.len();
        let direct = self.table.len().saturating_sub(through_others);
        let may = through_others < THROUGH_OTHERS_MIN + THROUGH_OTHERS_FACTOR * direct;
        if may {
            self.hearsay.through_others.insert(*id);
        }
        may
    }

    /// A member that is proven to exist joins the list. False where there is no room for it.
    pub(super) fn meet(
        &mut self,
        ctx: &mut Context<'_>,
        record: MemberRecord,
        accusers: Accusers,
        why: Why,
    ) -> bool {
        assert!(self.table.get(&record.id).is_none(), "a member is met once");
        self.hearsay.remove(&record.id);
        let takes_part = |r: &&MemberRecord| r.state <= State::Suspect && r.swim_addr() == record.swim_addr();
        let is_crowded = self.table.iter().filter(takes_part).count() >= MEMBERS_AT_ADDRESS_MAX;
        if is_crowded || !self.make_room(ctx) {
            self.hearsay.through_others.remove(&record.id);
            self.events.push_back(MembershipEvent::Unmet { id: record.id });
            return false;
        }
        self.change(ctx, record, accusers, why, Follows::Input);
        self.events.push_back(MembershipEvent::Met { id: record.id });
        true
    }

    /// The member is no longer in the list.
    pub(super) fn forget_way_to(&mut self, id: &MemberId) {
        self.hearsay.through_others.remove(id);
    }

    /// Answers a stranger: a ping alone, and with no more bytes than it took.
    pub(crate) fn answer_stranger(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        body: &Body,
        bytes: usize,
    ) {
        assert!(self.table.get(&from.id).is_none(), "a member is answered like one");
        if let Body::Ping { seq, forward_to } = body {
            // It may not know its own address.
            let accuse = forward_to.is_none().then_some(MemberRecord { state: State::Alive, ..*from });
            let body = Body::Ack { seq: *seq, forward_to: *forward_to };
            self.events.push_back(MembershipEvent::Answer { to: reply_to, body, accuse, bytes_max: bytes });
        }
    }

    pub(super) fn check_hearsay(&self) {
        let hearsay = &self.hearsay;
        assert!(hearsay.due.len() == hearsay.unmet.len(), "each of them is asked at some time");
        assert!(hearsay.unmet.keys().all(|id| self.table.get(id).is_none()), "a member is no hearsay");
        assert!(hearsay.told_by.values().sum::<usize>() == hearsay.unmet.len(), "each has a teller");
        assert!(hearsay.unmet.len() <= HEARSAY_MAX + STRANGERS_MAX, "hearsay has a limit");
        assert!(hearsay.through_others.iter().all(|id| self.table.get(id).is_some()), "ways lead to members");
    }
}
