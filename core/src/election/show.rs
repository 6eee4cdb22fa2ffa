//! The election in words and views: its stage, the role of this member, and why there is no result. It decides nothing.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::electorate::Count;
use super::instance::{Instance, Stance};
use super::{ElectionsEvent, Env};
use crate::model::election::{ElectionStatus, ElectionView, Role};
use crate::model::id::MemberId;
use crate::model::mutant::mutated;
use crate::model::planted::Planted;
use crate::model::time::Instant;

impl Instance {
    /// Whether the known leader seems to be at work.
    pub(super) fn is_led(&self, me: MemberId, now: Instant) -> bool {
        match (&self.stance, &self.promise, &self.outcome) {
            (Stance::Leading(leading), _, _) => leading.is_acting(now),
            (_, Some(promise), _) => promise.until > now,
            (_, None, Some(outcome)) => {
                let waits = !self.vote.electorate.contains(&me) || now < self.ready_at;
                let alive = self.roll.members.get(&outcome.leader) == Some(&true);
                waits && alive && !outcome.ended && outcome.leader != me
            }
            (_, None, None) => false,
        }
    }

    /// The stage of the election, and in words the reason why it has no result.
    fn status(&self, me: MemberId, now: Instant, planted: Planted) -> (ElectionStatus, String) {
        if self.is_led(me, now) {
            return (ElectionStatus::Finished, String::new());
        }
        let known = self.roll.members.len();
        let size_min = self.roll.size_min as usize;
        let founded = self.vote.electorate.is_founded();
        if !founded && known < size_min {
            let missing = size_min - known;
            assert!(missing > 0, "an election waits only for missing members");
            let word = if missing == 1 { "member" } else { "members" };
            return (ElectionStatus::Waiting { missing }, format!("waiting for {missing} more {word}"));
        }
        let count = Count::new(&self.proposal(me), &self.roll, planted);
        let voters = count.voters();
        let reachable = |id: &&MemberId| **id == me || self.roll.members.get(*id) == Some(&true);
        let alive = voters.iter().filter(reachable).count();
        let (needed, all) = (count.needed(), voters.len());
        assert!(needed > 0, "a majority has members");
        if alive < needed {
            let why = format!("no quorum: {alive} of {all} voters can be reached, {needed} are needed");
            return (ElectionStatus::NoQuorum, why);
        }
        if self.failures > 1 {
            let why = format!("no quorum: {needed} of {all} voters have to answer, and too few have");
            return (ElectionStatus::NoQuorum, why);
        }
        if now < self.ready_at {
            let why = "an election is running: this member restarted and keeps its old promises first";
            return (ElectionStatus::Running, why.to_string());
        }
        (ElectionStatus::Running, String::from("an election is running"))
    }

    pub(super) fn view(&self, me: MemberId, now: Instant) -> Option<ElectionView> {
        self.fitness?;
        let (status, _) = self.status(me, now, Planted::default());
        let acting_until = match &self.stance {
            Stance::Leading(leading) => leading.acts_until().filter(|until| *until > now),
            Stance::Idle | Stance::Campaigning(_) => None,
        };
        let leads = self.leads().is_some();
        assert!(acting_until.is_none() || leads, "only a leader acts as one");
        let outcome = self.outcome.as_ref().filter(|_| status == ElectionStatus::Finished);
        Some(ElectionView {
            election: self.id.clone(),
            term: self.outcome.as_ref().map_or(self.vote.term, |o| o.term),
            leader: outcome.map(|o| o.leader),
            status,
            acting_until,
        })
    }

    /// The term that this member leads in, and until when it may act.
    pub(super) fn leads(&self) -> Option<(u64, Instant)> {
        match &self.stance {
            Stance::Leading(leading) => leading.acts_until().map(|until| (leading.term, until)),
            Stance::Idle | Stance::Campaigning(_) => None,
        }
    }

    /// Tells this member its role in the election when that has changed.
    pub(super) fn update_role(&mut self, env: &mut Env<'_, '_>) {
        if self.fitness.is_none() {
            return;
        }
        let now = env.ctx.now;
        let role = match (&self.stance, &self.outcome) {
            (Stance::Leading(leading), _) if leading.is_acting(now) => {
                Role::Leader { term: leading.term, until: leading.lease_until }
            }
            (_, Some(outcome))
                if outcome.leader != env.me
                    && (!outcome.ended || mutated!(FollowerForgetsItsLeader, self.has_followed(), false)) =>
            {
                // Followers keep their role while a successor is sought: no other member leads meanwhile.
                Role::Follower { term: outcome.term, leader: outcome.leader }
            }
            _ => Role::Waiting { why: self.why_waiting(env) },
        };
        if self.role.as_ref() != Some(&role) {
            self.role = Some(role.clone());
            let (election, after) = (self.id.clone(), self.cause.into());
            env.events.push_back(ElectionsEvent::Role { election, role, after });
        }
    }

    fn has_followed(&self) -> bool {
        matches!(self.role, Some(Role::Follower { .. }))
    }

    fn why_waiting(&self, env: &Env<'_, '_>) -> String {
        let told = env.copy.map(|at| {
            format!(
                "another supervisor uses this member's identity at {at}: stop the one that is the copy and start it \
                 with an empty data directory"
            )
        });
        if let Some(why) = told.or_else(|| self.double.words(env.ctx.now)) {
            return why;
        }
        let (status, why) = self.status(env.me, env.ctx.now, env.planted);
        if status == ElectionStatus::Finished {
            String::from("the election's result is on its way")
        } else {
            assert!(!why.is_empty(), "a member that waits says what for");
            why
        }
    }
}
