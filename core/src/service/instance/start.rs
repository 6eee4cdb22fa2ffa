//! The steps from wanted to running: preparing the package, waiting for binds and a leader, running the init hook,
//! starting the process; or taking over a process that outlived the last supervisor. A process may be started only when
//! none of the service is left.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use super::super::deadline;
use super::super::work::Work;
use super::adoption::Adoption;
use super::part::Part;
use super::pause::Pause;
use super::tries::Next;
use super::{Env, Instance, Phase, binds};
use crate::model::command::StopHow;
use crate::model::election::Role;
use crate::model::exit_status::ExitStatus;
use crate::model::io::{Effect, EffectResult};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::prepared::{HookEnd, HookExit, Prepared};
use crate::model::service::{Demoted, Hook, ObstacleKind, ServiceSpec};
use crate::model::time::Instant;
use crate::service::purpose::{Leaving, Purpose};

impl Instance {
    /// Asks for the package. Called only while there is no process.
    pub(super) fn prepare(&mut self, reason: &str, env: &mut Env<'_, '_>) {
        match self.spec().service_group(env.org) {
            Ok(group) => {
                if self.told.is_elsewhere(&group) {
                    self.told.retract(env);
                }
                let moves = core::mem::replace(&mut self.group, group) != self.group;
                if (self.wish.renewed() || moves) && !env.planted.has(Bug::GateBypassed) {
                    // What the election of the last group said opens no door here: it waits like one that is loaded.
                    self.part = Part::default();
                }
            }
            Err(error) => {
                let org = env.org.unwrap_or_default();
                let reason =
                    format!("group {:?} with organization {org:?} is not valid: {error}", self.spec().group);
                return self.fail_start(ObstacleKind::Spec, None, &reason, env);
            }
        }
        self.progress.reconsidered();
        self.enter(Phase::Preparing, reason, env);
        assert!(!self.told.is_elsewhere(&self.group), "the ring forgets the group that a service leaves");
        self.prepare_when_free(env);
    }

    /// One effect at a time writes a service's files: a write for the process that is gone ends first.
    pub(super) fn prepare_when_free(&mut self, env: &mut Env<'_, '_>) {
        if self.progress.phase() != Phase::Preparing || self.files.is_writing() {
            return;
        }
        assert!(!self.progress.has_process(), "a package is made ready while no process uses it");
        if self.is_wanted(env) {
            let effect = self.prepare_effect(env);
            self.hooks.begin_preparing();
            env.want(&self.name, Purpose::Prepare, effect);
        } else {
            self.enter(Phase::Idle, "no longer wanted", env);
        }
    }

    pub(super) fn prepare_effect(&mut self, env: &Env<'_, '_>) -> Effect {
        let facts = Box::new(self.facts(env));
        assert!(facts.me == env.around.me(), "templates know the member that they are written for");
        let spec = Box::new(self.exact_spec(env));
        Effect::Prepare { service: self.name.clone(), spec, facts }
    }

    /// Asks for the package that an adopted process was started from.
    pub(super) fn look_effect(&self, env: &Env<'_, '_>) -> Effect {
        let ident = self.files.adopted().unwrap_or(&self.spec().ident).clone();
        let spec = Box::new(ServiceSpec { ident, ..self.spec().clone() });
        Effect::Look { service: self.name.clone(), spec, facts: Box::new(self.look_around(env)) }
    }

    /// The package is ready.
    pub(in super::super) fn handle_prepared(&mut self, prepared: &Prepared, env: &mut Env<'_, '_>) {
        if self.progress.phase() != Phase::Preparing {
            return;
        }
        if !self.is_wanted(env) {
            self.enter(Phase::Idle, "no longer wanted", env);
        } else if self.wish.is_stale() {
            self.prepare("its options changed", env);
        } else {
            self.written_in_spite_of(&prepared.obstacles, env);
            self.files.prepared(prepared);
            self.tell_build(&prepared.ident, env);
            self.told.publish();
            self.publish(env);
            assert!(!self.told.is_elsewhere(&self.group), "a service is announced where it is");
            self.wait_or_start(env);
        }
        self.reconcile(env);
    }

    /// The package is not ready.
    pub(in super::super) fn handle_prepare_failed(
        &mut self,
        kind: ObstacleKind,
        reason: &str,
        env: &mut Env<'_, '_>,
    ) {
        if self.progress.phase() != Phase::Preparing {
            return;
        }
        let (is_wanted, was_told) = (self.is_wanted(env), self.hooks.was_told_preparing());
        if is_wanted && self.wish.is_stale() {
            self.prepare("its options changed", env);
        } else if is_wanted && was_told {
            self.prepare("wanted up again", env);
        } else if was_told {
            self.enter(Phase::Idle, "no longer wanted", env);
        } else {
            self.fail_start(kind, None, reason, env);
        }
        self.reconcile(env);
    }

    /// With the package at hand: waits for the groups it is bound to and for a leader, or goes on.
    ///
    /// The files are rendered again after a wait, because the ring changed meanwhile.
    pub(super) fn wait_or_start(&mut self, env: &mut Env<'_, '_>) {
        self.progress.reconsidered();
        let waited = self.progress.phase() == Phase::Waiting;
        assert!(
            waited || self.progress.phase() == Phase::Preparing,
            "a start waits after its package is ready"
        );
        assert!(self.files.package().is_some(), "the binds of a service are known from its package");
        if self.wish.is_stale() {
            return self.prepare("its options changed", env);
        }
        if self.files.say_it_leads() && self.part.leads().is_none() {
            // The hooks that run while it waits say what the files say.
            return self.prepare("it leads no longer", env);
        }
        let plan = self.files.package().map_or(&[][..], |p| &p.binds);
        if let Some(why) = binds::not_given(self.spec(), plan) {
            // No news of the ring ends this, but another package may; the operator's own change of the binds does at once.
            return self.fail_start(ObstacleKind::Spec, None, &why, env);
        }
        let census = env.around.census(&binds::groups(self.spec()));
        let missing = binds::missing(self.spec(), plan, &census).map(|why| (Some(ObstacleKind::Bind), why));
        let Some((kind, why)) =
            missing.or_else(|| self.role_missing(env.now()).map(|why| (self.waits_on_election(), why)))
        else {
            return if mutated!(WaitedStartsAtOnce, waited, false) {
                self.prepare("what it waited for is there", env)
            } else {
                self.begin_init(env)
            };
        };
        if waited && self.files.has_new_versions(&self.look_around(env)) {
            // Its members are told that it starts with what the group has now.
            return self.prepare("its configuration changed", env);
        }
        if self.progress.waiting_for() != Some(&why) || !waited {
            self.enter(Phase::Waiting, &why, env);
            self.progress.wait_for(kind, why);
            self.publish(env);
            self.ask_suitability(env);
        }
    }

    /// An operator starts a service that is wanted up already: it is tried now. Whether it was not being tried.
    pub(in super::super) fn start_again(&mut self, env: &mut Env<'_, '_>) -> bool {
        let waits = self.progress.phase() == Phase::Waiting;
        let rested = waits || self.is_given_a_rest();
        self.forgive(env);
        if waits {
            // What it waits for was read in a package that may be another one by now.
            self.prepare("an operator starts it again", env);
        }
        self.reconcile(env);
        assert!(
            !waits || self.progress.phase() != Phase::Waiting,
            "an operator's start looks at the package"
        );
        rested
    }

    /// An operator has changed what its files are written with. Where that was why it failed, it need not rest; the failures
    /// were those of another configuration.
    pub(super) fn try_with_new_files(&mut self, env: &mut Env<'_, '_>) {
        if self.is_given_a_rest() && self.is_wanted(env) {
            self.tries.forget_failures();
            self.enter(Phase::Backoff { until: env.now() }, "its configuration changed", env);
            assert!(self.progress.next_start() == Some(env.now()), "a new configuration is tried at once");
        }
    }

    /// Why its part in the group does not let it run; none when it does.
    pub(super) fn role_missing(&self, now: Instant) -> Option<String> {
        if !self.wish.has_leader() {
            return None;
        }
        let only_leads = self.files.demoted() == Demoted::Stop;
        self.part.missing(&self.group, only_leads, now)
    }

    /// A follower waits as it should where only a leader runs.
    fn waits_on_election(&self) -> Option<ObstacleKind> {
        (!self.part.follows()).then_some(ObstacleKind::Election)
    }

    fn begin_init(&mut self, env: &mut Env<'_, '_>) {
        if !self.files.has_hook(Hook::Init) {
            return self.spawn("prepared", env);
        }
        if self.part_has_changed(env) {
            return self.prepare("its part in the group changed", env);
        }
        self.enter(Phase::Initializing, "prepared", env);
        assert!(!self.files.is_writing(), "no file changes while the init hook runs");
        self.run_hook(Purpose::Init, Hook::Init, deadline::INIT_MS, env);
    }

    /// Whether the package was made ready for a part that the service has no longer, of which no process is to be told.
    fn part_has_changed(&self, env: &Env<'_, '_>) -> bool {
        let is_late = self.role_missing(env.now()).is_some();
        self.wish.has_leader()
            && (is_late
                || mutated!(StartsInAnOldPart, self.part.differs_from(self.files.role_in_hand()), false))
    }

    /// Has a hook run that stands between two processes.
    fn run_hook(&mut self, purpose: Purpose, hook: Hook, timeout_ms: u64, env: &mut Env<'_, '_>) {
        assert!(!self.progress.has_process(), "beside a process hooks are work");
        let lease = self.hook_lease(purpose, env);
        self.note_hook(hook, timeout_ms, env);
        let effect = Effect::RunHook { service: self.name.clone(), hook, timeout_ms, lease };
        env.want(&self.name, purpose, effect);
    }

    /// A hook is about to begin.
    pub(super) fn note_hook(&mut self, hook: Hook, limit_ms: u64, env: &Env<'_, '_>) {
        self.hooks.begin(hook, self.works.process(), limit_ms, (env.now(), env.ctx.wall));
    }

    /// The init hook ended, or was ended because it was `told` to.
    pub(in super::super) fn handle_init_ended(&mut self, end: &HookEnd, told: bool, env: &mut Env<'_, '_>) {
        if self.progress.phase() != Phase::Initializing {
            return;
        }
        assert!(self.files.has_hook(Hook::Init), "only a hook that a package has is run");
        if !self.is_wanted(env) {
            self.enter(Phase::Idle, "no longer wanted", env);
        } else if self.wish.is_stale() {
            self.prepare("its options changed", env);
        } else if told {
            self.prepare("wanted up again", env);
        } else if self.files.say_it_leads() && self.part.leads().is_none() {
            // Its guard may have ended it for that.
            self.prepare("it leads no longer", env);
        } else if let Some(reason) = failure_of(Hook::Init, end) {
            self.fail_start(ObstacleKind::Hook, Some(Hook::Init), &reason, env);
        } else {
            self.clear_hook(Hook::Init, env);
            self.spawn("initialized", env);
        }
        self.reconcile(env);
    }

    fn spawn(&mut self, reason: &str, env: &mut Env<'_, '_>) {
        assert!(!self.wish.is_stale(), "a process is spawned only as wanted");
        assert!(self.is_wanted(env), "only a wanted service is spawned");
        if self.part_has_changed(env) {
            return self.prepare("its part in the group changed", env);
        }
        let lease = self.part.leads().map(|(term, until)| self.lease(term, until, env));
        assert!(
            lease.is_some() == self.files.say_it_leads(),
            "a process that leads from its start has a lease"
        );
        self.lead.begin(lease.clone());
        self.enter(Phase::Spawning { adopted: false }, reason, env);
        let (service, group, restarts) = (self.name.clone(), self.group.clone(), self.tries.restarts());
        let effect = Effect::Spawn { service, group, lease, restarts };
        env.want(&self.name, Purpose::Spawn, effect);
    }

    /// Takes over the process that outlived the last supervisor, also where it is to be stopped then.
    pub(super) fn adopt(&mut self, env: &mut Env<'_, '_>) {
        let Some(kept) = self.progress.take_kept() else { return };
        assert!(kept.service == self.name, "a process is adopted by its service");
        let build = env.around.build(&self.name, &self.spec().ident);
        if mutated!(OtherPackageAdopted, !kept.ident.satisfies(&self.spec().ident), false) {
            self.wish.outdated("its options changed", true);
        } else if build.is_some_and(|build| build != kept.ident) {
            // The supervisor ended between its word that another build is to run and the end of this one.
            self.wish.outdated("another build is to run", true);
        } else {
            self.tell_build(&kept.ident, env);
        }
        self.enter(Phase::Spawning { adopted: true }, "its process outlived the last supervisor", env);
        let uptime_ms = env.ctx.wall.as_millis().saturating_sub(kept.since.as_millis());
        self.progress.backdate((env.now() - Duration::from_millis(uptime_ms), kept.since));
        self.tries.adopt(kept.restarts);
        self.files.adopt(kept.ident, kept.shutdown_timeout_ms);
        self.adoption = Some(Adoption::new(env.now(), kept.health));
        assert!(!self.told.is_public(), "an adopted process is announced when its package was looked at");
        let effect = Effect::Adopt { service: self.name.clone(), group: self.group.clone(), pid: kept.pid };
        env.want(&self.name, Purpose::Spawn, effect);
    }

    /// The process runs.
    pub(in super::super) fn handle_spawned(&mut self, pid: u32, env: &mut Env<'_, '_>) {
        let Phase::Spawning { adopted } = self.progress.phase() else { return };
        self.forget_process(env);
        let started = self.progress.since();
        // An adopted process that is to end runs until its package was looked at.
        if adopted || (self.is_wanted(env) && !self.wish.is_stale()) {
            self.tries.clear_error();
            self.clear(|kind| matches!(kind, ObstacleKind::Process | ObstacleKind::Hook), env);
            let how = if adopted { "was adopted as" } else { "runs as" };
            self.enter(Phase::Running { pid }, &format!("{how} process {pid}"), env);
            if adopted {
                self.progress.backdate(started);
                let found = self.adoption.as_ref().and_then(Adoption::health);
                self.checks.inherit(mutated!(HealthEndsWithTheSupervisor, found, None));
                self.works.want_now(Work::Prepare, env.now());
            } else {
                self.process_started(env);
            }
        } else {
            // The service never counts as up: a stop that was asked in the meantime comes first.
            let why = self.wish.why_stop(env.leaving);
            let (reason, how) = why.expect("it is not wanted, or it is stale");
            self.begin_stop(pid, reason, how, env);
        }
        assert!(self.progress.pid().is_none_or(|ran| ran == pid), "the process that was spawned is the one");
        self.reconcile(env);
    }

    /// The process could not be started, or is there no longer to be adopted.
    pub(in super::super) fn handle_spawn_failed(&mut self, reason: &str, env: &mut Env<'_, '_>) {
        let Phase::Spawning { adopted } = self.progress.phase() else { return };
        (self.adoption, self.pause) = (None, None);
        self.lead.end();
        if adopted && self.is_wanted(env) {
            // A process that ended while no supervisor ran is no failure of a start.
            self.prepare(reason, env);
        } else if adopted {
            self.enter(Phase::Idle, reason, env);
        } else {
            self.fail_start(ObstacleKind::Process, None, reason, env);
        }
        assert!(!self.progress.has_process(), "a service that could not be spawned has no process");
        self.reconcile(env);
    }

    /// The package of an adopted process was looked at.
    pub(super) fn adopted_prepared(&mut self, prepared: &Prepared, env: &mut Env<'_, '_>) {
        assert!(self.progress.pid().is_some(), "the package of a process is looked at while it runs");
        self.adoption = None;
        let replaced = self.files.prepared_for_adopted(prepared, env.planted);
        self.told.publish();
        self.publish(env);
        self.look_at_binds(env);
        if mutated!(ReplacedPackageAdopted, replaced, false) {
            self.wish.outdated("its package changed", true);
            return;
        }
        // The election may have spoken before it was known that only a leader runs.
        self.stop_follower(env.now());
        self.check_first(env);
        self.ask_suitability(env);
        self.follow_changes(&prepared.changed, env);
    }

    /// The package of an adopted process was looked at, because the process is to end: as its plan says. Its files stay.
    pub(super) fn adopted_looked_at(&mut self, prepared: &Prepared, env: &mut Env<'_, '_>) {
        let Some(adoption) = &mut self.adoption else { return };
        adoption.looked();
        assert!(self.progress.pid().is_some(), "the package of a process is looked at while it runs");
        if self.files.adopted() == Some(&prepared.ident) && self.files.package().is_none() {
            self.files.looked_at(prepared);
            self.told.publish();
            self.publish(env);
        }
    }

    /// Whether a process that is to end waits until its package has been looked at: the plan says how it is drained.
    pub(super) fn looks_first(&mut self, how: StopHow, env: &Env<'_, '_>) -> bool {
        let in_order = env.leaving < Leaving::Hurried && how.drain;
        if !in_order || self.files.package().is_some() {
            return false;
        }
        let Some(adoption) = &mut self.adoption else { return false };
        // A look that is under way writes the files as well; it says the same.
        if adoption.ask_to_look(env.now()) && !self.files.is_writing() {
            self.works.want_now(Work::Look, env.now());
        }
        adoption.is_looking()
    }

    /// An adopted process whose part is not known for long is announced without its files being written: what the last
    /// supervisor said of it may be lost, and the election that has yet to give it its part counts no vote of a member that
    /// the ring knows no service of.
    pub(super) fn look_when_overdue(&mut self, env: &mut Env<'_, '_>) {
        assert!(self.progress.is_running(), "only a process that runs is announced so");
        let is_unknown = self.wish.has_leader() && !self.part.is_known() && self.files.package().is_none();
        let Some(adoption) = self.adoption.as_mut().filter(|adoption| adoption.is_role_overdue()) else {
            return;
        };
        if is_unknown && adoption.ask_to_look(env.now()) && !self.files.is_writing() {
            assert!(!self.told.is_public(), "what is announced needs no look");
            self.works.want_now(Work::Look, env.now());
        }
    }

    fn fail_start(&mut self, kind: ObstacleKind, hook: Option<Hook>, reason: &str, env: &mut Env<'_, '_>) {
        self.pause = None;
        self.tries.note_error(String::from(reason));
        self.obstruct(kind, hook, reason, env);
        if self.is_wanted(env) {
            self.back_off(reason, env);
        } else {
            self.enter(Phase::Idle, reason, env);
        }
        assert!(!self.progress.has_process(), "a start that failed leaves no process");
    }

    /// Waits before the next try, or gives up.
    pub(super) fn back_off(&mut self, reason: &str, env: &mut Env<'_, '_>) {
        match self.tries.failed(env.backoff, env.rng) {
            Next::GiveUp { failures } => {
                let reason = format!("{reason}; given up after {failures} failures in a row");
                self.enter(Phase::Failed, &reason, env);
            }
            Next::Wait(wait) => self.enter(Phase::Backoff { until: env.now() + wait }, reason, env),
        }
        assert!(self.is_given_a_rest(), "a service that failed rests before the next try");
    }

    /// The process ended.
    pub(in super::super) fn handle_exited(&mut self, status: ExitStatus, env: &mut Env<'_, '_>) {
        let crashed = match self.progress.phase() {
            Phase::Running { .. } | Phase::Spawning { .. } => !self.wish.is_stale(),
            Phase::Stopping { .. } => false,
            Phase::New
            | Phase::Idle
            | Phase::Failed
            | Phase::Backoff { .. }
            | Phase::Waiting
            | Phase::Preparing
            | Phase::Initializing
            | Phase::AfterStop { .. } => return,
        };
        let ran = self.progress.is_running().then(|| self.progress.lasted(env.now()));
        assert!(self.progress.has_process(), "only a process ends");
        self.tries.exited(status, ran, env.backoff);
        self.forget_process(env);
        self.process_drained(env);
        self.adoption = None;
        self.lead.end();
        let keeps_lead = matches!(self.pause, Some(Pause::Ending { .. })) && self.is_wanted(env);
        self.pause = (keeps_lead && !crashed).then(|| Pause::starting(env.now()));
        let reason = format!("process ended: {status}");
        if self.files.has_hook(Hook::PostStop) && env.leaving < Leaving::Hurried {
            let crashed = mutated!(PostStopForgetsTheCrash, crashed, false);
            self.enter(Phase::AfterStop { crashed, begun: false }, &reason, env);
            self.post_stop_when_free(env);
        } else {
            self.after_process(crashed, &reason, env);
        }
        assert!(!self.progress.has_process(), "a process ends once");
        self.reconcile(env);
    }

    /// Runs the post-stop hook. One that says that the service leads is written anew first when it does no longer: it
    /// cleans up after a leader and must not act as one.
    pub(super) fn post_stop_when_free(&mut self, env: &mut Env<'_, '_>) {
        if !matches!(self.progress.phase(), Phase::AfterStop { begun: false, .. }) {
            return;
        }
        let leads = self.part.leads().is_some_and(|(_, until)| until > env.now());
        if leads || !self.files.may_say_it_leads() {
            self.progress.post_stop_begins();
            self.run_hook(Purpose::PostStop, Hook::PostStop, deadline::POST_STOP_MS, env);
        } else if !self.files.is_writing() {
            self.progress.post_stop_begins();
            let mut facts = self.look_around(env);
            if self.part.leads().is_some() {
                // Its election will say so, too: the lease has run out.
                let why = String::from("its lease has run out");
                facts.role = Some(Role::Waiting { why });
            }
            self.files.take_in_hand(&facts, &self.group);
            self.files.begin_writing(self.works.process());
            let facts = Box::new(facts);
            env.want(
                &self.name,
                Purpose::PostStopFiles,
                Effect::Render { service: self.name.clone(), facts },
            );
        }
    }

    /// The files before the post-stop hook are written, or cannot be.
    pub(in super::super) fn handle_post_stop_files(&mut self, result: &EffectResult, env: &mut Env<'_, '_>) {
        self.files.end_writing(self.works.process());
        if matches!(result, EffectResult::Rendered(_)) {
            self.files.are_written();
        }
        let Phase::AfterStop { crashed, .. } = self.progress.phase() else { return };
        assert!(!self.progress.has_process(), "the post-stop hook follows the end of a process");
        if let EffectResult::RenderFailed { reason, .. } = result {
            let reason = format!("{reason}; its post-stop hook still says that it leads and is not run");
            self.obstruct(ObstacleKind::Hook, Some(Hook::PostStop), &reason, env);
            self.tries.note_error(reason);
            self.files.forget_facts();
            self.after_process(crashed, "process ended", env);
        } else {
            self.run_hook(Purpose::PostStop, Hook::PostStop, deadline::POST_STOP_MS, env);
        }
        self.reconcile(env);
    }

    /// The post-stop hook ended, or was ended because it was `told` to.
    pub(in super::super) fn handle_post_stop_ended(
        &mut self,
        end: &HookEnd,
        told: bool,
        env: &mut Env<'_, '_>,
    ) {
        let Phase::AfterStop { crashed, .. } = self.progress.phase() else { return };
        assert!(self.files.has_hook(Hook::PostStop), "only a hook that a package has is run");
        assert!(self.tries.last_exit().is_some(), "the post-stop hook follows the end of a process");
        if let Some(reason) = failure_of(Hook::PostStop, end).filter(|_| !told) {
            self.obstruct(ObstacleKind::Hook, Some(Hook::PostStop), &reason, env);
            self.tries.note_error(reason);
        }
        let status = self.tries.last_exit().unwrap_or(ExitStatus::Unknown);
        self.after_process(crashed, &format!("process ended: {status}"), env);
        self.reconcile(env);
    }

    /// The process and its hooks have ended: the next step depends on why it ended.
    fn after_process(&mut self, crashed: bool, reason: &str, env: &mut Env<'_, '_>) {
        if !self.is_wanted(env) {
            self.enter(Phase::Idle, reason, env);
        } else if crashed {
            self.obstruct(ObstacleKind::Process, None, &format!("its {reason}"), env);
            self.back_off(reason, env);
        } else {
            self.prepare(reason, env);
        }
    }

    /// Another process begins: work that is under way for the last one no longer concerns the service.
    fn forget_process(&mut self, env: &mut Env<'_, '_>) {
        self.works.forget_process(env.outbox.next_number());
        self.checks.forget_process();
    }
}

/// Why a hook failed; none when it succeeded.
pub(super) fn failure_of(hook: Hook, end: &HookEnd) -> Option<String> {
    match &end.exit {
        _ if end.is_ok() => None,
        HookExit::Missing => None,
        HookExit::Ended(status) => Some(format!("the {hook} hook ended with {status}")),
        HookExit::TimedOut => Some(format!("the {hook} hook did not end in time and was killed")),
        HookExit::Failed(why) => Some(format!("the {hook} hook could not be run: {why}")),
    }
}
