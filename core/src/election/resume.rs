//! Leading on after a restart of the supervisor alone: the service went on, its guard kept the right to resume, and no
//! voter was free to elect another member meanwhile. Why each condition is needed is argued in the folder's `mod.rs`.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use super::instance::{Instance, Stance};
use super::leader::{Granted, Leading};
use super::{Env, lease};
use crate::model::ballot::Electorate;
use crate::model::election::{ElectionEvent, Fitness, Readiness};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::rumor::ElectionRumor;
use crate::model::time::Instant;

impl Instance {
    /// The guard of this member's process holds the right to lead this term until then.
    pub(super) fn handle_resume(&mut self, env: &mut Env<'_, '_>, term: u64, until: Instant) {
        let now = env.ctx.now;
        let margin = Duration::from_millis(env.timings.lease_margin_ms);
        // The row may hold a later term, which was only tried: the entry says which one was won.
        let is_own =
            self.vote.term >= term && mutated!(ResumesAfterVote, self.vote.candidate == Some(env.me), true);
        if !is_own && env.planted.has(Bug::ResumeWithoutRow) {
            (self.vote.term, self.vote.candidate) = (self.vote.term.max(term), Some(env.me));
        } else if !is_own {
            return;
        }
        // No lease reaches further, whatever the entry says.
        let longest = now + lease(env.timings.lease_ms, env.planted);
        let mut until = until.min(longest);
        if env.planted.has(Bug::ResumePastTheEnd) {
            until = longest;
        }
        assert!(until <= longest, "no lease reaches further than a new one");
        if mutated!(ResumesAtTheEnd, until <= now + margin, until <= now)
            || !matches!(self.stance, Stance::Idle)
        {
            return;
        }
        // A leader is bound to no member: it gave no promise since it won, and what it promised before had run out then.
        if !env.planted.has(Bug::PromiseTakenAlong) {
            self.ready_at = now;
        }
        self.promise = None;
        // Its service runs, however it is: that is not known yet.
        let unknown = Fitness { suitability: 0, readiness: Readiness::Unknown };
        self.fitness = self.fitness.or(Some(unknown));
        let voter = self.voter();
        assert!(voter.is_member, "the leader's service runs");
        let raising = Some(self.vote.term).filter(|tried| *tried > term);
        assert!(raising.is_none_or(|tried| tried > term), "a term that was only tried is a later one");
        let raised = raising.map(|_| (env.me, voter));
        self.stance = Stance::Leading(Leading {
            term,
            lease_until: until,
            give_up_at: until - margin,
            next_send: now,
            renews: true,
            sends: VecDeque::new(),
            granted: BTreeMap::from([(env.me, Granted { sent: now, voter })]),
            raising,
            raised: raised.into_iter().collect(),
            yielding: None,
            electorate: self.vote.electorate.clone(),
        });
        self.report(env, term, ElectionEvent::Resumed);
        let outcome = ElectionRumor { election: self.id.clone(), term, leader: env.me, ended: false };
        self.tell(env, outcome);
        mutated!(ListNotPutDownAgain, self.put_down_again(env, term), ());
        self.update_role(env);
    }

    /// The last life may have ended between its victory and the list that it put down then. The list follows from the
    /// row alone, so it is the same one, also where voters have founded it already.
    fn put_down_again(&mut self, env: &mut Env<'_, '_>, term: u64) {
        let held = &self.vote.electorate;
        if self.vote.term != term || held.term == term {
            return;
        }
        assert!(held.term < term, "no leader but this one has written a list in its term");
        self.vote.electorate =
            Electorate { term, version: held.next_version(), members: held.members.clone() };
        self.founder = None;
        self.put_down(env);
    }
}
