//! The steps of leading: the guard has the lease before any file or hook says that the service leads, and holds it until
//! the processes act no longer.
//!
//! | | files and hooks say | the guard holds |
//! |---|---|---|
//! | the election names it | what they said before | the lease of the new term, unacknowledged |
//! | acknowledged | that it leads | the lease, replaced with each renewal |
//! | the lead goes | what they said before | the same deadline, without the right to resume |
//! | `demoted` has succeeded | that it leads no longer | nothing |
//! | or the tree is empty | | nothing: the guard is gone |
//!
//! Whatever fails between two rows, the deadline stands, and the guard kills the tree.

use super::super::work::Work;
use super::lead::{Demotion, Refused};
use super::pause::Pause;
use super::{Env, Instance, Phase};
use crate::model::command::StopHow;
use crate::model::election::{Readiness, Role};
use crate::model::io::{Effect, EffectResult};
use crate::model::lease::{Lease, Resume};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::service::{Demoted, Health, Hook, ObstacleKind};
use crate::model::time::Instant;
use crate::service::event::ServiceEvent;
use crate::service::purpose::{Leaving, Purpose};
use core::time::Duration;

impl Instance {
    /// Whether its processes act as the leader, or could go on to.
    pub(in super::super) fn acts(&self) -> bool {
        self.lead.acts()
    }

    /// The election has spoken.
    pub(in super::super) fn handle_role(&mut self, role: Role, env: &mut Env<'_, '_>) {
        if !self.wish.has_leader() {
            return;
        }
        let is_visible = self.part.assign(role);
        self.lead.assigned();
        assert!(self.part.role().is_some(), "an election that has spoken is remembered");
        self.progress.reconsider();
        if self.part.leads().is_none() {
            self.pause = None;
        }
        if self.progress.is_running() {
            self.stop_follower(env.now());
            if is_visible && !self.wish.is_stale() && self.files.package().is_some() {
                mutated!(RoleNotRendered, self.works.want(Work::Render, env.now()), ());
                self.ask_suitability(env);
            }
        }
        self.reconcile(env);
    }

    /// A follower does not run where only a leader does. A process that acts is demoted instead.
    pub(super) fn stop_follower(&mut self, now: Instant) {
        assert!(self.progress.pid().is_some(), "only a process is stopped");
        if self.part.follows() && !self.lead.is_told() && self.role_missing(now).is_some() {
            mutated!(FollowerRunsOn, self.wish.outdated("only a leader runs", true), ());
        }
    }

    /// The election wants the right to resume back: it is about to free its voters.
    pub(in super::super) fn handle_yield(&mut self, env: &mut Env<'_, '_>) {
        self.lead.yield_lead();
        self.withdraw(env);
        self.reconcile(env);
    }

    /// Brings what the guard holds, and then what the processes are told, in line with the election.
    pub(super) fn lead_on(&mut self, env: &mut Env<'_, '_>) {
        if !self.has_tree() {
            return self.lead.end();
        }
        let is_starting = matches!(self.progress.phase(), Phase::Spawning { .. });
        if is_starting || (self.progress.pid().is_none() && !self.lead.has_hooks()) {
            return;
        }
        match self.part.leads() {
            Some((term, until)) if !self.lead.has_yielded() => self.lease_on(term, until, env),
            Some(_) => {}
            // Its election has not spoken yet: what the guard holds is the last word.
            None if self.adoption.is_some() && !self.part.is_known() => {}
            None => self.step_back(env),
        }
    }

    /// It leads: the guard hears until when.
    fn lease_on(&mut self, term: u64, until: Instant, env: &mut Env<'_, '_>) {
        self.lead.drop_demotion();
        let lease = match self.progress.pid() {
            Some(_) => self.lease(term, until, env),
            // Hooks end with their supervisor, so no other one leads on by them.
            None => Lease { kill_at: until, resume: None },
        };
        // A process that is to end before it was ever told is no leader's.
        let concerned = self.progress.is_running() || self.lead.acts();
        if concerned && until > env.now() && self.lead.given() != Some(&lease) && self.lead.has_room() {
            self.give(Some(lease), env);
        }
    }

    /// Whether anything runs that acts as files and hooks tell it.
    pub(in super::super) const fn has_tree(&self) -> bool {
        self.progress.has_tree() || self.lead.has_hooks()
    }

    /// What the guard is to hold before a hook runs that may say that the service leads; none when it says nothing of that.
    pub(super) fn hook_lease(&mut self, purpose: Purpose, env: &Env<'_, '_>) -> Option<Lease> {
        if !self.lead.is_told() && !self.files.may_say_it_leads() {
            return None;
        }
        let given = self.lead.given().map(|lease| lease.kill_at).filter(|_| self.progress.pid().is_some());
        let kill_at = given.or_else(|| self.part.leads().map(|(_, until)| until))?;
        let lease = Lease { kill_at, resume: None };
        if env.planted.has(Bug::HookUnleased) && self.progress.pid().is_none() {
            return None;
        }
        self.lead.hook_begins(purpose, &lease);
        Some(lease)
    }

    /// What the guard is to hold of a leader.
    pub(super) fn lease(&self, term: u64, until: Instant, env: &Env<'_, '_>) -> Lease {
        let resume = Resume { member: env.around.me(), group: self.group.clone(), term, until };
        Lease { kill_at: until, resume: Some(resume) }
    }

    /// It leads no longer.
    fn step_back(&mut self, env: &mut Env<'_, '_>) {
        self.withdraw(env);
        if !self.progress.is_running() {
            return;
        }
        if self.lead.is_told() {
            self.demote(env);
        } else if self.lead.given().is_some() && !self.lead.has_hooks() {
            // No process was told of the term, or all know by now that it is over. A deadline that only the last
            // supervisor knew of stands: it did not see its demotion succeed.
            mutated!(DeadlineStays, self.give(None, env), ());
        }
    }

    /// Takes the right to resume back; the time at which the guard kills stays.
    fn withdraw(&mut self, env: &mut Env<'_, '_>) {
        let Some(lease) = self.lead.given().filter(|lease| lease.resume.is_some()) else { return };
        let kill_at = lease.kill_at;
        if kill_at > env.now() && self.progress.pid().is_some() && !env.planted.has(Bug::ResumeNotWithdrawn) {
            self.give(Some(Lease { kill_at, resume: None }), env);
        }
    }

    /// The processes act as the leader and may no longer. There is no time to drain: another member may lead already.
    fn demote(&mut self, env: &mut Env<'_, '_>) {
        assert!(self.lead.is_told(), "only a process that acted as the leader is demoted");
        if self.wish.is_stale() || self.lead.demotion().is_some() || self.files.package().is_none() {
            return;
        }
        if !self.is_demoted_in_place() {
            self.tries.forget_failures();
            return self.wish.outdated("it leads no longer", false);
        }
        self.lead.begin_demotion();
        if env.planted.has(Bug::DeadlineLiftedEarly) {
            self.give(None, env);
        }
        self.files.forget_facts();
        self.works.want_now(Work::Render, env.now());
    }

    /// Whether the process goes on as a follower, told so by a hook.
    pub(super) fn is_demoted_in_place(&self) -> bool {
        self.files.demoted() == Demoted::Reconfigure && self.files.has_hook(Hook::Reconfigure)
    }

    /// A kind of work begins that may be a step of a demotion.
    pub(super) fn demotion_begins(&mut self, work: Work) {
        if work == Work::Render {
            self.lead.demote_on(Demotion::Files, Demotion::Writing);
        } else if work == Work::Reconfigure {
            self.lead.demote_on(Demotion::Hook, Demotion::Telling);
        }
    }

    /// A kind of work has ended that may be a step of a demotion. What fails is not tried again: the process acts, and
    /// another member may be waiting.
    pub(super) fn demotion_goes_on(&mut self, work: Work, result: &EffectResult, env: &Env<'_, '_>) {
        if work == Work::Render && self.lead.demotion() == Some(Demotion::Writing) {
            if mutated!(FailedFilesDemote, matches!(result, EffectResult::Rendered(_)), true) {
                self.lead.demote_on(Demotion::Writing, Demotion::Hook);
                self.works.want_now(Work::Reconfigure, env.now());
            } else {
                self.lead.drop_demotion();
                self.wish.outdated("it leads no longer, and its files could not be written", false);
            }
        }
        if work == Work::Reconfigure && self.lead.demotion() == Some(Demotion::Telling) {
            if matches!(result, EffectResult::HookEnded(end) if mutated!(FailedHookDemotes, end.is_ok(), true))
            {
                self.lead.demoted();
            } else {
                self.lead.drop_demotion();
                self.wish.outdated("it leads no longer, and its reconfigure hook failed", false);
            }
        }
    }

    fn give(&mut self, lease: Option<Lease>, env: &mut Env<'_, '_>) {
        assert!(lease.as_ref().is_none_or(|lease| lease.kill_at > env.now()), "a lease lasts");
        let (number, pid) = (env.outbox.next_number(), self.progress.pid());
        match lease.clone() {
            Some(lease) if pid.is_none() => self.lead.give_hook(lease),
            lease => self.lead.give(number, lease),
        }
        let effect = Effect::Lease { service: self.name.clone(), pid, lease };
        env.want(&self.name, Purpose::Lease(number), effect);
    }

    /// The guard has answered.
    pub(super) fn handle_leased(&mut self, number: u64, result: &EffectResult, env: &mut Env<'_, '_>) {
        let EffectResult::LeaseFailed { reason } = result else {
            self.lead.acknowledged(number);
            self.clear(|kind| kind == ObstacleKind::Guard, env);
            return self.reconcile(env);
        };
        self.obstruct(ObstacleKind::Guard, None, reason, env);
        self.tries.note_error(reason.clone());
        match self.lead.refused(number) {
            // The next renewal tries again; until then the earlier deadline stands.
            None | Some(Refused::Renewal) => {}
            Some(Refused::Entry) => mutated!(
                RefusedEntryIgnored,
                self.wish.outdated("its guard could not be told that it leads", true),
                ()
            ),
            Some(Refused::Withdrawal) => {
                let what = "its guard could not be told that it leads no longer";
                mutated!(RefusedWithdrawalIgnored, self.wish.outdated(what, false), ());
            }
        }
        self.reconcile(env);
    }

    /// Whether files may be written: those of an adopted process wait for facts, and those of a leader for its guard.
    pub(super) fn may_write(&self, planted: Planted) -> bool {
        let is_entered = self.part.leads().is_none_or(|(term, _)| self.lead.has_entered(term));
        let entered = is_entered || !self.wish.has_leader() || planted.has(Bug::RenderedBeforeLeased);
        let known = self
            .adoption
            .is_none_or(|adoption| adoption.is_due() && (!self.wish.has_leader() || self.part.is_known()));
        !self.files.is_writing() && entered && (known || planted.has(Bug::AdoptedRenderedEarly))
    }

    /// Whether its processes act as the leader although the election has taken the lead away.
    pub(super) fn has_lost_lead(&self) -> bool {
        let unknown = self.adoption.is_some() && !self.part.is_known();
        self.lead.is_told() && self.part.leads().is_none() && !unknown
    }

    /// Whether a process that is to end is demoted first, so that it drains as a follower.
    pub(super) fn resigns_first(&mut self, how: StopHow, env: &Env<'_, '_>) -> bool {
        assert!(self.progress.is_running(), "a process is demoted while it runs");
        let is_replaced = self.is_wanted(env) && !self.wish.moves();
        let in_order = env.leaving < Leaving::Hurried && how.drain;
        let acts = self.lead.is_told() && self.wish.has_leader() && self.health() != Health::Critical;
        if is_replaced || !in_order || !acts || mutated!(StopsAsLeader, !self.is_demoted_in_place(), true) {
            self.resigns_by = None;
            return false;
        }
        let by = env.now() + Duration::from_millis(super::deadline::RESIGN_MS);
        *self.resigns_by.get_or_insert(by) > mutated!(ResignsForEver, env.now(), Instant::ZERO)
    }

    /// The process is told to end; a healthy leader keeps the lead meanwhile, within bounds.
    pub(super) fn pause_lead(&mut self, drain_ms: Option<u64>, env: &Env<'_, '_>) {
        self.resigns_by = None;
        self.pause = None;
        self.lead.drop_demotion();
        let is_well = mutated!(IllKeepsTheLead, self.health() != Health::Critical, true)
            && !env.planted.has(Bug::LeadGivenEarly);
        if self.part.leads().is_some() && is_well {
            let drain = drain_ms.map_or(Duration::ZERO, super::bounded);
            self.pause = Some(Pause::ending(env.now(), drain, self.shutdown_timeout()));
        }
    }

    /// Notes the time, and that a service that was replaced is well again.
    pub(super) fn tick_lead(&mut self, env: &Env<'_, '_>) {
        self.pause = self.pause.map(|pause| pause.at(env.now()));
        if let Some(adoption) = &mut self.adoption {
            adoption.tick(env.now(), env.around.is_alone());
        }
        let has_check = self.files.package().is_none_or(|package| package.has_health_check);
        let well = !mutated!(WellUnchecked, has_check, false)
            || matches!(self.checks.health(), Health::Ok | Health::Warning);
        let begins = matches!(self.pause, Some(Pause::Starting { .. } | Pause::Overdue));
        if mutated!(PauseOutlivesTheRestart, begins, false) && self.progress.is_running() && well {
            self.pause = None;
        }
    }

    /// Whether it could lead its group, and what a leader in its state does.
    pub(super) fn readiness(&self, leaving: Leaving) -> Readiness {
        let is_up = self.wish.is_up() && leaving == Leaving::No;
        let is_maintained = mutated!(MaintainedLeads, self.spec().maintenance.is_some(), false);
        if is_maintained || self.resigns_by.is_some() {
            return Readiness::Unfit;
        }
        match (self.pause, self.progress.phase()) {
            (Some(Pause::Overdue), _) => return Readiness::Unfit,
            (Some(Pause::Ending { .. }), Phase::Stopping { .. })
                if is_up && mutated!(MoveIsARestart, !self.wish.moves(), true) =>
            {
                return Readiness::Restarting { until: None };
            }
            (Some(Pause::Ending { by }), Phase::Stopping { .. }) => return Readiness::Stopping { until: by },
            (_, Phase::Stopping { .. }) => return Readiness::Unfit,
            _ => {}
        }
        if let Some(drain) = &self.drain {
            let rest = Duration::from_millis(super::deadline::ORDERED_STOP_MS) + self.shutdown_timeout();
            return drain.ends().map_or(mutated!(DrainedIsFit, Readiness::Unfit, Readiness::Unknown), |at| {
                Readiness::Stopping { until: at + rest }
            });
        }
        if let (Some(Pause::Starting { by }), true) = (self.pause, is_up) {
            return Readiness::Restarting { until: Some(by) };
        }
        if let Some(adoption) = self.adoption {
            let stands = mutated!(AdoptedStandsEarly, adoption.is_role_overdue(), true) && self.wish.is_up();
            return if stands { Readiness::Fit } else { Readiness::Unknown };
        }
        let is_down = self.files.package().is_none() || !self.progress.is_at_hand();
        if !self.wish.is_up() || is_down || mutated!(IllIsFit, self.health() == Health::Critical, false) {
            return Readiness::Unfit;
        }
        // An answer that is not here yet is no bad one.
        let asked = self.checks.suitability().is_some() || !self.files.has_hook(Hook::Suitability);
        if mutated!(UnaskedStands, asked, true) { Readiness::Fit } else { Readiness::Unknown }
    }

    /// Tells the node what elections depend on, where it has changed.
    pub(super) fn report_lead(&mut self, env: &mut Env<'_, '_>) {
        let fitness = self.fitness(env.leaving);
        if self.told_fitness != fitness {
            self.told_fitness = fitness;
            env.tell(ServiceEvent::Fitness { group: self.group.clone() });
        }
        if let Some(group) = self.lead.stopped_acting(&self.group) {
            env.tell(ServiceEvent::ActsNoLonger { group });
        }
    }
}
