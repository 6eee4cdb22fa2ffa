//! Elects one member of a service group for each [purpose](ElectionPurpose): its leader, and the member that carries
//! out its updates. Each election has terms, votes, an electorate and leases of its own and knows nothing of the
//! others. This feature may not judge what makes a member fit nor decide what a winner does; the node does both.
//!
//! | file | what |
//! |---|---|
//! | `instance` | one election at one member: its knowledge, its promises, its timers |
//! | `voter` | grants requests, votes, and keeps promises |
//! | `candidate` | asks first, then collects votes |
//! | `leader` | renews the lease, changes the electorate, hands over |
//! | `resume` | leads on after a restart of the supervisor |
//! | `electorate` | how votes are counted and who gets and loses a seat |
//! | `pace` | how fast a member raises terms |
//! | `double` | a second supervisor with this member's identity |
//! | `show` | roles, views, and why there is no result |
//!
//! Messages and electorates are data in `model::ballot`; the row that must survive a crash is in `store::vote`.
//!
//! # How it works
//!
//! ```text
//! candidate ── ask (term, suitability, electorate) ──▶ voters    binds no voter; the best asker gets a yes
//!           ── vote (term, lease) ───────────────────▶           stored, then answered; a promise from receipt on
//! leader    ── renew (term, lease, electorate) ──────▶           the promise again, every quarter of a lease
//!           ── release (successor) ──────────────────▶           when its service has stopped acting
//! ```
//!
//! **Electorate.** The members whose votes count stand in a numbered list. Leaders put it down and change it, one seat
//! at a time and only after a quorum has stored the list before (Schultz et al., *Design and Analysis of a Logless
//! Dynamic Reconfiguration Protocol*, 2021; Raft's single-server change without a log). Lists are ordered by the term
//! of the leader that wrote them, then by number; a voter that knows a later list than a candidate does not vote for it
//! but tells it the list. The first list is *founded*: the candidate proposes the union of all members that it and the
//! voters know of, dead ones included; a voter that misses members in the proposal names them. The founder hears every
//! member that it can reach before it goes on, and a member that knows of a leader founds no electorate. A voter that
//! voted for the founder keeps the proposal with its vote: if the founder is gone before it could tell of its list, a
//! voter in every majority that is left knows the list all the same. An electorate counts as at least three members, or
//! as many as `--quorum` says, and is founded by no fewer, also where one goes while they are asked: of two seats, neither
//! can be lost. Members that left or unloaded the service lose their seats, dead members lose theirs when the number of
//! seats is even (a dead voter then only raises the quorum), and newcomers get seats. So hosts that are replaced one
//! after the other keep their group going, and two that stop at once do not shrink it below three seats.
//!
//! **Quorum.** More than half of the seats. An operator who bans members (`sup depart`) says that they are gone for
//! good: their seats do not count from then on, and if too few seats are left, other members of the group fill in,
//! while a majority of the remaining seats must agree as well.
//!
//! **Preference.** Voters wait a moment after the first candidate asks and say yes to the one with the highest
//! suitability, then the greatest id; a better member that hears another one ask does so, too, in that moment. No
//! member asks while it is bound to a leader, so a working leader stays. Asking raises no terms; an election without
//! quorum backs off to one round in `election_backoff_ms_max`, and a member that uses one new term after the other
//! waits ever longer before the next, up to the same bound.
//!
//! **Readiness.** Only a member whose service is fit stands, is named as a successor, or counts as one. What a leader
//! does that is not fit:
//!
//! | its service | its lease | the lead |
//! |---|---|---|
//! | is not known yet (`Unknown`) | renewed | kept |
//! | is replaced by its supervisor (`Restarting`) | renewed until the time that `service` names | then handed over |
//! | is stopped or drained in order (`Stopping`) | renewed until then, and no longer | handed over when it is `Unfit` or gone |
//! | is ill, crashed or down (`Unfit`) | not renewed | handed over at once; without a fit successor when the lease ends |
//! | stands no longer (none) | not renewed | handed over at once |
//!
//! Who wants the lead to pass on, an operator's drain or a member's turn in a rollout, says `Unfit`: there is one way
//! out of a lead in order. It begins with [`ElectionsEvent::Yield`] and ends with [`Elections::handle_demoted`].
//!
//! # Why there is one leader
//!
//! *E1, one winner for each (group, term).* A voter votes once in a term, and its row is on disk before its vote
//! leaves; so two members can win one term only by two disjoint quorums. Let A and B have won term t with lists S and
//! T. If S = T, two majorities of it share a voter. If the lists are neighbours, one has one member more: majorities of
//! both share a voter too. If they are further apart, say S before T, then some list between them was stored by a
//! majority of its own or its predecessor's seats before the next was written; that majority meets every quorum of S,
//! and the voter in both would have told A of the later list instead of voting. A quorum of the smallest size
//! (`--quorum`) only asks for more votes, never fewer.
//!
//! *E2, one acting leader at each instant.* The leader L acts until `lease`, nine tenths of the lease by its own clock,
//! from the moment at which it *sent* a request that a quorum granted. Each of those voters votes for no other
//! candidate for `promise`, eleven tenths by its own clock, from the moment at which it *received* it, which is later.
//! With clocks within ten per cent of true time, 0.9 / 0.9 = 1.1 / 1.1 = 1: L has stopped before the first of them is
//! free. Any other winner needs a vote of one of them (by the argument above), so it was elected after L stopped, and
//! it acts from then on. Acting is what the processes of its service do: the service's guard kills them at that same
//! time, whatever has become of the supervisor. A voter that crashes has forgotten its promise, not its row: after a
//! restart it waits for the longest promise that it ever gave. A leader that loses its quorum gives up
//! `lease_margin_ms` early (E3), releases no voter and keeps its own vote until the lease ends. Renewals need no vote: a
//! voter that renews for L has seen a term that L won, and a voter that has seen a later winner answers "stale".
//!
//! *E2 with resumption.* A supervisor that ends leaves the promises that its voters gave and the processes that act on
//! them. The next supervisor leads on where the guard holds an entry for it: member, group, term, process, end. It acts
//! until that end and no longer, unless a quorum renews, so it acts within a lease that the argument above covers
//! already. What has to be shown is that the entry still speaks for such a lease, and that nothing extends it by
//! mistake:
//!
//! - *The lease was won by this member, and no vote was given away since.* The row holds the entry's term or a later one
//!   with this member as the candidate. A vote for another candidate, or a renewal for another leader, is on disk with
//!   another name before the answer leaves. A later term with its own name was only tried; the entry says which one was
//!   won, and that one is led, as the files of the process say. It goes on to try the later one.
//! - *The voters are still bound.* A release is sent only after `handle_demoted`, that is, after the guard has confirmed
//!   that the entry is withdrawn, or the process is gone and its guard with it. The other ways out of a lead free no
//!   voter, so they need not wait for the guard: after "no quorum" the entry's end less the margin has passed; after
//!   "outdone" the member keeps its own vote until the lease ends, and a promise to the other leader is in its row
//!   before it is given. An entry that outlives them by mistake resumes a lease that is valid all the same.
//! - *Time is left.* The end lies more than the margin ahead, so that there is time to give up again.
//! - *The process acts by this entry.* The entry belongs to one process, and it is the one that the service adopts. A
//!   process of another group, or one that is to be stopped, is not led on.
//! - *No late answer extends the lease.* Requests are numbered from incarnation · 2^32, and no incarnation is used twice;
//!   a yes counts only for a request of this life, to the same step, in the same term. So every yes that counts was
//!   given after the request left that the lease is reckoned from.
//! - *The electorate is the one that voters were told.* A list is on the leader's disk before it is told or counted by.
//!   The list of a victory follows from the row with the vote, so it is put down again as it was.
//! - *The leader is bound to no other member.* When it won, no promise of its own was left; while it leads it gives none.
//!   So it needs no wait like other restarted voters, neither to lead on nor to vote for its successor.
//! - *Fitness that is not known yet is no unfitness.* This concerns E6 alone: otherwise each restart would hand over.
//! - *The voters can be reached.* This concerns E6 alone, too. The records of the electorate's members go to the disk with
//!   the row, in one transaction, so a leader whose other records were lost knows where to ask; a voter answers at the
//!   address that the request came from, which it learns by the request. An address is never an argument: a voter is
//!   counted by the id that it answers with, whichever member has the address now, and by its answer to this request.
//!
//! After a term was raised, the service renders the new term only when its guard has confirmed the new entry. Until then
//! a resumption leads the old one, which no other member can have won.
//!
//! *E6, leading survives what is planned and what is quick.* A restart of the supervisor: as above, if it is back before
//! the entry's end less the margin (1.2 seconds at the least with the timings of a local network, of which a renewal
//! period may be used up already), its disk is the one that it had, and a quorum answers within the rest. A restart of the
//! service: no voter notices, because the leader goes on to renew; `service` bounds it. An ordered stop: the service
//! drains and ends as the leader, and the release follows when its tree is empty; the successor begins to vote one way
//! later, so it costs a round trip and two syncs in which no member leads. All three assume what E2 assumes, and that
//! guards hold their entries in memory only.
//!
//! *E4, in bounded time.* With a majority of the seats connected and no further faults: the last promise runs out
//! within 1.1 / 0.9 of a lease, a round of asking follows within `election_backoff_ms_max`, and takes a window and
//! four datagrams. With the timings of a local network that is at most 2.4 + 4 + 1 seconds, 2.6 as a rule. A member that
//! has just used terms in vain waits for its next one within the same `election_backoff_ms_max`.
//!
//! # What this assumes
//!
//! - Clocks run within ten per cent of true time and do not jump ahead of it. A host that is suspended as a whole stops
//!   its clock, its service and its launcher together; every request that the service still makes when it wakes carries
//!   an old term, and the term is a fencing token: a store that the leader writes to refuses a lower one.
//! - A disk keeps what was synced. A disk that goes back in time (a backup), or one that runs twice (a copy), votes
//!   twice. A member that notices it, by a term that was won in its name or by a voter that is bound to its namesake,
//!   stands back for a while and says so; that limits the harm and does not restore the promise.
//! - A virtual machine's snapshot with its memory brings a guard, its entry and its process back together, with a clock
//!   that has not moved: the entry is as good as it was, and its voters are free long since. Nothing inside the machine
//!   can tell. The term is the fencing token there, too.
//! - A banned member is gone. A ban of members that live on, beyond a partition, founds a second group.
//! - The members that found an electorate have heard of each other. Two halves of a group that never met found one
//!   each; when they meet the greater (term, id) prevails and the other half joins. `--quorum N` with the number of
//!   members that the group is to have excludes that: neither half reaches a majority of N.

mod candidate;
mod double;
mod electorate;
mod instance;
mod leader;
mod pace;
mod resume;
mod show;
#[cfg(test)]
mod tests;
mod voter;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

pub(crate) use electorate::{Roll, SIZE_MIN};

use crate::model::ballot::Message;
use crate::model::config::{Config, Timings};
use crate::model::context::{Context, Follows, earliest};
use crate::model::election::{ElectionId, ElectionPurpose, ElectionView, Fitness, Role};
use crate::model::id::{Incarnation, MemberId, ServiceGroup};
use crate::model::io::WakeReason;
use crate::model::limits::{ELECTIONS_MAX, LEASE_MS_MAX, Limit};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::row::Write;
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;
use crate::store::vote::Vote;
use instance::Instance;

/// Largest difference between a host's clock and true time that the promises bear, in per cent.
const CLOCK_RATE_PERCENT: u64 = 10;
/// A member that asked who speaks has the answer by then on most networks.
const SAID_AGAIN: Duration = Duration::from_millis(20);

/// Requests of one life are numbered in so many bits; the incarnation stands above them.
const ROUNDS_BITS: u32 = 32;

/// How long a leader counts on its lease, in nanoseconds of its own clock.
fn lease(lease_ms: u64, planted: Planted) -> Duration {
    let percent = if planted.has(Bug::ClockRatesIgnored) { 100 } else { 100 - CLOCK_RATE_PERCENT };
    Duration::from_micros(lease_ms.saturating_mul(10).saturating_mul(percent))
}

/// How long a voter keeps a promise, in nanoseconds of its own clock.
fn promise(lease_ms: u64, planted: Planted) -> Duration {
    let percent = if planted.has(Bug::ClockRatesIgnored) { 100 } else { 100 + CLOCK_RATE_PERCENT };
    // A nanosecond more, so that rounding cannot make the two meet.
    Duration::from_micros(lease_ms.saturating_mul(10).saturating_mul(percent)) + Duration::from_nanos(1)
}

/// The events of elections for the node.
#[derive(Debug)]
pub(crate) enum ElectionsEvent {
    /// Send a datagram to a member.
    Send { to: MemberId, message: Message },
    /// Store a row so that it survives a crash, and say so with [`Elections::handle_stored`].
    Store { election: ElectionId, write: Write },
    /// This member's role in the election changed.
    Role { election: ElectionId, role: Role, after: Follows },
    /// This member is to stop acting as the winner; the node says with [`Elections::handle_demoted`] that it has.
    Yield { election: ElectionId },
    /// The node is to tell the ring this outcome.
    Tell { outcome: ElectionRumor, after: Follows },
}

/// The tools that every step of an election may use.
pub(super) struct Env<'a, 'c> {
    ctx: &'a mut Context<'c>,
    me: MemberId,
    timings: &'a Timings,
    planted: Planted,
    rng: &'a mut Rng,
    /// Where another supervisor uses this member's identity.
    copy: Option<SocketAddr>,
    events: &'a mut VecDeque<ElectionsEvent>,
}

impl Env<'_, '_> {
    /// A random wait of at most this many milliseconds.
    fn jitter(&mut self, ms: u64) -> Duration {
        Duration::from_millis(self.rng.below(ms.max(1)))
    }
}

/// The elections that this member takes part in.
#[derive(Debug)]
pub(crate) struct Elections {
    me: MemberId,
    /// The number before the first request of this life, in each election.
    rounds: u64,
    timings: Timings,
    planted: Planted,
    rng: Rng,
    copy: Option<SocketAddr>,
    instances: BTreeMap<ElectionId, Instance>,
    events: VecDeque<ElectionsEvent>,
}

/// Lends an election what it needs beside itself.
macro_rules! env {
    ($elections:ident, $ctx:ident) => {
        &mut Env {
            ctx: $ctx,
            me: $elections.me,
            timings: &$elections.timings,
            planted: $elections.planted,
            rng: &mut $elections.rng,
            copy: $elections.copy,
            events: &mut $elections.events,
        }
    };
}

impl Elections {
    /// Continues from the rows that the disk remembers.
    pub(crate) fn new(
        config: &Config,
        me: MemberId,
        incarnation: Incarnation,
        restored: Vec<(ElectionId, Vote)>,
        rng: Rng,
        now: Instant,
    ) -> Self {
        let planted = config.planted;
        // A request of this life has another number than every request of an earlier one, whose answers may still come.
        let rounds = if planted.has(Bug::RoundsRestart) { 0 } else { incarnation.0 << ROUNDS_BITS };
        let mut instances = BTreeMap::new();
        for (id, vote) in restored {
            instances.insert(id.clone(), Instance::restored(id, vote, rounds, now, planted));
        }
        let timings = config.timings.clone();
        assert!(timings.lease_margin_ms < timings.lease_ms, "a leader gives up before its lease ends");
        assert!(timings.lease_renew_ms < timings.lease_ms, "a lease is renewed before it ends");
        assert!(timings.lease_ms <= LEASE_MS_MAX, "no lease is longer than the longest promise");
        Self { me, rounds, timings, planted, rng, copy: None, instances, events: VecDeque::new() }
    }

    /// Another supervisor uses this member's identity at this address, by the ring; none: not, or no longer. It says why
    /// an election has no result; votes do not depend on it.
    pub(crate) fn handle_copy(&mut self, ctx: &mut Context<'_>, copy: Option<SocketAddr>) {
        if core::mem::replace(&mut self.copy, copy) != copy {
            for instance in self.instances.values_mut() {
                instance.update_role(env!(self, ctx));
            }
        }
    }

    /// This member stands in an election with this fitness; none: it does not stand, or no longer.
    pub(crate) fn handle_fitness(
        &mut self,
        ctx: &mut Context<'_>,
        id: &ElectionId,
        fitness: Option<Fitness>,
    ) {
        if !self.instances.contains_key(id) {
            if fitness.is_none() {
                return;
            }
            if self.instances.len() >= ELECTIONS_MAX {
                // A vote is never forgotten, so there is no room to make.
                ctx.limit_reached(Limit::Elections);
                return;
            }
            self.instances.insert(id.clone(), Instance::new(id.clone(), self.rounds, ctx.now));
        }
        assert!(self.instances.len() <= ELECTIONS_MAX, "more elections than the limit");
        if let Some(instance) = self.instances.get_mut(id) {
            instance.handle_fitness(env!(self, ctx), fitness);
        }
    }

    /// The guard of this member's process in the group holds the right to go on leading this term until then; the node
    /// has checked that it is this member's, and the process's. Before anything else of this life reaches the election.
    pub(crate) fn handle_resume(
        &mut self,
        ctx: &mut Context<'_>,
        id: &ElectionId,
        term: u64,
        until: Instant,
    ) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.handle_resume(env!(self, ctx), term, until);
        }
    }

    /// The members that take part, by the ring's rumors.
    pub(crate) fn handle_roll(&mut self, ctx: &mut Context<'_>, id: &ElectionId, roll: Roll) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.handle_roll(env!(self, ctx), roll);
        }
    }

    /// A datagram from a member. This member does not answer about elections that it never took part in.
    pub(crate) fn handle_message(&mut self, ctx: &mut Context<'_>, from: MemberId, message: Message) {
        if let Some(instance) = self.instances.get_mut(&message.election) {
            instance.handle_message(env!(self, ctx), from, message);
        }
    }

    /// The ring knows this outcome.
    pub(crate) fn handle_outcome(&mut self, ctx: &mut Context<'_>, rumor: &ElectionRumor) {
        if let Some(instance) = self.instances.get_mut(&rumor.election) {
            instance.handle_outcome(env!(self, ctx), rumor);
        }
    }

    /// After [`ElectionsEvent::Yield`]: this member acts as the winner no longer.
    pub(crate) fn handle_demoted(&mut self, ctx: &mut Context<'_>, id: &ElectionId) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.handle_demoted(env!(self, ctx));
        }
    }

    /// An operator lets this member hand over. False where it has no lead.
    pub(crate) fn handle_order(&mut self, ctx: &mut Context<'_>, id: &ElectionId) -> bool {
        let instance = self.instances.get_mut(id);
        instance.is_some_and(|instance| instance.handle_order(env!(self, ctx)))
    }

    /// The row is on disk, or could not be stored.
    pub(crate) fn handle_stored(&mut self, ctx: &mut Context<'_>, id: &ElectionId, stored: bool) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.handle_stored(env!(self, ctx), stored);
        }
    }

    /// A member has asked who this one is, so it did not hear this member's last steps: voters are told them again once
    /// the answer is there. A leader that was started again just before its lease ends has no time for another turn.
    pub(crate) fn handle_asked(&mut self, now: Instant) {
        for instance in self.instances.values_mut() {
            instance.say_again(now + mutated!(AskedAndSilent, SAID_AGAIN, Duration::from_secs(3_600)));
        }
    }

    /// Runs every timer that is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        for instance in self.instances.values_mut() {
            if instance.poll_timeout() <= ctx.now {
                instance.handle_timeout(env!(self, ctx));
            }
        }
    }

    /// The earliest deadline; none while only a message, a rumor or the disk can move an election.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest(self.instances.values().map(|instance| (instance.poll_timeout(), WakeReason::Election)))
    }

    /// The next event; none when all are taken.
    pub(crate) fn poll_event(&mut self) -> Option<ElectionsEvent> {
        self.events.pop_front()
    }

    /// The elections of a group that this member takes part in, or once did.
    pub(crate) fn of_group(&self, group: &ServiceGroup) -> impl Iterator<Item = &ElectionId> {
        let id = |purpose| ElectionId { group: group.clone(), purpose };
        let [first, .., last] = ElectionPurpose::ALL;
        self.instances.range(id(first)..=id(last)).map(|(id, _)| id)
    }

    /// All elections that this member takes part in, or once did, in order of group and purpose.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ElectionId> {
        self.instances.keys()
    }

    /// The latest electorate of an election that this member knows.
    pub(crate) fn electorate(&self, id: &ElectionId) -> &[MemberId] {
        self.instances.get(id).map_or(&[], |instance| instance.vote.electorate.members.as_slice())
    }

    /// Each election that this member takes part in as it stands, in order of group and purpose.
    pub(crate) fn views(&self, now: Instant) -> Vec<ElectionView> {
        self.instances.values().filter_map(|instance| instance.view(self.me, now)).collect()
    }

    /// The elections that this member has won, with term and end of the lease.
    pub(crate) fn leads(&self) -> impl Iterator<Item = (&ElectionId, u64, Instant)> {
        self.instances.iter().filter_map(|(id, instance)| {
            let (term, until) = instance.leads()?;
            Some((id, term, until))
        })
    }

    /// Asserts the invariants of every election after every input.
    pub(crate) fn check_invariants(&self) {
        assert!(self.instances.len() <= ELECTIONS_MAX, "more elections than the limit");
        for instance in self.instances.values() {
            instance.check_invariants();
        }
    }
}
