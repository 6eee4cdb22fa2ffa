//! The leader: it renews its lease, changes the electorate, and gives both up in order. It may act no longer than a
//! quorum's promises allow.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::instance::{After, Instance, Stance};
use super::voter::Promise;
use super::{ElectionsEvent, Env, electorate, lease};
use crate::model::ballot::{Body, Electorate, Step, Verdict, Voter};
use crate::model::election::{ElectionEvent, Fitness, LeaseEnd};
use crate::model::id::MemberId;
use crate::model::limits::ELECTION_TERM_MAX;
use crate::model::planted::Bug;
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;

/// Requests whose answers are still counted.
const SENDS_MAX: usize = 32;
/// Requests in one renewal period, when answers are missing.
const TRIES: u32 = 4;

const _: () = assert!(SENDS_MAX > TRIES as usize, "answers of a whole renewal period are counted");

/// The last promise of a voter.
#[derive(Clone, Copy, Debug)]
struct Granted {
    /// The time at which the request left that the voter answered.
    sent: Instant,
    voter: Voter,
}

/// The state of a leader.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) term: u64,
    /// Until then no quorum can vote for another member.
    pub(super) lease_until: Instant,
    /// The leader gives up by then, unless it has renewed the lease.
    give_up_at: Instant,
    next_send: Instant,
    /// Requests by round, the latest last.
    sends: VecDeque<(u64, Instant)>,
    granted: BTreeMap<MemberId, Granted>,
    /// A higher term that a voter took part in: the leader asks the voters to confirm it in that term.
    raising: Option<u64>,
    /// The voters that have confirmed it in that term.
    raised: BTreeMap<MemberId, Voter>,
    /// It has stopped acting and waits until its service has too; then its successor begins.
    yielding: Option<Option<MemberId>>,
}

impl Leading {
    pub(super) fn is_acting(&self, now: Instant) -> bool {
        self.acts_until().is_some_and(|until| now < until)
    }

    /// When its lease ends; none when it has stopped acting.
    pub(super) fn acts_until(&self) -> Option<Instant> {
        self.yielding.is_none().then_some(self.lease_until)
    }

    pub(super) fn due(&self) -> Instant {
        if self.yielding.is_some() { self.lease_until } else { self.next_send.min(self.give_up_at) }
    }
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
        self.stance = Stance::Leading(Leading {
            term: campaign.term,
            lease_until: now,
            // Slow disks may have used the first lease up; one more round trip makes another.
            give_up_at: now + Duration::from_millis(env.timings.lease_ms),
            next_send: now,
            sends: VecDeque::from([(campaign.round, campaign.sent)]),
            granted: campaign.votes.into_iter().map(grant).collect(),
            raising: None,
            raised: BTreeMap::new(),
            yielding: None,
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
        let version = electorate.version + 1;
        self.vote.electorate = Electorate { term, version, members: electorate.members };
        self.report(env, term, ElectionEvent::Won { votes: votes as u32, voters });
        self.put_down(env);
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: false };
        self.tell(env, outcome);
    }

    fn tell(&mut self, env: &mut Env<'_, '_>, outcome: ElectionRumor) {
        match &mut self.outcome {
            Some(known) => {
                known.merge(&outcome);
            }
            None => self.outcome = Some(outcome.clone()),
        }
        env.events.push_back(ElectionsEvent::Tell { outcome, after: self.cause.into() });
    }

    /// The electorate counts from now on; the leader's own copy counts once it is on disk.
    fn put_down(&mut self, env: &mut Env<'_, '_>) {
        let stamp = self.vote.electorate.stamp();
        self.store(env, Some(After::OwnElectorate { stamp }));
        if let Stance::Leading(leading) = &mut self.stance {
            leading.next_send = env.ctx.now;
        }
    }

    /// The row is on disk: the own vote in this term, and the own copy of the electorate.
    pub(super) fn own_row_stored(&mut self, env: &mut Env<'_, '_>, stamp: (u64, u64)) {
        let voter = Voter { electorate: stamp, ..self.voter() };
        let Stance::Leading(leading) = &mut self.stance else { return };
        let sent = leading.sends.front().map_or(env.ctx.now, |(_, sent)| *sent);
        leading.granted.insert(env.me, Granted { sent, voter });
        self.update_lease(env);
        self.reconsider_leading(env);
    }

    /// Takes a voter's answer to this leader.
    pub(super) fn count_renewal(
        &mut self,
        env: &mut Env<'_, '_>,
        from: MemberId,
        (term, round): (u64, u64),
        verdict: Verdict,
        voter: Voter,
    ) {
        let Stance::Leading(leading) = &mut self.stance else { return };
        assert!(
            leading.raising.is_none_or(|term| term > leading.term),
            "a leader is confirmed in a later term"
        );
        match verdict {
            Verdict::Yes => {
                let Some((_, sent)) = leading.sends.iter().find(|(r, _)| *r == round).copied() else {
                    return;
                };
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
                if term >= own && term < ELECTION_TERM_MAX {
                    leading.raising = Some(term + 1);
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
        let Some(mut since) = times.into_iter().rev().find(carried) else { return };
        let last = leading.sends.back().map_or(now, |(_, sent)| *sent);
        assert!(since <= now, "a lease counts from a request that has left");
        let is_answered = since >= last;
        if env.planted.has(Bug::LeaseFromAnswer) {
            since = now;
        }
        let until = since + lease(env.timings.lease_ms, env.planted);
        if until > leading.lease_until {
            leading.lease_until = until;
            leading.give_up_at = until - Duration::from_millis(env.timings.lease_margin_ms);
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
            return self.resign(env, LeaseEnd::NoQuorum);
        }
        if leading.next_send > now {
            return;
        }
        leading.next_send = now + Duration::from_millis(env.timings.lease_renew_ms) / TRIES;
        let (term, raising) = (leading.term, leading.raising);
        self.round += 1;
        let round = self.round;
        if let Stance::Leading(leading) = &mut self.stance {
            leading.sends.push_back((round, now));
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
        leading.term = term;
        leading.raising = None;
        let votes = leading.raised.len();
        leading.raised.clear();
        self.won(env, term, electorate, votes);
    }

    /// The leader's reaction to a change of its own fitness or of its group.
    pub(super) fn reconsider_leading(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        let Stance::Leading(leading) = &self.stance else { return };
        if leading.yielding.is_some() {
            return;
        }
        if !self.fitness.is_some_and(Fitness::is_fit) {
            let successor = self.successor(env);
            if successor.is_some() || self.fitness.is_none() {
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
        let fresh = |id: &MemberId, g: &Granted| *id == me || g.sent >= since;
        let known = leading.granted.iter().filter(|(id, g)| g.voter.electorate == stamp && fresh(id, g));
        let settled = count.carries(&known.map(|(id, g)| (*id, g.voter)).collect());
        if !settled && !env.planted.has(Bug::ElectorateJumps) {
            return;
        }
        if let Some(next) = electorate::next(&self.vote.electorate, &self.roll, &env.me) {
            assert!(next.version > stamp.1, "each change of an electorate has a number of its own");
            let (term, version, voters) = (leading.term, next.version, next.members.len() as u32);
            self.vote.electorate = Electorate { term, ..next };
            self.report(env, term, ElectionEvent::ElectorateChanged { version, voters });
            self.put_down(env);
            self.lead_on(env);
        }
    }

    /// The roll has changed: when the electorate has to change with it, the leader asks the voters at once.
    pub(super) fn expect_change(&mut self, env: &Env<'_, '_>) {
        if let Stance::Leading(leading) = &mut self.stance
            && electorate::next(&self.vote.electorate, &self.roll, &env.me).is_some()
        {
            leading.next_send = env.ctx.now;
        }
    }

    /// The best voter that could lead.
    fn successor(&self, env: &Env<'_, '_>) -> Option<MemberId> {
        let Stance::Leading(leading) = &self.stance else { return None };
        let fresh = Duration::from_millis(env.timings.lease_ms);
        let could = leading.granted.iter().filter(|(id, g)| {
            **id != env.me && g.voter.is_member && g.voter.fit && g.sent + fresh > env.ctx.now
        });
        could.max_by_key(|(id, g)| (g.voter.suitability, **id)).map(|(id, _)| *id)
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
        self.stance = Stance::Idle;
        self.ask_at(env.ctx.now + Duration::from_millis(env.timings.election_answer_ms * 2));
        if successor.is_none() {
            let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: true };
            self.tell(env, outcome);
        }
        self.update_role(env);
    }

    fn release(&mut self, env: &mut Env<'_, '_>, term: u64, successor: Option<MemberId>) {
        if env.planted.has(Bug::HandOverWithoutRelease) {
            return;
        }
        let (_, count) = self.count(env);
        self.round += 1;
        self.send_to_voters(env, &count, term, self.round, &Body::Release { successor });
    }

    /// Leads no longer, without a successor. Voters keep their promises: they outlast the lease, and the own service
    /// may need that time to stop acting.
    fn resign(&mut self, env: &mut Env<'_, '_>, why: LeaseEnd) {
        let Stance::Leading(leading) = &self.stance else { return };
        let (term, until) = (leading.term, leading.lease_until);
        self.stance = Stance::Idle;
        self.report(env, term, ElectionEvent::Lost { why });
        assert!(until < Instant::FAR_FUTURE, "a lease ends");
        let own = Promise { to: env.me, term, until, event: self.cause };
        if until > env.ctx.now && self.promise.is_none() {
            self.promise = Some(own);
        }
        let wait = env.jitter(env.timings.election_window_ms);
        self.ask_at(env.ctx.now + wait);
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: true };
        self.tell(env, outcome);
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
