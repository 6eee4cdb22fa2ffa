//! The voter: it answers candidates and leaders, votes once in a term, and keeps its promises. It may not vote for a
//! second candidate of a term, nor for another member while a promise lasts.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::instance::{Instance, Stance};
use super::{ElectionsEvent, Env, promise};
use crate::model::ballot::{Electorate, Step, Verdict};
use crate::model::election::ElectionEvent;
use crate::model::id::{EventId, MemberId};
use crate::model::limits::{ASKS_MAX, ELECTION_TERM_MAX, LEASE_MS_MAX, Limit};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;

/// A voter that knows of a leader elsewhere founds no electorate; the candidate tries again after this, in
/// milliseconds.
const FOUNDED_ELSEWHERE_MS: u64 = 500;

/// The last part of a promise, in per cent of the lease, in which its holder may have stopped leading and ask again. It
/// counts on 90 per cent from an earlier moment, by a clock that differs, and 110 are promised. Two renewals fit before.
const TRAIL_PERCENT: u64 = 70;

/// "I vote for no other candidate until then."
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) to: MemberId,
    /// The term in which it was given; only a release by its holder in the same term ends it.
    pub(super) term: u64,
    pub(super) until: Instant,
    /// A leader that was promised this does not ask before: until then it counts on its lease, by whatever clock.
    pub(super) leads_until: Instant,
    pub(super) event: Option<EventId>,
}

/// The candidates that ask, until the wait for better ones is over.
#[derive(Debug)]
pub(super) struct Ballot {
    pub(super) close_at: Instant,
    asks: BTreeMap<MemberId, Ask>,
}

#[derive(Debug)]
struct Ask {
    round: u64,
    suitability: u64,
    electorate: Electorate,
}

impl Instance {
    /// "Would you vote for me?"
    pub(super) fn on_ask(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        suitability: u64,
        electorate: &Electorate,
    ) {
        let now = env.ctx.now;
        let favoured = self.favoured.filter(|(_, until)| *until > now).map(|(id, _)| id);
        let leads = self.promise.as_ref().filter(|p| p.to == from);
        let leads = leads.filter(|p| mutated!(CopyIsAnswered, now < p.leads_until, false));
        if leads.is_some() && from != env.me {
            // The leader does not ask: this is a copy of it, or it lost its memory and not yet its lease.
            return self.reply(env, from, round, Step::Ask, Verdict::Better { candidate: from });
        }
        let objection = self.objection(env, &from, electorate).or_else(|| match favoured {
            _ if term <= self.vote.term => Some(Verdict::Stale),
            Some(candidate) if candidate != from => Some(Verdict::Better { candidate }),
            _ => None,
        });
        if let Some(verdict) = objection {
            return self.reply(env, from, round, Step::Ask, verdict);
        }
        let close_at = now + Duration::from_millis(env.timings.election_window_ms);
        let is_first = self.ballot.is_none();
        let ballot = self.ballot.get_or_insert_with(|| Ballot { close_at, asks: BTreeMap::new() });
        if ballot.asks.len() < ASKS_MAX || ballot.asks.contains_key(&from) {
            ballot.asks.insert(from, Ask { round, suitability, electorate: electorate.clone() });
        }
        assert!(ballot.asks.len() <= ASKS_MAX, "more candidates than the limit");
        let is_better = (self.voter().suitability, env.me) > (suitability, from);
        if mutated!(BetterStaysSilent, from != env.me, false) && is_better {
            self.ask_too(env, is_first);
        }
    }

    /// A member that would lead better than one that asks does not wait for its own turn: it asks while the voters still
    /// wait for better candidates. Otherwise the first to ask in a second round would win it.
    fn ask_too(&mut self, env: &mut Env<'_, '_>, is_first: bool) {
        if !self.may_ask() || env.ctx.now < self.ready_at {
            return;
        }
        match &self.stance {
            Stance::Idle => self.begin_asking(env),
            // Its own round is an earlier one: voters have answered it already.
            Stance::Campaigning(campaign) if campaign.step == Step::Ask && is_first => self.begin_asking(env),
            Stance::Campaigning(_) | Stance::Leading(_) => {}
        }
    }

    /// The wait is over: the voter says yes to the best candidate, and to no other for a while.
    pub(super) fn close_ballot(&mut self, env: &mut Env<'_, '_>) {
        let Some(ballot) = self.ballot.take() else { return };
        let best = ballot
            .asks
            .iter()
            .max_by_key(|(id, ask)| {
                mutated!(BallotForTheFirst, (ask.suitability, **id), (u64::MAX - ask.suitability, **id))
            })
            .map(|(id, _)| *id);
        let Some(best) = best else { return };
        assert!(ballot.asks.len() <= ASKS_MAX, "more candidates than the limit");
        for (from, ask) in ballot.asks {
            let objection = self.objection(env, &from, &ask.electorate);
            let verdict = objection.unwrap_or_else(|| {
                if from == best { Verdict::Yes } else { Verdict::Better { candidate: best } }
            });
            if verdict == Verdict::Yes {
                let hold = Duration::from_millis(env.timings.election_answer_ms);
                self.favoured = mutated!(FavouredForgotten, Some((best, env.ctx.now + hold)), None);
            }
            self.reply(env, from, ask.round, Step::Ask, verdict);
        }
    }

    /// Answers another member, or this member's own candidacy.
    fn reply(&mut self, env: &mut Env<'_, '_>, to: MemberId, round: u64, step: Step, verdict: Verdict) {
        if to == env.me {
            let (term, voter) = (self.vote.term, self.voter());
            self.on_answer(env, to, (term, round), step, verdict, voter);
        } else {
            let message = self.answer(round, step, verdict);
            env.events.push_back(ElectionsEvent::Send { to, message });
        }
    }

    /// "Vote for me."
    pub(super) fn on_vote(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        lease_ms: u64,
        electorate: &Electorate,
    ) {
        if lease_ms > LEASE_MS_MAX || term > ELECTION_TERM_MAX {
            env.ctx.limit_reached(Limit::ElectionTermsAndLeases);
            return;
        }
        let given = term == self.vote.term && self.vote.candidate != Some(from);
        let given = given && !env.planted.has(Bug::VotesTwice);
        let objection = self
            .objection(env, &from, electorate)
            .or_else(|| (term < self.vote.term || given).then_some(Verdict::Stale));
        if let Some(verdict) = objection {
            return self.reply(env, from, round, Step::Vote, verdict);
        }
        let again = term == self.vote.term && self.vote.candidate == Some(from);
        let is_free = again || term > self.vote.term || env.planted.has(Bug::VotesTwice);
        assert!(is_free, "one vote in each term");
        assert!(!matches!(self.stance, Stance::Leading(_)), "a leader votes for itself");
        self.vote.term = term;
        self.vote.candidate = Some(from);
        self.note_proposal(term, from, electorate);
        let changed = self.install(electorate) | !again | self.note_lease(lease_ms);
        if !again {
            self.report(env, term, ElectionEvent::Voted { candidate: from });
        }
        self.bind(env, from, term, lease_ms, false);
        let message = self.answer(round, Step::Vote, Verdict::Yes);
        self.send_stored(env, from, message, changed);
    }

    /// "I lead."
    pub(super) fn on_renew(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        lease_ms: u64,
        electorate: &Electorate,
    ) {
        if lease_ms > LEASE_MS_MAX || term > ELECTION_TERM_MAX {
            env.ctx.limit_reached(Limit::ElectionTermsAndLeases);
            return;
        }
        if term < self.vote.term {
            return self.reply(env, from, round, Step::Renew, Verdict::Stale);
        }
        let is_over = self.outcome.as_ref().is_some_and(|o| o.ended && (o.term, o.leader) == (term, from));
        if mutated!(LateRenewalBinds, is_over, false) {
            // A late request of a leader that has freed its voters since: it would bind this one once more.
            return;
        }
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: from, ended: false };
        self.learn_outcome(env, outcome);
        if matches!(self.stance, Stance::Leading(_)) {
            // This member leads in the same term and prevails: the two lead halves of a group that never met.
            return self.reply(env, from, round, Step::Renew, Verdict::Stale);
        }
        if self.holds_another_leader(&from, term) {
            // A term has one winner, and this voter was told of another: by a stranger in a member's name, or halves that
            // never met have both elected. The leader that lives goes on in a later term, without a pause.
            return self.reply(env, from, round, Step::Renew, Verdict::Stale);
        }
        let own = self.vote.candidate == Some(env.me);
        let raised = self.is_unwritten(term) || own;
        assert!(raised || term == self.vote.term, "a later term than the own one is on no disk");
        if raised {
            // That leader won the term: this voter takes the term over without a vote, and may not vote in it any more.
            // A row with its own name would let it resume a lease of its own.
            self.vote.term = term;
            self.vote.candidate = None;
        }
        assert!(self.vote.term == term, "a voter follows the leader's term");
        let changed =
            self.install(electorate) | mutated!(RenewalNotStored, raised, false) | self.note_lease(lease_ms);
        self.failures = 0;
        self.searching = false;
        self.bind(env, from, term, lease_ms, true);
        let message = self.answer(round, Step::Renew, Verdict::Yes);
        self.send_stored(env, from, message, changed);
    }

    /// Whether another member is held to lead in this term, and is not the one that this voter is bound to.
    fn holds_another_leader(&self, from: &MemberId, term: u64) -> bool {
        let other = self.outcome.as_ref().filter(|o| o.term == term && o.leader != *from && !o.ended);
        let bound_to = self.promise.as_ref().map(|promise| promise.to);
        other.is_some_and(|other| self.vote.term == term && bound_to != Some(other.leader))
    }

    /// Notes the longest lease ever promised: a restarted voter has to wait for it.
    pub(super) fn note_lease(&mut self, lease_ms: u64) -> bool {
        let longer = lease_ms > self.vote.lease_ms;
        self.vote.lease_ms = mutated!(LongestLeaseForgotten, self.vote.lease_ms.max(lease_ms), lease_ms);
        assert!(self.vote.lease_ms <= LEASE_MS_MAX, "a lease has a limit");
        longer
    }

    /// From now on this voter votes for no other candidate, for as long as a lease lasts by any clock.
    fn bind(&mut self, env: &mut Env<'_, '_>, to: MemberId, term: u64, lease_ms: u64, leads: bool) {
        let until = env.ctx.now + promise(lease_ms, env.planted);
        // An answer to an old request must not shorten the promise to a later one.
        let held = self.promise.as_ref().filter(|p| p.to == to && p.term == term).map(|p| p.until);
        let until = held.map_or(until, |held| mutated!(PromiseShortened, held.max(until), held.min(until)));
        assert!(held.is_none_or(|held| until >= held), "a promise is never shortened");
        assert!(!matches!(self.stance, Stance::Leading(_)), "a leader has promised no other member its vote");
        let trail = Duration::from_millis(lease_ms.saturating_mul(TRAIL_PERCENT) / 100);
        let leads_until = if leads { until - trail } else { env.ctx.now };
        assert!(until > env.ctx.now, "a promise lasts");
        assert!(leads_until <= until, "a leader counts on no more than what it was promised");
        self.promise = Some(Promise { to, term, until, leads_until, event: self.cause });
        self.stop_campaign();
        if self.ballot.is_some() {
            self.close_ballot(env);
        }
    }

    /// "I lead no longer."
    pub(super) fn on_release(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        term: u64,
        successor: Option<MemberId>,
    ) {
        if self
            .promise
            .as_ref()
            .is_some_and(|p| p.to == from && mutated!(ReleaseOfAnyTerm, p.term == term, true))
        {
            self.promise = None;
        }
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: from, ended: true };
        if self.outcome.as_ref().is_none_or(|o| (o.term, o.leader) == (term, from) && !o.ended) {
            mutated!(ReleaseNotLearned, self.learn_outcome(env, outcome), drop(outcome));
        }
        let now = env.ctx.now;
        assert!(
            self.promise.as_ref().is_none_or(|p| (p.to, p.term) != (from, term)),
            "a leader that released its voters binds none"
        );
        let turn = Duration::from_millis(env.timings.election_answer_ms);
        match successor {
            Some(successor) if successor == env.me => {
                let is_free = self.pace.next_at().max(self.double.quiet_until()) <= now;
                if self.may_ask() && is_free && matches!(self.stance, Stance::Idle) {
                    self.favoured = None;
                    self.begin_voting(env);
                }
            }
            Some(successor) => {
                self.favoured = mutated!(SuccessorNotFavoured, Some((successor, now + turn)), None);
                self.ask_at(mutated!(SuccessorNotFavoured, now + turn, now));
            }
            None => {
                let wait = env.jitter(env.timings.election_window_ms);
                self.ask_at(now + wait);
            }
        }
    }

    /// Why this voter cannot vote for a candidate, however suitable the candidate is.
    fn objection(&self, env: &Env<'_, '_>, from: &MemberId, electorate: &Electorate) -> Option<Verdict> {
        let now = env.ctx.now;
        let wait = |until: Instant| {
            let left = until.saturating_since(now);
            Some(Verdict::Wait {
                left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1),
            })
        };
        let own = &self.vote.electorate;
        if own.is_founded() && mutated!(OlderListAccepted, own > electorate, false) {
            // This reason comes before all others, so that no candidate founds a second electorate beside the known
            // one.
            return Some(Verdict::Outdated { electorate: own.clone() });
        }
        if now < self.ready_at.max(self.double.quiet_until()) {
            return wait(self.ready_at.max(self.double.quiet_until()));
        }
        if let Stance::Leading(leading) = &self.stance {
            return wait(leading.lease_until.max(now));
        }
        let bound = self.promise.as_ref().filter(|p| p.to != *from && p.until > now);
        if let Some(promise) = bound.filter(|_| !env.planted.has(Bug::PromiseIgnored)) {
            return wait(promise.until);
        }
        if electorate.is_founded() {
            return None;
        }
        // A group with a leader has an electorate, which the leader will tell; so this voter helps to found no second
        // one.
        let led = self.outcome.as_ref().filter(|o| !o.ended && self.roll.members.contains_key(&o.leader));
        if mutated!(SecondElectorate, led.is_some_and(|o| o.leader != *from), false) {
            return wait(now + Duration::from_millis(FOUNDED_ELSEWHERE_MS));
        }
        let known = self.proposal(env.me).members;
        let union = Electorate::proposal(electorate.members.iter().copied().chain(known));
        let missing = union.members.into_iter().filter(|id| !electorate.contains(id));
        let members: alloc::vec::Vec<MemberId> = missing.collect();
        mutated!(MissingNotNamed, !members.is_empty(), false).then_some(Verdict::Missing { members })
    }
}
