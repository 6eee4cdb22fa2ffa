//! The leader: it renews its lease, changes the electorate, and gives both up in order. It may act no longer than a
//! quorum's promises allow.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::instance::{After, Instance, Stance};
use super::voter::Promise;
use super::{ElectionsEvent, Env, electorate, lease, promise};
use crate::model::ballot::{Body, Electorate, Step, Verdict, Voter};
use crate::model::election::{ElectionEvent, Fitness, LeaseEnd, Readiness};
use crate::model::id::MemberId;
use crate::model::limits::ELECTION_TERM_MAX;
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;

/// Requests whose answers are still counted.
const SENDS_MAX: usize = 32;
/// Requests in one renewal period, when answers are missing.
const TRIES: u32 = 4;

const _: () = assert!(SENDS_MAX > TRIES as usize, "answers of a whole renewal period are counted");

/// The last promise of a voter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    /// The time at which the request left that the voter answered.
    pub(super) sent: Instant,
    pub(super) voter: Voter,
}

/// A request whose answers are still counted: those to this step, in this term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) round: u64,
    pub(super) step: Step,
    pub(super) term: u64,
    pub(super) at: Instant,
}

/// The state of a leader.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) term: u64,
    /// Until then no quorum can vote for another member.
    pub(super) lease_until: Instant,
    /// The leader gives up by then, unless it has renewed the lease.
    pub(super) give_up_at: Instant,
    pub(super) next_send: Instant,
    /// Whether it asks for renewals; its own service's readiness decides that.
    pub(super) renews: bool,
    /// Requests, the latest last.
    pub(super) sends: VecDeque<Sent>,
    pub(super) granted: BTreeMap<MemberId, Granted>,
    /// A higher term that a voter took part in: the leader asks the voters to confirm it in that term.
    pub(super) raising: Option<u64>,
    /// The voters that have confirmed it in that term.
    pub(super) raised: BTreeMap<MemberId, Voter>,
    /// It has stopped acting and waits until its service has too; then its successor begins.
    pub(super) yielding: Option<Option<MemberId>>,
    /// The last electorate of its own that its disk holds: the one that it tells and counts by. A list that was told
    /// and not stored would be another one after a restart in which it leads on.
    pub(super) electorate: Electorate,
}

impl Leading {
    pub(super) fn is_acting(&self, now: Instant) -> bool {
        self.acts_until().is_some_and(|until| now < until)
    }

    /// When its lease ends; none when it has stopped acting.
    pub(super) fn acts_until(&self) -> Option<Instant> {
        self.yielding.is_none().then_some(self.lease_until)
    }

    /// The time of its next step, with this fitness of its own service.
    pub(super) fn due(&self, fitness: Option<Fitness>) -> Instant {
        if self.yielding.is_some() {
            self.lease_until
        } else if self.renews {
            self.next_send.min(self.give_up_at).min(renewed_until(fitness))
        } else {
            self.give_up_at
        }
    }
}

/// Until when a leader with this fitness has its lease renewed.
fn renewed_until(fitness: Option<Fitness>) -> Instant {
    match fitness.map(|f| f.readiness) {
        Some(Readiness::Fit | Readiness::Unknown | Readiness::Restarting { until: None }) => {
            Instant::FAR_FUTURE
        }
        Some(Readiness::Restarting { until: Some(until) } | Readiness::Stopping { until }) => {
            mutated!(StopRenewedForEver, until, Instant::FAR_FUTURE)
        }
        Some(Readiness::Unfit) | None => {
            mutated!(IllnessRenewed, Instant::from_nanos(0), Instant::FAR_FUTURE)
        }
    }
}

/// The readiness that a leader with this defect takes its own for.
fn as_planted(fitness: Option<Fitness>, planted: Planted) -> Option<Fitness> {
    let fitness = fitness?;
    let is_mistaken = match fitness.readiness {
        Readiness::Unknown => planted.has(Bug::UnknownTakenAsUnfit),
        Readiness::Restarting { .. } => planted.has(Bug::RestartHandsOver),
        Readiness::Fit | Readiness::Stopping { .. } | Readiness::Unfit => false,
    };
    Some(if is_mistaken { Fitness { readiness: Readiness::Unfit, ..fitness } } else { fitness })
}

impl Instance {
    /// A quorum has voted for this member.
    pub(super) fn begin_leading(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let Stance::Campaigning(campaign) = core::mem::replace(&mut self.stance, Stance::Idle) else {
            return;
        };
        assert!(campaign.step == Step::Vote, "a voter that was only asked has not voted");
        assert!(campaign.term <= self.vote.term, "a leader took part in its own term");
        let votes = campaign.votes.len();
        let grant = |(id, voter)| (id, Granted { sent: campaign.sent, voter });
        let first =
            Sent { round: campaign.round, step: campaign.step, term: campaign.term, at: campaign.sent };
        assert!(first.at <= now, "a request leaves before its answer comes");
        self.stance = Stance::Leading(Leading {
            term: campaign.term,
            lease_until: now,
            // Slow disks may have used the first lease up; one more round trip makes another.
            give_up_at: now + Duration::from_millis(env.timings.lease_ms),
            next_send: now,
            renews: true,
            sends: VecDeque::from([first]),
            granted: campaign.votes.into_iter().map(grant).collect(),
            raising: None,
            raised: BTreeMap::new(),
            yielding: None,
            electorate: campaign.electorate.clone(),
        });
        self.promise = None;
        self.failures = 0;
        self.searching = false;
        self.learned.clear();
        self.won(env, campaign.term, campaign.electorate, votes);
        self.update_lease(env);
        self.lead_on(env);
    }

    /// This member has won a term: it puts the electorate down in its own name and tells the ring.
    fn won(&mut self, env: &mut Env<'_, '_>, term: u64, electorate: Electorate, votes: usize) {
        assert!(matches!(self.stance, Stance::Leading(_)), "the member that has won leads");
        assert!(term <= self.vote.term, "a leader took part in its own term");
        let voters = electorate.members.len() as u32;
        let version = electorate.next_version();
        self.vote.electorate = Electorate { term, version, members: electorate.members };
        self.report(env, term, ElectionEvent::Won { votes: votes as u32, voters });
        self.put_down(env);
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: false };
        self.tell(env, outcome);
    }

    pub(super) fn tell(&mut self, env: &mut Env<'_, '_>, outcome: ElectionRumor) {
        match &mut self.outcome {
            Some(known) => {
                known.merge(&outcome);
            }
            None => self.outcome = Some(outcome.clone()),
        }
        env.events.push_back(ElectionsEvent::Tell { outcome, after: self.cause.into() });
    }

    /// Voters are told again by this time what they may not have heard.
    pub(super) fn say_again(&mut self, at: Instant) {
        match &mut self.stance {
            Stance::Leading(leading) => leading.next_send = leading.next_send.min(at),
            Stance::Campaigning(campaign) if campaign.step == Step::Vote => {
                campaign.again_at = campaign.again_at.min(at);
            }
            Stance::Campaigning(_) | Stance::Idle => {}
        }
    }

    /// The electorate counts, and is told, once it is on disk.
    pub(super) fn put_down(&mut self, env: &mut Env<'_, '_>) {
        let stamp = self.vote.electorate.stamp();
        if let Stance::Leading(leading) = &mut self.stance {
            leading.next_send = env.ctx.now;
        }
        self.store(env, Some(After::OwnElectorate { stamp }));
        if env.planted.has(Bug::ElectorateToldEarly) {
            self.enforce(env);
        }
    }

    /// From now on the list that was put down counts and is told.
    fn enforce(&mut self, env: &mut Env<'_, '_>) {
        let Stance::Leading(leading) = &mut self.stance else { return };
        let before = core::mem::replace(&mut leading.electorate, self.vote.electorate.clone());
        leading.next_send = env.ctx.now;
        let (term, version, voters) =
            (leading.term, self.vote.electorate.version, &self.vote.electorate.members);
        assert!(self.vote.electorate.is_founded(), "a leader writes lists");
        if before.members != *voters {
            let what = ElectionEvent::ElectorateChanged { version, voters: voters.len() as u32 };
            self.report(env, term, what);
        }
    }

    /// The row is on disk: the own vote in this term, and the electorate, which counts from now on.
    pub(super) fn own_row_stored(&mut self, env: &mut Env<'_, '_>, stamp: (u64, u64)) {
        let voter = Voter { electorate: stamp, ..self.voter() };
        let Stance::Leading(leading) = &mut self.stance else { return };
        let sent = leading.sends.front().map_or(env.ctx.now, |send| send.at);
        assert!(sent <= env.ctx.now, "a request leaves before its answer comes");
        leading.granted.insert(env.me, Granted { sent, voter });
        if self.vote.electorate.stamp() == stamp {
            self.enforce(env);
        }
        self.update_lease(env);
        self.reconsider_leading(env);
    }

    /// Takes a voter's answer to this leader.
    pub(super) fn count_renewal(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        to: Step,
        verdict: Verdict,
        voter: Voter,
    ) {
        let Stance::Leading(leading) = &mut self.stance else { return };
        if leading.yielding.is_some() {
            // Its lease is not to be extended any more.
            return;
        }
        assert!(
            leading.raising.is_none_or(|term| term > leading.term),
            "a leader is confirmed in a later term"
        );
        match verdict {
            Verdict::Yes => {
                // An answer to another step, or one of an earlier life, is no promise to this request.
                let is_its_answer = |s: &&Sent| (s.round, s.step, s.term) == (round, to, term);
                let of_any = leading.sends.back().filter(|_| env.planted.has(Bug::LateAnswerCounted));
                let answered = leading.sends.iter().find(is_its_answer).or(of_any).map(|send| send.at);
                let Some(sent) = answered else { return };
                assert!(sent <= env.ctx.now, "a request leaves before its answer comes");
                let granted = leading.granted.entry(from).or_insert(Granted { sent, voter });
                if sent >= granted.sent {
                    *granted = Granted { sent, voter };
                }
                if leading.raising == Some(term) {
                    leading.raised.insert(from, voter);
                }
            }
            Verdict::Stale => {
                let own = leading.raising.unwrap_or(leading.term);
                if term >= own && term < ELECTION_TERM_MAX && self.pace.next_at() <= env.ctx.now {
                    leading.raising = mutated!(StaleNotRaised, Some(term + 1), None);
                    leading.raised.clear();
                    leading.next_send = env.ctx.now;
                }
                return;
            }
            Verdict::Outdated { electorate } => {
                // Another leader has put this electorate down: this leader's time is over, and it learns so only now.
                if self.install(&electorate) {
                    self.resign(env, LeaseEnd::Outdone);
                }
                return;
            }
            Verdict::Wait { .. } | Verdict::Better { .. } | Verdict::Missing { .. } => return,
        }
        self.update_lease(env);
        self.consider_raised(env);
        self.reconsider_leading(env);
    }

    /// Extends the lease as far as a quorum's promises reach.
    pub(super) fn update_lease(&mut self, env: &mut Env<'_, '_>) {
        let (now, me) = (env.ctx.now, env.me);
        let (_, count) = self.count(env);
        let Stance::Leading(leading) = &mut self.stance else { return };
        let mut times: Vec<Instant> = leading.granted.values().map(|g| g.sent).collect();
        times.sort_unstable();
        let granted = &leading.granted;
        let carried = |since: &Instant| {
            let votes = granted.iter().filter(|(id, g)| **id == me || g.sent >= *since);
            count.carries(&votes.map(|(id, g)| (*id, g.voter)).collect())
        };
        let found =
            mutated!(OneAnswerRenews, times.iter().rev().copied().find(carried), times.last().copied());
        let Some(mut since) = found else { return };
        let last = leading.sends.back().map_or(now, |send| send.at);
        assert!(since <= now, "a lease counts from a request that has left");
        let is_answered = since >= last;
        if env.planted.has(Bug::LeaseFromAnswer) {
            since = now;
        }
        let until = since + lease(env.timings.lease_ms, env.planted);
        if until > leading.lease_until {
            leading.lease_until = until;
            leading.give_up_at = mutated!(
                LeadsWithoutMargin,
                until - Duration::from_millis(env.timings.lease_margin_ms),
                until
            );
            assert!(leading.give_up_at <= leading.lease_until, "a leader gives up before its lease ends");
        }
        if is_answered {
            leading.next_send = last + Duration::from_millis(env.timings.lease_renew_ms);
        }
    }

    /// Renews, or gives up in time.
    pub(super) fn lead_on(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let Stance::Leading(leading) = &mut self.stance else { return };
        if leading.yielding.is_some() {
            if leading.lease_until <= now {
                self.stance = Stance::Idle;
            }
            return;
        }
        if env.planted.has(Bug::LeaseNeverEnds) && leading.give_up_at <= now {
            leading.lease_until = now + lease(env.timings.lease_ms, env.planted);
            leading.give_up_at = leading.lease_until;
        }
        if leading.give_up_at <= now {
            if leading.renews {
                return self.resign(env, LeaseEnd::NoQuorum);
            }
            // The lease was left to run out: its service is ill, or took longer to stop than was announced.
            let successor = self.successor(env);
            return self.hand_over(env, successor);
        }
        if leading.renews && renewed_until(self.fitness) <= now {
            self.reconsider_leading(env);
        }
        let Stance::Leading(leading) = &mut self.stance else { return };
        if leading.next_send > now || !leading.renews || leading.yielding.is_some() {
            return;
        }
        leading.next_send =
            now + Duration::from_millis(env.timings.lease_renew_ms) / mutated!(RenewalAskedOnce, TRIES, 1);
        let (term, raising) = (leading.term, leading.raising);
        self.round += 1;
        let round = self.round;
        if let Stance::Leading(leading) = &mut self.stance {
            let step = if raising.is_some() { Step::Vote } else { Step::Renew };
            leading.sends.push_back(Sent { round, step, term: raising.unwrap_or(term), at: now });
            if leading.sends.len() > SENDS_MAX {
                leading.sends.pop_front();
            }
            assert!(leading.sends.len() <= SENDS_MAX, "answers of so many requests are counted");
        }
        let (electorate, count) = self.count(env);
        let lease_ms = env.timings.lease_ms;
        match raising {
            None => {
                let body = Body::Renew { lease_ms, electorate };
                self.send_to_voters(env, &count, term, round, &body);
            }
            Some(higher) => {
                assert!(higher > term, "a leader is confirmed in a later term");
                if higher > self.vote.term {
                    self.vote.term = higher;
                    self.vote.candidate = Some(env.me);
                    self.pace.raised(now, env.timings);
                    self.report(env, higher, ElectionEvent::Voted { candidate: env.me });
                    self.store(env, Some(After::OwnVote { round }));
                }
                let body = Body::Vote { lease_ms, electorate };
                self.send_to_voters(env, &count, higher, round, &body);
            }
        }
    }

    /// The own vote for the higher term is on disk.
    pub(super) fn own_raise_stored(&mut self, env: &mut Env<'_, '_>) {
        let voter = self.voter();
        let term = self.vote.term;
        if let Stance::Leading(leading) = &mut self.stance
            && leading.raising == Some(term)
        {
            leading.raised.insert(env.me, voter);
        }
        self.consider_raised(env);
    }

    /// A quorum has confirmed this leader in a higher term; its lease never ended.
    fn consider_raised(&mut self, env: &mut Env<'_, '_>) {
        let (electorate, count) = self.count(env);
        let Stance::Leading(leading) = &mut self.stance else { return };
        let Some(term) = leading.raising.filter(|_| count.carries(&leading.raised)) else { return };
        assert!(term > leading.term && term <= self.vote.term, "a leader is confirmed in a later term");
        leading.term = mutated!(RaiseKeepsOldTerm, term, leading.term);
        leading.raising = None;
        let votes = leading.raised.len();
        leading.raised.clear();
        self.won(env, term, electorate, votes);
    }

    /// The leader's reaction to a change of its own fitness or of its group.
    pub(super) fn reconsider_leading(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let fitness = as_planted(self.fitness, env.planted);
        let Stance::Leading(leading) = &mut self.stance else { return };
        if leading.yielding.is_some() {
            return;
        }
        let renewed = leading.renews;
        leading.renews = now < renewed_until(fitness);
        if leading.renews && !renewed {
            leading.next_send = now;
        }
        let is_stopping = fitness.is_some_and(|f| matches!(f.readiness, Readiness::Stopping { .. }));
        if !leading.renews && !is_stopping {
            // Without a successor it is not renewed either; its service may be well again before the lease ends.
            let successor = self.successor(env);
            if successor.is_some() || fitness.is_none() {
                return self.hand_over(env, successor);
            }
        }
        let Stance::Leading(leading) = &self.stance else { return };
        if !leading.is_acting(now) || leading.raising.is_some() {
            return;
        }
        let stamp = self.vote.electorate.stamp();
        let (_, count) = self.count(env);
        // Only answers since the last change of the roll count: a leader that is cut off must not change the electorate
        // on the strength of older ones.
        let (me, since) = (env.me, self.roll_at);
        let fresh =
            |id: &MemberId, g: &Granted| *id == me || mutated!(OldAnswersCount, g.sent >= since, true);
        let known = leading.granted.iter().filter(|(id, g)| g.voter.electorate == stamp && fresh(id, g));
        let settled = count.carries(&known.map(|(id, g)| (*id, g.voter)).collect());
        if !settled && !env.planted.has(Bug::ElectorateJumps) {
            return;
        }
        if let Some(next) = electorate::next(&self.vote.electorate, &self.roll, &env.me) {
            assert!(next.version > stamp.1, "each change of an electorate has a number of its own");
            let term = leading.term;
            self.vote.electorate = Electorate { term, ..next };
            self.put_down(env);
            self.lead_on(env);
        }
    }

    /// The roll has changed: when the electorate has to change with it, the leader asks the voters at once.
    pub(super) fn expect_change(&mut self, env: &Env<'_, '_>) {
        if let Stance::Leading(leading) = &mut self.stance
            && electorate::next(&self.vote.electorate, &self.roll, &env.me).is_some()
        {
            leading.next_send = mutated!(RollChangeWaits, env.ctx.now, leading.next_send);
        }
    }

    /// The best voter that could lead.
    fn successor(&self, env: &Env<'_, '_>) -> Option<MemberId> {
        let Stance::Leading(leading) = &self.stance else { return None };
        let fresh = Duration::from_millis(env.timings.lease_ms);
        let could = leading.granted.iter().filter(|(id, g)| {
            **id != env.me
                && g.voter.is_member
                && mutated!(SuccessorUnfit, g.voter.fit, true)
                && mutated!(SuccessorLongSilent, g.sent + fresh > env.ctx.now, true)
        });
        could
            .max_by_key(|(id, g)| {
                (mutated!(SuccessorLeastSuitable, g.voter.suitability, u64::MAX - g.voter.suitability), **id)
            })
            .map(|(id, _)| *id)
    }

    /// An operator lets this member hand over. False where it has no lead.
    pub(super) fn handle_order(&mut self, env: &mut Env<'_, '_>) -> bool {
        let Stance::Leading(leading) = &self.stance else { return false };
        if leading.yielding.is_some() || !leading.is_acting(env.ctx.now) {
            return false;
        }
        let successor = self.successor(env);
        self.hand_over(env, successor);
        true
    }

    /// Stops acting at once; the voters are free as soon as the own service has stopped acting too.
    fn hand_over(&mut self, env: &mut Env<'_, '_>, successor: Option<MemberId>) {
        let Stance::Leading(leading) = &mut self.stance else { return };
        assert!(leading.yielding.is_none(), "a leader hands over once");
        assert!(successor != Some(env.me), "a leader hands over to another");
        let term = leading.term;
        leading.yielding = Some(successor);
        self.report(env, term, ElectionEvent::HandedOver { to: successor });
        env.events.push_back(ElectionsEvent::Yield { election: self.id.clone() });
    }

    /// The own service acts as the leader no longer.
    pub(super) fn handle_demoted(&mut self, env: &mut Env<'_, '_>) {
        let Stance::Leading(leading) = &self.stance else { return };
        let (term, Some(successor)) = (leading.term, leading.yielding) else { return };
        assert!(successor != Some(env.me), "a leader hands over to another");
        self.release(env, term, successor);
        self.double.led_until(env.ctx.now + promise(env.timings.lease_ms, env.planted));
        self.stance = Stance::Idle;
        self.ask_at(env.ctx.now + Duration::from_millis(env.timings.election_answer_ms * 2));
        if mutated!(LastEndNotTold, successor.is_none(), false) {
            let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: true };
            self.tell(env, outcome);
        }
        self.update_role(env);
    }

    fn release(&mut self, env: &mut Env<'_, '_>, term: u64, successor: Option<MemberId>) {
        if env.planted.has(Bug::HandOverWithoutRelease) {
            return;
        }
        assert!(term <= self.vote.term, "a leader took part in its own term");
        let (_, count) = self.count(env);
        self.round += 1;
        self.send_to_voters(env, &count, term, self.round, &Body::Release { successor });
    }

    /// Leads no longer, without a successor. Voters keep their promises: they outlast the lease, and the own service
    /// may need that time to stop acting.
    pub(super) fn resign(&mut self, env: &mut Env<'_, '_>, why: LeaseEnd) {
        let Stance::Leading(leading) = &self.stance else { return };
        let (term, until) = (leading.term, leading.lease_until);
        self.stance = Stance::Idle;
        self.report(env, term, ElectionEvent::Lost { why });
        assert!(until < Instant::FAR_FUTURE, "a lease ends");
        let own = Promise { to: env.me, term, until, leads_until: env.ctx.now, event: self.cause };
        if until > env.ctx.now && self.promise.is_none() {
            self.promise = mutated!(ResignedIsFree, Some(own), None);
        }
        let wait = env.jitter(env.timings.election_window_ms);
        self.ask_at(env.ctx.now + wait);
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: true };
        mutated!(EndNotTold, self.tell(env, outcome), drop(outcome));
    }

    /// Another member leads in a later term, or its half of the ring has prevailed over this one's.
    pub(super) fn step_down_for(&mut self, env: &mut Env<'_, '_>, outcome: &ElectionRumor) {
        let Stance::Leading(leading) = &self.stance else { return };
        let own =
            ElectionRumor { election: self.id.clone(), term: leading.term, leader: env.me, ended: false };
        if outcome.leader != env.me && outcome.prevails_over(&own) {
            self.resign(env, LeaseEnd::Outdone);
        }
    }
}
