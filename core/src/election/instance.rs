//! One election at one member: its knowledge, its promises, and its role as voter, candidate or leader. No message that
//! rests on a decision may leave before the disk holds the decision.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::candidate::Campaign;
use super::double::Double;
use super::electorate::{Count, SIZE_MIN};
use super::leader::Leading;
use super::pace::Pace;
use super::voter::{Ballot, Promise};
use super::{ElectionsEvent, Env, Roll, promise};
use crate::model::ballot::{Body, Electorate, Message, Step, Verdict, Voter};
use crate::model::context::Follows;
use crate::model::election::{ElectionEvent, ElectionId, Fitness, Readiness, Role};
use crate::model::event::EventKind;
use crate::model::id::{EventId, MemberId};
use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_MAX, Limit};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::reach;
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;
use crate::store::vote::{self, Vote};

/// Wait before a row that could not be stored is stored again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The role of a member in an election.
#[derive(Debug)]
pub(super) enum Stance {
    /// It waits: for a leader, for its turn, for members.
    Idle,
    /// It asks for, or collects, votes.
    Campaigning(Campaign),
    /// It leads.
    Leading(Leading),
}

/// A step that waits for the disk.
#[derive(Debug)]
pub(super) enum After {
    /// A message that must not leave before the row is stored.
    Send { to: MemberId, message: Message },
    /// This member's own vote in its round.
    OwnVote { round: u64 },
    /// The leader's own copy of the electorate that it put down.
    OwnElectorate { stamp: (u64, u64) },
}

/// The row's way to the disk: one write at a time, so that an older row never replaces a newer one.
#[derive(Debug, Default)]
struct Storing {
    in_flight: bool,
    /// The steps that the write in flight covers.
    now: Vec<After>,
    /// The steps that need another write.
    next: Vec<After>,
    again: bool,
    retry_at: Option<Instant>,
    /// The term of the last row that went to the disk.
    term: u64,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: ElectionId,
    pub(super) vote: Vote,
    /// How well this member would do if it won; none while it does not stand.
    pub(super) fitness: Option<Fitness>,
    pub(super) roll: Roll,
    /// The time of the last change of the roll.
    pub(super) roll_at: Instant,
    /// The end of the promise that a restarted voter may have given before.
    pub(super) ready_at: Instant,
    pub(super) promise: Option<Promise>,
    /// The latest result that this member knows.
    pub(super) outcome: Option<ElectionRumor>,
    pub(super) stance: Stance,
    pub(super) ballot: Option<Ballot>,
    /// The candidate that this voter said yes to, and until when it says so to no other.
    pub(super) favoured: Option<(MemberId, Instant)>,
    pub(super) next_ask_at: Instant,
    /// Rounds in a row that too few voters answered.
    pub(super) failures: u32,
    /// Members that voters named and rumors have not brought yet.
    pub(super) learned: BTreeSet<MemberId>,
    pub(super) round: u64,
    /// The event that the present search for a leader follows from.
    pub(super) cause: Option<EventId>,
    /// Whether the present search has been reported.
    pub(super) searching: bool,
    storing: Storing,
    pub(super) role: Option<Role>,
    /// How soon this member may use another new term.
    pub(super) pace: Pace,
    /// What speaks for a second supervisor with this member's identity.
    pub(super) double: Double,
    /// The candidate that this voter voted for with a proposed electorate, and the term. If that candidate wins the
    /// term it has founded this electorate, and it may be gone before it could tell the voters.
    pub(super) founder: Option<(u64, MemberId)>,
}

impl Instance {
    /// `rounds` is the number before this member's first request of this life.
    pub(super) fn new(id: ElectionId, rounds: u64, now: Instant) -> Self {
        Self {
            id,
            vote: Vote::default(),
            fitness: None,
            roll: Roll { size_min: SIZE_MIN, ..Roll::default() },
            roll_at: now,
            ready_at: now,
            promise: None,
            outcome: None,
            stance: Stance::Idle,
            ballot: None,
            favoured: None,
            next_ask_at: now,
            failures: 0,
            learned: BTreeSet::new(),
            round: rounds,
            cause: None,
            searching: false,
            storing: Storing::default(),
            role: None,
            pace: Pace::default(),
            double: Double::default(),
            founder: None,
        }
    }

    /// An election of the last life: the voter keeps every promise that it gave then.
    pub(super) fn restored(
        id: ElectionId,
        mut vote: Vote,
        rounds: u64,
        now: Instant,
        planted: Planted,
    ) -> Self {
        let mut wait = promise(vote.lease_ms, planted);
        if planted.has(Bug::NoWaitAfterRestart) {
            wait = Duration::ZERO;
        }
        if planted.has(Bug::VoteForgotten) {
            vote = Vote { electorate: vote.electorate, ..Vote::default() };
        }
        let ready_at = now + wait;
        assert!(vote.electorate.members.len() <= ELECTORATE_MAX, "a stored electorate was within its limit");
        assert!(ready_at >= now, "a promise of the last life is not over before this one begins");
        let founder = vote.candidate.filter(|_| !vote.electorate.is_founded()).map(|who| (vote.term, who));
        let storing = Storing { term: vote.term, ..Storing::default() };
        Self { ready_at, next_ask_at: ready_at, vote, founder, storing, ..Self::new(id, rounds, now) }
    }

    pub(super) fn handle_fitness(&mut self, env: &mut Env<'_, '_>, fitness: Option<Fitness>) {
        let came = self.fitness.is_none() && fitness.is_some();
        self.fitness = fitness;
        if came {
            self.role = None;
            self.cause = self.cause.or(env.ctx.after.event());
            self.ask_at(env.ctx.now);
        }
        self.stop_asking();
        let is_campaigning = matches!(self.stance, Stance::Campaigning(_));
        assert!(
            self.fitness.is_some() || !is_campaigning,
            "a member that runs no service of the group is no candidate"
        );
        self.reconsider_leading(env);
        self.update_role(env);
    }

    pub(super) fn handle_roll(&mut self, env: &mut Env<'_, '_>, roll: Roll) {
        if self.roll == roll {
            return;
        }
        assert!(roll.size_min > 0, "an electorate has a seat");
        assert!(
            !roll.gone.iter().any(|id| roll.members.contains_key(id)),
            "a member that is gone is in no roll"
        );
        let enough = |roll: &Roll| roll.members.len() >= roll.size_min as usize;
        let alive = |roll: &Roll| roll.members.values().filter(|alive| **alive).count();
        let (could, can) = (enough(&self.roll), enough(&roll));
        let more = alive(&roll) > alive(&self.roll) || roll.banned != self.roll.banned;
        let leads =
            |roll: &Roll| self.outcome.as_ref().is_some_and(|o| roll.members.get(&o.leader) == Some(&true));
        if leads(&self.roll) && !leads(&roll) {
            // Later events follow from the leader's end rather than from its election.
            self.cause = env.ctx.after.event().or(self.cause);
        }
        self.roll = roll;
        self.roll_at = env.ctx.now;
        self.stop_asking();
        self.expect_change(env);
        if mutated!(ComersWait, can && (!could || more), can && !could) {
            // A member came or came back: the next round may succeed. A short wait lets other members come too.
            self.failures = 0;
            let settle = Duration::from_millis(env.timings.election_window_ms);
            let at = if could { self.next_ask_at.min(env.ctx.now + settle) } else { env.ctx.now + settle };
            self.ask_at(at);
        }
        self.reconsider_leading(env);
        self.update_role(env);
    }

    pub(super) fn handle_message(&mut self, env: &mut Env<'_, '_>, from: MemberId, message: Message) {
        let Message { term, round, body, .. } = message;
        if !self.believes(env, term, body.electorate()) {
            // No election has brought it there.
            env.ctx.limit_reached(Limit::ElectionTermsAndLeases);
            return;
        }
        match body {
            Body::Ask { suitability, electorate } => {
                self.on_ask(env, from, (term, round), suitability, &electorate);
            }
            Body::Vote { lease_ms, electorate } => {
                self.on_vote(env, from, (term, round), lease_ms, &electorate);
            }
            Body::Renew { lease_ms, electorate } => {
                self.on_renew(env, from, (term, round), lease_ms, &electorate);
            }
            Body::Answer { to, verdict, voter } => {
                self.on_answer(env, from, (term, round), to, verdict, voter);
            }
            Body::Release { successor } => self.on_release(env, from, term, successor),
        }
        self.update_role(env);
    }

    /// Whether what a message says leaves room above: its term, and the list of voters that it carries.
    fn believes(&self, env: &Env<'_, '_>, term: u64, electorate: Option<&Electorate>) -> bool {
        let held = &self.vote.electorate;
        let up_to = |number| reach::believed_up_to(number, env.ctx.wall);
        let is_list = |told: &Electorate| {
            told.term <= up_to(held.term.max(self.vote.term)) && told.version <= up_to(held.version)
        };
        term <= up_to(self.vote.term) && mutated!(ListsUnbounded, electorate.is_none_or(is_list), true)
    }

    pub(super) fn on_answer(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        to: Step,
        verdict: Verdict,
        voter: Voter,
    ) {
        match self.stance {
            Stance::Idle => {}
            Stance::Campaigning(_) => self.count_answer(env, from, (term, round), to, verdict, voter),
            Stance::Leading(_) => self.count_renewal(env, from, (term, round), to, verdict, voter),
        }
    }

    pub(super) fn handle_outcome(&mut self, env: &mut Env<'_, '_>, rumor: &ElectionRumor) {
        self.learn_outcome(env, rumor.clone());
        self.update_role(env);
    }

    /// Joins an outcome into the known one; a leader whose outcome does not prevail stops at once.
    pub(super) fn learn_outcome(&mut self, env: &mut Env<'_, '_>, rumor: ElectionRumor) {
        if rumor.leader == env.me && rumor.term > self.vote.term && rumor.term <= ELECTION_TERM_MAX {
            self.won_elsewhere(env, rumor.term);
        }
        let before = self.outcome.clone();
        match &mut self.outcome {
            Some(outcome) => {
                outcome.merge(&rumor);
            }
            None => self.outcome = Some(rumor),
        }
        if self.outcome == before {
            return;
        }
        let Some(outcome) = self.outcome.clone() else { return };
        self.found_with(env, &outcome);
        assert!(
            before.as_ref().is_none_or(|b| outcome.term >= b.term),
            "the term of an outcome never goes back"
        );
        let is_other = outcome.leader != env.me;
        let is_new = before.is_none_or(|b| (b.term, b.leader) != (outcome.term, outcome.leader));
        if is_new && is_other && !outcome.ended {
            let what = ElectionEvent::Learned { leader: outcome.leader };
            // The outcome came by a rumor or by the leader's own message, which is the input.
            let event = self.report_after(env, env.ctx.after, outcome.term, what);
            self.cause = Some(event);
            self.searching = false;
        }
        self.step_down_for(env, &outcome);
    }

    /// The time of the next step.
    pub(super) fn poll_timeout(&self) -> Instant {
        let far = Instant::FAR_FUTURE;
        let ballot = self.ballot.as_ref().map_or(far, |b| b.close_at);
        let promise = self.promise.as_ref().map_or(far, |p| p.until);
        let retry = self.storing.retry_at.unwrap_or(far);
        let stance = match &self.stance {
            Stance::Idle if self.may_ask() => self.next_ask_at.max(self.ready_at),
            Stance::Idle => far,
            Stance::Campaigning(campaign) => campaign.until.min(campaign.again_at),
            Stance::Leading(leading) => leading.due(self.fitness),
        };
        ballot.min(promise).min(retry).min(stance)
    }

    pub(super) fn handle_timeout(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        if self.promise.as_ref().is_some_and(|p| p.until <= now) {
            let ended = self.promise.take();
            // Where the ring has lost the leader, its death is the cause, and not that it led once.
            let is_lost = ended.as_ref().is_some_and(|p| self.roll.members.get(&p.to) != Some(&true));
            if !is_lost {
                self.cause = ended.and_then(|p| p.event).or(self.cause);
            }
            self.ask_at(now);
        }
        assert!(self.promise.as_ref().is_none_or(|p| p.until > now), "a promise that has run out is dropped");
        if self.storing.retry_at.is_some_and(|at| at <= now) {
            self.storing.retry_at = None;
            self.store(env, None);
        }
        if self.ballot.as_ref().is_some_and(|b| b.close_at <= now) {
            self.close_ballot(env);
        }
        match &self.stance {
            Stance::Idle => {
                if self.may_ask() && self.next_ask_at <= now && self.ready_at <= now {
                    self.begin_asking(env);
                }
            }
            Stance::Campaigning(campaign) if campaign.until <= now => self.campaign_failed(env),
            Stance::Campaigning(campaign) if campaign.again_at <= now => self.vote_again(env),
            Stance::Campaigning(_) => {}
            Stance::Leading(_) => self.lead_on(env),
        }
        self.update_role(env);
    }

    /// Reports a step that follows from the last one.
    pub(super) fn report(&mut self, env: &mut Env<'_, '_>, term: u64, what: ElectionEvent) {
        let event = self.report_after(env, self.cause.into(), term, what);
        self.cause = Some(event);
    }

    fn report_after(&self, env: &mut Env<'_, '_>, after: Follows, term: u64, what: ElectionEvent) -> EventId {
        env.ctx.event(after, EventKind::Election { election: self.id.clone(), term, what })
    }

    pub(super) fn ask_at(&mut self, at: Instant) {
        self.next_ask_at = at.max(self.ready_at).max(self.pace.next_at()).max(self.double.quiet_until());
        assert!(self.next_ask_at >= self.ready_at, "a restarted member keeps its old promises first");
    }

    /// The rule by which votes are counted now, for the known electorate or, without one, for the one to be founded.
    pub(super) fn count(&self, env: &Env<'_, '_>) -> (Electorate, Count) {
        let electorate = self.proposal(env.me);
        let count = Count::new(&electorate, &self.roll, env.planted);
        (electorate, count)
    }

    /// The electorate that counts: a leader's is the last one that its disk holds, because the next one is told to no
    /// voter before.
    pub(super) fn proposal(&self, me: MemberId) -> Electorate {
        if let Stance::Leading(leading) = &self.stance {
            return leading.electorate.clone();
        }
        if self.vote.electorate.is_founded() {
            return self.vote.electorate.clone();
        }
        let own = self.fitness.map(|_| me);
        Electorate::proposal(self.roll.members.keys().chain(&self.learned).copied().chain(own))
    }

    /// This voter's statement about itself.
    pub(super) fn voter(&self) -> Voter {
        let fitness = self.fitness.unwrap_or(Fitness { suitability: 0, readiness: Readiness::Unfit });
        Voter {
            is_member: self.fitness.is_some(),
            fit: fitness.is_fit(),
            suitability: fitness.suitability,
            electorate: self.vote.electorate.stamp(),
        }
    }

    pub(super) fn message(&self, term: u64, round: u64, body: Body) -> Message {
        Message { election: self.id.clone(), term, round, body }
    }

    pub(super) fn answer(&self, round: u64, to: Step, verdict: Verdict) -> Message {
        self.message(self.vote.term, round, Body::Answer { to, verdict, voter: self.voter() })
    }

    /// A vote for a candidate that would found this electorate.
    pub(super) fn note_proposal(&mut self, term: u64, candidate: MemberId, proposal: &Electorate) {
        if mutated!(ProposalNotNoted, !proposal.is_founded(), false) && !self.vote.electorate.is_founded() {
            self.vote.electorate = Electorate::proposal(proposal.members.iter().copied());
            assert!(self.vote.electorate.members.len() <= ELECTORATE_MAX, "more voters than the limit");
            self.founder = Some((term, candidate));
        }
    }

    /// The winner has founded the electorate in which this voter's vote was counted.
    pub(super) fn found_with(&mut self, env: &mut Env<'_, '_>, outcome: &ElectionRumor) {
        if self.vote.electorate.is_founded() || self.founder != Some((outcome.term, outcome.leader)) {
            return;
        }
        let members = core::mem::take(&mut self.vote.electorate.members);
        let is_installed = self.install(&Electorate { term: outcome.term, version: 1, members });
        assert!(is_installed, "the first electorate is later than none");
        self.store(env, None);
    }

    /// Takes in a later electorate.
    pub(super) fn install(&mut self, electorate: &Electorate) -> bool {
        let newer = electorate.is_founded()
            && *electorate > self.vote.electorate
            && electorate.members.len() <= ELECTORATE_MAX;
        if newer {
            self.vote.electorate = electorate.clone();
            self.founder = None;
            self.learned.clear();
        }
        assert!(!newer || self.vote.electorate.is_founded(), "an electorate that is taken in was founded");
        newer
    }

    /// Stores the row; the steps that rest on it follow when the disk has answered.
    pub(super) fn store(&mut self, env: &mut Env<'_, '_>, after: Option<After>) {
        if self.storing.in_flight {
            self.storing.again = true;
            self.storing.next.extend(after);
            return;
        }
        assert!(self.storing.next.is_empty(), "only behind a write that is under way another one waits");
        self.storing.now.extend(after);
        (self.storing.in_flight, self.storing.retry_at) = (true, None);
        self.storing.term = self.vote.term;
        let write = vote::store(&self.id, &self.vote);
        env.events.push_back(ElectionsEvent::Store { election: self.id.clone(), write });
    }

    /// Whether no row that went to the disk knows of this term: it is new, or this member has only heard that others use
    /// it.
    pub(super) const fn is_unwritten(&self, term: u64) -> bool {
        self.storing.term < term
    }

    /// Sends a message once the disk holds every decision that this voter has taken so far.
    pub(super) fn send_stored(
        &mut self,
        env: &mut Env<'_, '_>,
        to: MemberId,
        message: Message,
        changed: bool,
    ) {
        // A row that the disk refused is not there, also when nothing has changed since.
        let changed = changed || self.storing.retry_at.is_some();
        if env.planted.has(Bug::VoteBeforeStored) || (!changed && !self.storing.in_flight) {
            env.events.push_back(ElectionsEvent::Send { to, message });
            if changed {
                self.store(env, None);
            }
        } else if changed {
            self.store(env, Some(After::Send { to, message }));
        } else if self.storing.again {
            self.storing.next.push(After::Send { to, message });
        } else {
            self.storing.now.push(After::Send { to, message });
        }
    }

    pub(super) fn handle_stored(&mut self, env: &mut Env<'_, '_>, stored: bool) {
        assert!(self.storing.in_flight, "the disk answers only for a write");
        assert!(
            self.storing.next.is_empty() || self.storing.again,
            "steps that wait for a write have one to come"
        );
        let after = core::mem::take(&mut self.storing.now);
        let next = core::mem::take(&mut self.storing.next);
        self.storing.in_flight = false;
        if mutated!(FailedStoreCounts, !stored, false) {
            // The messages that waited are dropped; their askers ask again. The member's own steps wait for the next try.
            self.storing.now = last_own_steps(after.into_iter().chain(next));
            self.storing.again = false;
            self.storing.retry_at = mutated!(FailedStoreForgotten, Some(env.ctx.now + STORE_RETRY), None);
            return;
        }
        self.storing.now = next;
        if core::mem::take(&mut self.storing.again) {
            self.store(env, None);
        }
        for after in after {
            match after {
                After::Send { to, message } => env.events.push_back(ElectionsEvent::Send { to, message }),
                After::OwnVote { round } => self.count_own_vote(env, round),
                After::OwnElectorate { stamp } => self.own_row_stored(env, stamp),
            }
        }
        self.update_role(env);
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.vote.electorate.members.len() <= ELECTORATE_MAX, "more voters than the limit");
        assert!(self.vote.electorate.members.is_sorted(), "an electorate is in order");
        if let Stance::Leading(leading) = &self.stance {
            assert!(leading.term <= self.vote.term, "a leader took part in its own term");
        }
    }
}

/// Of the steps that waited for a write: the latest of each kind that the member waits for itself.
fn last_own_steps(steps: impl Iterator<Item = After>) -> Vec<After> {
    let (mut vote, mut electorate) = (None, None);
    for step in steps {
        match step {
            After::Send { .. } => {}
            After::OwnVote { .. } => vote = Some(step),
            After::OwnElectorate { .. } => electorate = Some(step),
        }
    }
    vote.into_iter().chain(electorate).collect()
}
