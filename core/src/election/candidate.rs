//! The candidate: it asks the voters whether they would vote for it, and only then for votes. It may not act as the
//! leader before a quorum has voted for it.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::electorate::Count;
use super::instance::{After, Instance, Stance};
use super::{ElectionsEvent, Env};
use crate::model::ballot::{Body, Electorate, Message, Step, Verdict, Voter};
use crate::model::election::{ElectionEvent, Fitness};
use crate::model::id::MemberId;
use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_MAX, Limit};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::time::Instant;

/// Rounds that are begun at once, because an answer named what the last one lacked.
const RESTARTS_MAX: u32 = 4;

/// The candidate asks for votes this often within the time of one answer.
const AGAIN: u32 = 4;

const _: () = assert!(AGAIN > 0 && RESTARTS_MAX > 0);

/// A round of asking, or of voting.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) step: Step,
    pub(super) round: u64,
    /// The term to be won.
    pub(super) term: u64,
    pub(super) sent: Instant,
    pub(super) until: Instant,
    /// The time at which voters without an answer are asked again: a request was lost, or came before a release did.
    pub(super) again_at: Instant,
    pub(super) electorate: Electorate,
    pub(super) votes: BTreeMap<MemberId, Voter>,
    /// Voters that are bound and until when, and voters that answered at all.
    waits: BTreeMap<MemberId, Instant>,
    heard: BTreeSet<MemberId>,
    count: Count,
    restarts: u32,
}

impl Instance {
    /// Whether this member may try to lead, once its time has come.
    pub(super) fn may_ask(&self) -> bool {
        // A restarted supervisor that does not know yet and a service that is not well stand back for those that are.
        let fit = mutated!(IllStands, self.fitness.is_some_and(Fitness::is_fit), self.fitness.is_some());
        let founded = self.vote.electorate.is_founded();
        fit && self.promise.is_none()
            && (founded
                || self.roll.members.len()
                    >= mutated!(TooFewFound, self.roll.size_min as usize, self.roll.size_min as usize / 2))
    }

    /// The term to stand for: above the own vote, and above each lead that the ring was told of. One that says that it leads in a
    /// term that no election has brought would be named by all members in the place of every leader after it.
    fn next_term(&self) -> u64 {
        let told = self.outcome.as_ref().map_or(0, |outcome| outcome.term);
        self.vote.term.max(told).saturating_add(1)
    }

    /// "Would you vote for me?"
    pub(super) fn begin_asking(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        assert!(self.may_ask(), "only a member that may lead asks");
        let quiet_until = self.pace.next_at().max(self.double.quiet_until());
        if quiet_until > now {
            return self.ask_at(quiet_until);
        }
        if self.is_led(env.me, now) {
            // The known leader seems to be at work; while it does, a member without a vote leaves the search to the
            // voters.
            self.ask_at(now + Duration::from_millis(env.timings.election_backoff_ms_max));
            return;
        }
        self.ask(env, 0);
    }

    pub(super) fn ask(&mut self, env: &mut Env<'_, '_>, restarts: u32) {
        let wait_ms = env.timings.election_window_ms + env.timings.election_answer_ms;
        let term = self.next_term();
        if !self.searching {
            self.searching = true;
            self.report(env, term, ElectionEvent::Started);
        }
        let campaign = self.campaign(env, Step::Ask, term, wait_ms, restarts);
        let (round, electorate) = (campaign.round, campaign.electorate.clone());
        let is_voter = campaign.count.voters().contains(&env.me);
        let suitability = self.voter().suitability;
        let body = Body::Ask { suitability, electorate: electorate.clone() };
        self.send_to_voters(env, &campaign.count, term, round, &body);
        assert!(!matches!(self.stance, Stance::Leading(_)), "a leader is no candidate");
        self.stance = Stance::Campaigning(campaign);
        if is_voter {
            self.on_ask(env, env.me, (term, round), suitability, &electorate);
        }
    }

    fn campaign(
        &mut self,
        env: &Env<'_, '_>,
        step: Step,
        term: u64,
        wait_ms: u64,
        restarts: u32,
    ) -> Campaign {
        assert!(term > self.vote.term, "a campaign is for a term to come");
        assert!(restarts <= RESTARTS_MAX, "rounds are begun at once so often and no more");
        let is_reused = step == Step::Vote && env.planted.has(Bug::AskCountedAsVote);
        self.round += u64::from(!is_reused);
        let (electorate, count) = self.count(env);
        Campaign {
            step,
            round: self.round,
            term,
            sent: env.ctx.now,
            until: env.ctx.now + Duration::from_millis(wait_ms),
            again_at: Instant::FAR_FUTURE,
            electorate,
            votes: BTreeMap::new(),
            waits: BTreeMap::new(),
            heard: BTreeSet::new(),
            count,
            restarts,
        }
    }

    pub(super) fn send_to_voters(
        &self,
        env: &mut Env<'_, '_>,
        count: &Count,
        term: u64,
        round: u64,
        body: &Body,
    ) {
        for to in count.voters().into_iter().filter(|id| *id != env.me) {
            let message = self.message(term, round, body.clone());
            env.events.push_back(ElectionsEvent::Send { to, message });
        }
    }

    /// "Vote for me."
    pub(super) fn begin_voting(&mut self, env: &mut Env<'_, '_>) {
        let term = self.next_term();
        if term > ELECTION_TERM_MAX {
            env.ctx.limit_reached(Limit::ElectionTerms);
            return;
        }
        assert!(self.may_ask(), "a candidate is fit, bound to no member, and founds no list of too few");
        assert!(!matches!(self.stance, Stance::Leading(_)), "a leader is no candidate");
        let mut campaign = self.campaign(env, Step::Vote, term, env.timings.election_answer_ms * 2, 0);
        campaign.again_at = env.ctx.now + Duration::from_millis(env.timings.election_answer_ms) / AGAIN;
        let (round, electorate) = (campaign.round, campaign.electorate.clone());
        let proposal = electorate.clone();
        let lease_ms = env.timings.lease_ms;
        let body = Body::Vote { lease_ms, electorate };
        self.send_to_voters(env, &campaign.count, term, round, &body);
        let is_voter = campaign.count.voters().contains(&env.me);
        self.stance = Stance::Campaigning(campaign);
        self.vote.term = term;
        self.vote.candidate = Some(env.me);
        self.pace.raised(env.ctx.now, env.timings);
        assert!(self.pace.next_at() > env.ctx.now, "terms follow each other with a pause");
        // Like every voter for a founder, it keeps the list with its vote.
        self.note_proposal(term, env.me, &proposal);
        self.note_lease(lease_ms);
        self.report(env, term, ElectionEvent::Voted { candidate: env.me });
        let after = is_voter.then_some(After::OwnVote { round });
        if env.planted.has(Bug::VoteBeforeStored) {
            self.store(env, None);
            self.count_own_vote(env, round);
        } else {
            self.store(env, after);
        }
    }

    /// Asks the voters that have not voted once more.
    pub(super) fn vote_again(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let Stance::Campaigning(campaign) = &mut self.stance else { return };
        assert!(campaign.step == Step::Vote, "only votes are asked for again");
        campaign.again_at = now + Duration::from_millis(env.timings.election_answer_ms) / AGAIN;
        let (term, round, electorate) = (campaign.term, campaign.round, campaign.electorate.clone());
        assert!(campaign.again_at > now, "voters have time to answer");
        let silent = campaign.count.voters().into_iter().filter(|id| !campaign.votes.contains_key(id));
        for to in silent.filter(|id| mutated!(VoteNotAskedAgain, *id != env.me, false)) {
            let body = Body::Vote { lease_ms: env.timings.lease_ms, electorate: electorate.clone() };
            let message = Message { election: self.id.clone(), term, round, body };
            env.events.push_back(ElectionsEvent::Send { to, message });
        }
    }

    /// The candidate's own vote is on disk.
    pub(super) fn count_own_vote(&mut self, env: &mut Env<'_, '_>, round: u64) {
        let voter = self.voter();
        match &mut self.stance {
            Stance::Campaigning(campaign) if campaign.round == round => {
                assert!(campaign.step == Step::Vote, "an own vote is given in a vote");
                campaign.votes.insert(env.me, voter);
                self.count_votes(env);
            }
            Stance::Leading(_) => self.own_raise_stored(env),
            Stance::Campaigning(_) | Stance::Idle => {}
        }
    }

    /// Takes a voter's answer to this candidate.
    pub(super) fn count_answer(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        to: Step,
        verdict: Verdict,
        voter: Voter,
    ) {
        let now = env.ctx.now;
        let Stance::Campaigning(campaign) = &mut self.stance else { return };
        let is_own = campaign.step == to || env.planted.has(Bug::AskCountedAsVote);
        // A vote is given in the term that was asked for, and in no other.
        let is_of_term = to != Step::Vote || verdict != Verdict::Yes || term == campaign.term;
        if campaign.round != round || !is_own || !is_of_term {
            return;
        }
        campaign.heard.insert(from);
        assert!(campaign.restarts <= RESTARTS_MAX, "rounds are begun at once so often and no more");
        let may_restart = campaign.step == Step::Ask && campaign.restarts < RESTARTS_MAX;
        let restarts = campaign.restarts + 1;
        let lacking = match verdict {
            Verdict::Yes => {
                campaign.votes.insert(from, voter);
                return self.count_votes(env);
            }
            Verdict::Wait { left_ms } => {
                campaign.waits.insert(from, now + Duration::from_millis(left_ms));
                false
            }
            Verdict::Better { candidate } => {
                if candidate == env.me {
                    self.bound_elsewhere(env);
                }
                false
            }
            Verdict::Stale => self.learn_term(term),
            Verdict::Outdated { electorate } => self.install(&electorate),
            Verdict::Missing { members } => {
                let before = self.learned.len();
                let room = ELECTORATE_MAX.saturating_sub(before);
                self.learned.extend(members.into_iter().take(room));
                self.learned.len() > before
            }
        };
        if lacking && may_restart {
            self.ask(env, restarts);
        }
    }

    /// Another member uses a higher term: the next request must be above it. This member has not voted in it, so no row
    /// need be stored before it gives a promise in that term.
    pub(super) fn learn_term(&mut self, term: u64) -> bool {
        let higher = term > self.vote.term && term <= ELECTION_TERM_MAX;
        if higher {
            self.vote.term = term;
            self.vote.candidate = None;
        }
        assert!(self.vote.term <= ELECTION_TERM_MAX, "a term that cannot be outbid is never taken in");
        higher
    }

    fn count_votes(&mut self, env: &mut Env<'_, '_>) {
        let Stance::Campaigning(campaign) = &self.stance else { return };
        if !campaign.count.carries(&campaign.votes) {
            return;
        }
        assert!(!campaign.votes.is_empty(), "a majority has members");
        // A founder hears every member that it can reach first, because one may know of another electorate.
        let founds = !campaign.electorate.is_founded() && campaign.step == Step::Ask;
        let alive = |id: &MemberId| self.roll.members.get(id) == Some(&true);
        let silent =
            campaign.electorate.members.iter().filter(|id| alive(id) && !campaign.heard.contains(*id));
        if mutated!(FounderDoesNotListen, founds, false) && env.ctx.now < campaign.until && silent.count() > 0
        {
            return;
        }
        match campaign.step {
            Step::Ask => self.begin_voting(env),
            Step::Vote | Step::Renew => self.begin_leading(env),
        }
    }

    /// The round found no majority.
    pub(super) fn campaign_failed(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let Stance::Campaigning(campaign) = &self.stance else { return };
        if campaign.step == Step::Ask && campaign.count.carries(&campaign.votes) && campaign.waits.is_empty()
        {
            return self.count_votes(env);
        }
        assert!(campaign.until <= now, "a round has its time");
        let (answered, needed) = (campaign.heard.len(), campaign.count.needed());
        let bound = campaign.waits.values().min().copied();
        self.learned.clear();
        self.stance = Stance::Idle;
        let window_ms = env.timings.election_window_ms;
        assert!(needed > 0, "a majority has members");
        if answered >= needed {
            // Enough voters can be reached; they are bound, or prefer another candidate.
            self.failures = 0;
            let wait = env.jitter(window_ms * 2);
            self.ask_at(mutated!(BoundNotAwaited, bound.map_or(now, |at| at.max(now)), now) + wait);
        } else {
            self.failures = mutated!(FailureNotCounted, self.failures.saturating_add(1), 0);
            let base_ms = env.timings.election_answer_ms << self.failures.min(6);
            let max_ms = mutated!(BackoffTooLong, env.timings.election_backoff_ms_max, u64::MAX);
            let wait = Duration::from_millis(base_ms.min(max_ms) / 2) + env.jitter(base_ms.min(max_ms) / 2);
            self.ask_at(now + wait);
        }
    }

    /// A member that may not ask any more stops: it is not fit, or too few members are left to found an electorate. Votes
    /// that it has asked for bind their voters already, so it goes on to win and to hand over, which is quicker than to
    /// let the promises run out.
    pub(super) fn stop_asking(&mut self) {
        let Stance::Campaigning(campaign) = &self.stance else { return };
        if self.fitness.is_none() || (campaign.step == Step::Ask && !self.may_ask()) {
            self.stance = Stance::Idle;
        }
        let campaigns = matches!(self.stance, Stance::Campaigning(_));
        assert!(!campaigns || self.fitness.is_some(), "a member that does not stand asks no voter");
    }

    /// Another member leads, or this one cannot.
    pub(super) fn stop_campaign(&mut self) {
        if matches!(self.stance, Stance::Campaigning(_)) {
            self.stance = Stance::Idle;
        }
        assert!(!matches!(self.stance, Stance::Campaigning(_)), "a campaign that is stopped is over");
    }
}
