//! Decides which members are in the ring, and in which state: SWIM (Das et al. 2002) with Lifeguard's extensions
//! (Dadgar et al. 2017). It may not spread rumors, store rows or name another feature; it tells the node by events.
//!
//! | file | what |
//! |---|---|
//! | `table` | all records, dense |
//! | `hear` | statements of others: contact, rumors, accusations of this member itself |
//! | `hearsay` | members that were spoken of and have not answered yet |
//! | `detect` | this member's own probes, suspicions and their timeouts |
//! | `aging` | confirmed members depart, departed ones are forgotten |
//! | `lost` | finding back: peers while alone, members believed dead |
//! | `contacts` | the members that rumors are told to |
//! | `helpers` | the members that are asked to probe for this one |
//! | `copy` | a second daemon with this member's identity |
//! | `stated` | what members say of themselves |
//! | `probe`, `suspicion`, `relay`, `health` | the parts of those |
//!
//! A member's record, and which of two statements about it prevails, is in `model::member`.
//!
//! Where this differs from Habitat's rules: contact never revives a member at its old incarnation, it makes the member
//! refute instead, so that all members can follow; a second-hand death is a suspicion until this member's own probe has
//! failed; a ban is lifted by an operator alone.

mod aging;
mod contacts;
mod copy;
mod detect;
mod event;
mod health;
mod hear;
mod hearsay;
mod helpers;
mod index;
mod lost;
mod probe;
mod relay;
mod stated;
mod suspicion;
mod table;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use contacts::{CONTACTS, Contacts};
pub(crate) use event::{Contact, Heard, MembershipEvent, Urgency};
pub(crate) use suspicion::log10_milli;
pub(crate) use table::{MemberTable, digested};

use crate::model::accusers::Accusers;
use crate::model::config::{Config, Timings};
use crate::model::context::{Context, Follows, earliest};
use crate::model::event::{EventKind, Why};
use crate::model::id::{EventId, Incarnation, MemberId};
use crate::model::io::WakeReason;
use crate::model::limits::MEMBERS_MAX;
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::rumor::Departure;
use crate::model::time::Instant;
use crate::wire::swim::Body;
use contacts::Turns;
use copy::Copies;
use health::LocalHealth;
use hearsay::Hearsay;
use helpers::Ways;
use lost::Lost;
use probe::{Prober, stands_here};
use relay::Relays;
use suspicion::Suspicion;

/// The stream of chance from which the numbers of probes come: none of the node's own.
const NUMBERS: u64 = 16;

/// A queue of events that grew beyond this gives its memory back once it is empty.
const EVENTS_CAPACITY_KEPT: usize = 8;

/// The time at which a member left or was confirmed dead, and the event that said so; only the input after a restart.
#[derive(Clone, Copy, Debug)]
struct Gone {
    since: Instant,
    after: Follows,
}

impl Gone {
    const fn restored(since: Instant) -> Self {
        Self { since, after: Follows::Input }
    }
}

/// The component.
#[derive(Debug)]
pub(crate) struct Membership {
    timings: Timings,
    rng: Rng,
    me: MemberId,
    /// An incarnation that is on its way to the disk and may not be used yet.
    raising: Option<Incarnation>,
    table: MemberTable,
    /// The banned members, each with the epoch of its ban.
    banned: BTreeMap<MemberId, u64>,
    suspicions: BTreeMap<MemberId, Suspicion>,
    suspicions_due: BTreeSet<(Instant, MemberId)>,
    /// For each confirmed or departed member, the time at which it entered its state.
    since: BTreeMap<MemberId, Gone>,
    /// The event of the refutation whose incarnation is on its way to the disk.
    refuted: Option<EventId>,
    prober: Prober,
    relays: Relays,
    ways: Ways,
    health: LocalHealth,
    hearsay: Hearsay,
    lost: Lost,
    copies: Copies,
    /// The members that each rumor is told to; none after a change that may concern them.
    contacts: Option<Contacts>,
    turns: Turns,
    leaving: bool,
    /// Second-hand deaths that this member has yet to probe itself.
    verifications: VecDeque<MemberRecord>,
    /// The highest incarnation of this member that others told while another one was on its way to the disk.
    outdone: Incarnation,
    /// How often this member heard of an incarnation of its own that it never used.
    outbid: u32,
    /// Whether it states its own address; otherwise each member takes the source address that it sees.
    advertises: bool,
    /// The accusers, which are told first once a higher incarnation may be used.
    accused_by: Vec<MemberId>,
    /// After a stall: no member is confirmed dead before this, or before another member was heard.
    doubt_until: Option<Instant>,
    housekeeping_at: Instant,
    events: VecDeque<MembershipEvent>,
    planted: Planted,
}

impl Membership {
    /// A ring of one: this member is in its own list from the start.
    pub(crate) fn new(
        config: &Config,
        id: MemberId,
        incarnation: Incarnation,
        mut rng: Rng,
        now: Instant,
    ) -> Self {
        let timings = config.timings.clone();
        assert!(timings.probe_timeout_ms <= timings.probe_verdict_ms, "a configuration is checked");
        assert!(timings.probe_verdict_ms <= timings.probe_period_ms, "a configuration is checked");
        let phase = Duration::from_millis(rng.below(timings.probe_period_ms.max(1)));
        let mut membership = Self {
            me: id,
            raising: None,
            table: MemberTable::default(),
            banned: BTreeMap::new(),
            suspicions: BTreeMap::new(),
            suspicions_due: BTreeSet::new(),
            since: BTreeMap::new(),
            refuted: None,
            prober: Prober::new(now + phase, rng.fork(NUMBERS)),
            relays: Relays::default(),
            ways: Ways::default(),
            copies: Copies::default(),
            contacts: None,
            turns: Turns::default(),
            health: LocalHealth::new(timings.local_health_max),
            hearsay: Hearsay::default(),
            lost: Lost::new(config.peers.clone(), now),
            leaving: false,
            verifications: VecDeque::new(),
            outdone: Incarnation(0),
            outbid: 0,
            advertises: config.advertise.is_some(),
            accused_by: Vec::new(),
            doubt_until: None,
            housekeeping_at: Instant::FAR_FUTURE,
            events: VecDeque::new(),
            planted: config.planted,
            timings,
            rng,
        };
        membership.put(MemberRecord {
            id,
            incarnation,
            address: config.advertise.unwrap_or(UNSPECIFIED),
            swim_port: config.swim_port,
            gossip_port: config.gossip_port,
            state: State::Alive,
            permanent: config.permanent,
        });
        membership
    }

    /// Room for this many members, before they are restored one by one.
    pub(crate) fn reserve(&mut self, members: usize) {
        let me = *self.own();
        assert!(self.table.len() == 1, "room is made before others are restored");
        self.table = MemberTable::with_capacity(members + 1);
        self.prober = Prober::new(self.prober.next_round, self.rng.fork(NUMBERS));
        self.put(me);
    }

    /// Restores another member's record from the disk. A suspicion is not carried over a restart.
    pub(crate) fn restore(&mut self, now: Instant, mut record: MemberRecord) {
        if record.id == self.me || self.table.len() >= MEMBERS_MAX {
            return;
        }
        assert!(self.suspicions.is_empty(), "members are restored before anything is judged");
        match record.state {
            State::Suspect => record.state = State::Alive,
            State::Confirmed | State::Departed => {
                self.since.insert(record.id, Gone::restored(now));
            }
            State::Alive => {}
        }
        self.put(record);
    }

    fn put(&mut self, record: MemberRecord) {
        self.contacts = mutated!(ContactsKept, None, self.contacts);
        if let Some(slot) = self.table.put(record) {
            self.prober.insert(slot);
        }
    }

    /// This member's own record.
    pub(crate) fn own(&self) -> &MemberRecord {
        // This member is put in first and never taken out, so it keeps the first place.
        let own = self.table.at(0).expect("this member is in its own list");
        assert!(own.id == self.me, "the first place of the list is this member's own");
        own
    }

    pub(crate) const fn table(&self) -> &MemberTable {
        &self.table
    }

    /// The rumor about a member: its record and, while it is suspect, its accusers.
    pub(crate) fn statement(&self, id: &MemberId) -> Option<(MemberRecord, Accusers)> {
        let mut record = *self.table.get(id)?;
        if record.id == self.me && !self.advertises {
            record.address = UNSPECIFIED;
        }
        let accusers = self.suspicions.get(id).map(|s| s.accusers).unwrap_or_default();
        Some((record, accusers))
    }

    pub(crate) fn is_banned(&self, id: &MemberId) -> bool {
        self.banned.contains_key(id)
    }

    /// Every ban.
    pub(crate) fn bans(&self) -> impl Iterator<Item = Departure> {
        self.banned.iter().map(|(id, epoch)| Departure { member_id: *id, epoch: *epoch, lifted: false })
    }

    pub(crate) const fn local_health(&self) -> u32 {
        self.health.score()
    }

    /// Members that take part, this one included: rumors must reach these.
    pub(crate) fn ring_size(&self) -> usize {
        self.table.count(State::Alive)
            + mutated!(RingSizeWithoutSuspects, self.table.count(State::Suspect), 0)
    }

    /// Whether this member knows no other member that takes part.
    pub(crate) fn is_alone(&self) -> bool {
        self.ring_size() <= 1
    }

    /// Up to `count` random members that take part, without this one and `except`.
    pub(crate) fn random_members(&mut self, count: usize, except: Option<&MemberId>) -> Vec<MemberRecord> {
        let (me, len) = (*self.own(), self.table.len());
        let fits = |r: &MemberRecord| {
            !stands_here(r, &me)
                && Some(&r.id) != except
                && mutated!(
                    SuspectsAreNotTold,
                    matches!(r.state, State::Alive | State::Suspect),
                    r.state == State::Alive
                )
        };
        let mut chosen: Vec<MemberRecord> = Vec::with_capacity(count);
        if self.ring_size() * 2 > len && len > count * 4 {
            // Most of a large table fits: draw places until enough fit.
            for _ in 0..count * 8 {
                let slot = self.rng.index(len);
                if let Some(record) = self.table.at(slot)
                    && fits(record)
                    && chosen.iter().all(|c| c.id != record.id)
                {
                    chosen.push(*record);
                    if chosen.len() == count {
                        break;
                    }
                }
            }
            assert!(chosen.len() <= count, "so many are chosen and no more");
            return chosen;
        }
        let candidates: Vec<MemberRecord> = self.table.iter().filter(|r| fits(r)).copied().collect();
        let picks = self.rng.sample(candidates.len(), count);
        chosen.extend(picks.into_iter().filter_map(|i| candidates.get(i).copied()));
        assert!(chosen.len() <= count, "so many are chosen and no more");
        chosen
    }

    /// Records a change of mind about a member, reports it, and has it told.
    fn change(
        &mut self,
        ctx: &mut Context<'_>,
        record: MemberRecord,
        accusers: Accusers,
        why: Why,
        after: Follows,
    ) -> EventId {
        let id = record.id;
        let held = self.table.get(&id).copied();
        assert!(
            id != self.me || !matches!(record.state, State::Suspect | State::Confirmed),
            "a member calls itself alive"
        );
        let forgotten = self.planted.has(Bug::SuspicionSurvivesRefutation) && record.state == State::Alive;
        let suspicion = if forgotten { None } else { self.end_suspicion(&id) };
        let after = after.or(suspicion.map(|s| s.event).into());
        if held.is_some_and(|h| h.incarnation != record.incarnation || record.state > State::Suspect) {
            self.prober.cancel(&id);
        }
        self.put(record);
        let from = held.map(|h| h.state);
        let kind = EventKind::MemberChanged {
            member: id,
            from,
            to: record.state,
            incarnation: record.incarnation,
            why,
        };
        let event = ctx.event(after, kind);
        match record.state {
            State::Alive => {
                mutated!(DeadKeepTheirDate, self.since.remove(&id), None);
            }
            State::Suspect => {
                self.since.remove(&id);
                ctx.metrics.suspicions += 1;
                self.begin_suspicion(ctx.now, &record, accusers, event);
            }
            State::Confirmed | State::Departed => {
                ctx.metrics.confirmations += u64::from(record.state == State::Confirmed);
                if id != self.me {
                    self.since.insert(id, Gone { since: ctx.now, after: Follows::Event(event) });
                    mutated!(LostTriedLate, self.note_lost(ctx.now), ());
                    self.plan_housekeeping(ctx.now);
                }
            }
        }
        self.events.push_back(MembershipEvent::Changed {
            id,
            urgency: urgency_of(from, record.state, id == self.me),
            after: Follows::Event(event),
        });
        event
    }

    /// The next event; none when all are taken.
    pub(crate) fn poll_event(&mut self) -> Option<MembershipEvent> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > EVENTS_CAPACITY_KEPT {
            self.events = VecDeque::new();
        }
        event
    }

    /// The earliest deadline and its reason.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        let never = Instant::FAR_FUTURE;
        let suspicion = self.suspicions_due.first().map_or(never, |(at, _)| *at);
        earliest([
            (self.prober.next_round, WakeReason::ProbeRound),
            (self.prober.due().unwrap_or(never), WakeReason::ProbeTimeout),
            (self.relays.due().unwrap_or(never), WakeReason::RelayTimeout),
            (self.hearsay_at(), WakeReason::ProbeTimeout),
            (suspicion, WakeReason::Suspicion),
            (self.reconnect_at(), WakeReason::Reconnect),
            (self.housekeeping_at, WakeReason::Housekeeping),
        ])
    }

    /// Runs every timer that is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        self.run_probes(ctx);
        self.run_relays(ctx);
        self.run_hearsay(ctx);
        self.run_suspicions(ctx);
        self.run_round(ctx);
        self.run_reconnect(ctx);
        if self.housekeeping_at <= ctx.now {
            self.keep_house(ctx);
        }
    }

    /// Takes a ban in, by the order that this member took. True when it is new.
    pub(crate) fn handle_ban(
        &mut self,
        ctx: &mut Context<'_>,
        ban: &Departure,
        by: Option<MemberId>,
    ) -> bool {
        assert!(!ban.lifted, "a ban is taken in");
        let id = ban.member_id;
        if self.banned.insert(id, ban.epoch).is_some() {
            return false;
        }
        self.drop_hearsay(&id);
        let banned = ctx.event(ctx.after, EventKind::Banned { member: id, by });
        if id != self.me
            && let Some(mut record) = self.table.get(&id).copied()
            && record.state != State::Departed
        {
            record.state = State::Departed;
            self.change(ctx, record, Accusers::default(), Why::Operator, Follows::Event(banned));
        }
        assert!(self.banned.contains_key(&id), "a ban is taken in");
        true
    }

    /// Takes in that a ban is lifted. The member stays departed here until it speaks: then it is told so, and refutes.
    pub(crate) fn handle_lift(&mut self, ctx: &mut Context<'_>, id: MemberId, by: Option<MemberId>) {
        if self.banned.remove(&id).is_some() {
            ctx.event(ctx.after, EventKind::BanLifted { member: id, by });
        }
        assert!(!self.banned.contains_key(&id), "what is lifted bans no member");
    }

    /// A ban that was on this node's disk, possibly without the banned member's latest record.
    pub(crate) fn restore_ban(&mut self, now: Instant, ban: &Departure) {
        let id = ban.member_id;
        self.banned.insert(id, ban.epoch);
        if let Some(record) = self.table.get(&id).copied().filter(|_| id != self.me) {
            self.put(MemberRecord { state: State::Departed, ..record });
            self.since.insert(id, Gone::restored(now));
        }
    }

    /// The highest incarnation that is in use or on its way to the disk.
    pub(crate) fn newest_incarnation(&self) -> Incarnation {
        self.raising.unwrap_or_default().max(self.own().incarnation)
    }

    /// From now on this member answers no accusation and accuses no other member.
    pub(crate) const fn handle_leaving(&mut self) {
        self.leaving = true;
    }

    /// Announces that this member leaves, in an incarnation that is on disk; without one, in the present one, over
    /// which a departure prevails too.
    pub(crate) fn handle_leave(&mut self, ctx: &mut Context<'_>, stored: Option<Incarnation>) {
        assert!(self.leaving, "a member prepares to leave before it does");
        let mut own = *self.own();
        assert!(own.state == State::Alive, "a member leaves once");
        own.incarnation =
            mutated!(FarewellInOldIncarnation, stored.unwrap_or(own.incarnation), own.incarnation);
        assert!(own.incarnation >= self.own().incarnation, "an incarnation never goes back");
        own.state = State::Departed;
        self.change(ctx, own, Accusers::default(), Why::Own, ctx.after);
    }

    /// A higher incarnation is on disk and may be used.
    pub(crate) fn handle_raised(&mut self, ctx: &mut Context<'_>, incarnation: Incarnation) {
        if self.raising == Some(incarnation) {
            self.raising = None;
        }
        let mut own = *self.own();
        if self.leaving || self.banned.contains_key(&self.me) || incarnation <= own.incarnation {
            return;
        }
        own.incarnation = incarnation;
        let after = self.refuted.take().into();
        self.change(ctx, own, Accusers::default(), Why::Own, after);
        // The accusers hear the refutation first; the rest of the ring hears it through rumors.
        assert!(self.own().incarnation == incarnation, "a member speaks in the incarnation that it stored");
        for accuser in core::mem::take(&mut self.accused_by) {
            if let Some(to) = self.table.get(&accuser).map(MemberRecord::swim_addr) {
                let body = Body::Ping { seq: self.prober.seq(), forward_to: None };
                self.events.push_back(MembershipEvent::Send { to, body, accuse: None });
            }
        }
        if mutated!(OutdoneForgotten, self.outdone >= incarnation, false) {
            let incarnation = self.outdone.next();
            assert!(incarnation >= self.own().incarnation, "an incarnation never goes back");
            self.raising = Some(incarnation);
            self.events.push_back(MembershipEvent::Raise { incarnation });
        }
    }

    /// The incarnation could not be stored; the next accusation tries again.
    pub(crate) fn handle_raise_failed(&mut self) {
        self.raising = mutated!(RaiseFailureSticks, None, self.raising);
    }

    /// Asserts the invariants between the parts of this component.
    pub(crate) fn check_invariants(&self) {
        assert!(self.own().id == self.me);
        self.check_hearsay();
        for (id, suspicion) in &self.suspicions {
            let state = self.table.get(id).map(|r| r.state);
            assert!(state == Some(State::Suspect), "{id} has a suspicion and is {state:?}");
            assert!(
                self.suspicions_due.contains(&(suspicion.due, *id)),
                "the suspicion of {id} is never due"
            );
        }
        assert!(self.suspicions_due.len() == self.suspicions.len(), "a suspicion that ended is still due");
        let suspects = self.table.count(State::Suspect);
        assert!(suspects == self.suspicions.len(), "a suspect without a suspicion never dies");
        let gone = self.table.count(State::Confirmed) + self.table.count(State::Departed)
            - usize::from(self.own().state == State::Departed);
        let since = self.since.len();
        assert!(gone == since, "{gone} members are gone and {since} have a date");
        for id in self.banned.keys() {
            let state = self.table.get(id).map(|r| r.state);
            let out = *id == self.me || matches!(state, None | Some(State::Departed));
            assert!(out, "{id} is banned and held {state:?}");
        }
    }

    /// This process was not running for a while: deadlines that passed meanwhile prove nothing about others.
    pub(crate) fn handle_stall(&mut self, ctx: &mut Context<'_>, stall: Duration) {
        ctx.metrics.stalls += 1;
        let for_ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        // The time itself is the cause: no earlier event led to it.
        let event = ctx.event(Follows::Input, EventKind::Stalled { for_ms });
        if self.health.worse(2) {
            ctx.event(Follows::Event(event), EventKind::LocalHealth { score: self.health.score() });
        }
        let first_round = self.rng.below(self.timings.probe_timeout_ms.max(1));
        self.prober.cancel_all(ctx.now + Duration::from_millis(first_round));
        self.relays.clear();
        let verdict_ms = self.health.stretch_ms(self.timings.probe_period_ms + self.timings.probe_verdict_ms);
        self.doubt_until =
            Some(ctx.now + Duration::from_millis(mutated!(DoubtTooShort, verdict_ms.saturating_mul(2), 0)));
        assert!(self.prober.next_round >= ctx.now, "a member that slept probes anew");
        let ids: Vec<MemberId> = self.suspicions.keys().copied().collect();
        for id in ids {
            self.update_suspicion(&id, |s| {
                s.started = mutated!(StallKeepsStarted, s.started + stall, s.started);
                s.heard = s.heard.map(|at| at + stall);
                s.asked = None;
            });
        }
    }
}

fn urgency_of(from: Option<State>, to: State, own: bool) -> Urgency {
    match (from, to) {
        (_, State::Suspect | State::Confirmed) => Urgency::Death,
        (Some(State::Suspect | State::Confirmed), State::Alive) => {
            mutated!(RefutationNotUrgent, Urgency::Refutation, Urgency::Life)
        }
        (Some(_), State::Alive) if own => Urgency::Refutation,
        (_, State::Alive | State::Departed) => Urgency::Life,
    }
}
