//! One service: it takes the next step from what the service does towards what its operator wants. It may act through
//! effects only.
//!
//! At any time at most one of its effects `Prepare`, `Spawn` and `Adopt` is unanswered, and `Spawn` is wanted only
//! after the process before has been seen to end. That is why an old and a new process never overlap.
//!
//! Each struct below owns a few fields and the invariants between them; a step may ask and change them only by their
//! methods.
//!
//! | struct | in | what |
//! |---|---|---|
//! | `Wish` | `wish` | the operator's wish, and whether the process still fits |
//! | `Progress` | `progress` | the phase, its begin, and the reason of a wait |
//! | `Files` | `files` | the package and its files, in hand |
//! | `Applied` | `applied` | the versions that the process was told of |
//! | `Told` | `told` | the announcements that the ring still believes |
//! | `Checks` | `checks` | the findings of health checks and of the suitability hook |
//! | `Works` | `../work` | work beside the process |
//! | `Tries` | `tries` | failures, restarts and the rest between them |
//! | `Hooks` | `hooks` | the hooks that run |
//! | `Obstacles` | `obstacles` | what stands between what is wanted and what runs |
//! | `Part` | `part` | the role that the election gave |
//! | `Drain` | `draining` | a drain that was begun |
//!
//! | steps in | what |
//! |---|---|
//! | `build` | which build runs |
//! | `start` | from wanted to running: package, binds, role, init, process; adoption |
//! | `run` | beside a process: files, hooks, role, lease |
//! | `check` | health, and suitability as a leader |
//! | `drain` | no new work, and the end of work in flight |
//! | `stop` | from running to down: telling the ring, drain, signal, post-stop |
//! | `show` | the views for the ring and for people |

mod acting;
mod adoption;
mod applied;
mod build;
mod check;
mod checks;
mod drain;
mod draining;
mod files;
mod hooks;
mod lead;
mod obstacles;
mod part;
mod pause;
mod progress;
mod run;
mod show;
mod start;
mod stop;
mod told;
mod tries;
mod wish;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use super::backoff::Backoff;
use super::binds;
use super::deadline::{self, bounded, ms_until};
use super::work::{Work, Works};
use crate::model::command::{CommandError, Reply, StopHow};
use crate::model::context::{Context, Follows};
use crate::model::election::Fitness;
use crate::model::facts::Facts;
use crate::model::id::{RequestId, ServiceGroup, ServiceName};
use crate::model::io::{Effect, EffectResult};
use crate::model::lease::Lease;
use crate::model::mutant::mutated;
use crate::model::planted::Planted;
use crate::model::rng::Rng;
use crate::model::service::{Hook, ServiceSpec, ServiceState, Topology};
use crate::model::time::Instant;
use crate::service::around::Around;
use crate::service::event::{ServiceEvent, Statement};
use crate::service::outbox::Outbox;
use crate::service::purpose::{Errand, Leaving, Purpose};
use crate::store::snapshot::RunningService;
use adoption::Adoption;
use checks::Checks;
use draining::Drain;
use files::Files;
use hooks::Hooks;
use lead::Lead;
use obstacles::Obstacles;
use part::Part;
use pause::Pause;
use progress::{Phase, Progress, Step};
use told::Told;
use tries::Tries;
use wish::Wish;

/// The tools that every step of a service may use.
pub(super) struct Env<'a, 'c> {
    pub(super) ctx: &'a mut Context<'c>,
    /// The cause of the step.
    pub(super) after: Follows,
    pub(super) around: &'a dyn Around,
    pub(super) leaving: Leaving,
    pub(super) org: Option<&'a str>,
    pub(super) backoff: &'a Backoff,
    pub(super) planted: Planted,
    pub(super) rng: &'a mut Rng,
    pub(super) outbox: &'a mut Outbox,
}

impl Env<'_, '_> {
    const fn now(&self) -> Instant {
        self.ctx.now
    }

    fn tell(&mut self, event: ServiceEvent) {
        self.outbox.tell(event);
    }

    fn want(&mut self, service: &ServiceName, purpose: Purpose, effect: Effect) {
        let errand = Errand::new(service, purpose);
        self.outbox.tell(ServiceEvent::Effect { errand, effect });
    }
}

#[derive(Debug)]
pub(super) struct Instance {
    name: ServiceName,
    /// The group that the view shows until the first start, then the group in which the service runs.
    group: ServiceGroup,
    wish: Wish,
    progress: Progress,
    files: Files,
    told: Told,
    checks: Checks,
    works: Works,
    hooks: Hooks,
    /// The strict bind that its running process lacks.
    lost_bind: Option<String>,
    obstacles: Obstacles,
    tries: Tries,
    part: Part,
    lead: Lead,
    /// While the supervisor replaces or stops the process of a leader.
    pause: Option<Pause>,
    /// While a process that outlived the last supervisor is left alone.
    adoption: Option<Adoption>,
    /// While a process is demoted before it is stopped: until then.
    resigns_by: Option<Instant>,
    drain: Option<Drain>,
    /// What elections were told last.
    told_fitness: Option<Fitness>,
}

impl Instance {
    /// A service whose spec is on disk. The view shows `group` until the first start.
    pub(super) fn new(
        spec: ServiceSpec,
        group: ServiceGroup,
        kept: Option<RunningService>,
        reason: &str,
        env: &mut Env<'_, '_>,
    ) -> Self {
        let name = spec.name();
        assert!(kept.as_ref().is_none_or(|kept| kept.service == name), "a process belongs to its service");
        assert!(*group.service() == *name.as_str(), "a service stands in a group of its name");
        env.tell(ServiceEvent::Changed {
            service: name.clone(),
            from: None,
            to: Some(ServiceState::Loaded),
            reason: String::from(reason),
            after: env.after,
        });
        let mut wish = Wish::new(spec);
        let mut lead = Lead::default();
        let group = match &kept {
            Some(kept) => Self::find(kept, group, &mut wish, &mut lead, env),
            None => group,
        };
        let adoption = kept.as_ref().map(|kept| Adoption::new(env.now(), kept.health));
        Self {
            name,
            wish,
            told: Told::new(kept.is_some().then(|| group.clone())),
            progress: Progress::new(env.now(), env.ctx.wall, kept),
            group,
            files: Files::default(),
            checks: Checks::new(),
            works: Works::new(env.outbox.next_number()),
            hooks: Hooks::default(),
            lost_bind: None,
            obstacles: Obstacles::default(),
            tries: Tries::default(),
            part: Part::default(),
            lead,
            pause: None,
            adoption,
            resigns_by: None,
            drain: None,
            told_fitness: None,
        }
    }

    /// A process outlived the last supervisor. Its group is that in which it was started, which the spec may have left
    /// since: the ring was told, and its guard knows of a lead. Such a process is replaced like one whose options change.
    fn find(
        kept: &RunningService,
        wanted: ServiceGroup,
        wish: &mut Wish,
        lead: &mut Lead,
        env: &Env<'_, '_>,
    ) -> ServiceGroup {
        let announced = env.around.announced(&kept.service);
        let resume = kept.resume.as_ref().filter(|resume| resume.group.service() == wanted.service());
        lead.adopt(resume.map(|resume| Lease { kill_at: resume.until, resume: Some(resume.clone()) }));
        let topology = wish.spec().topology;
        let told = announced.iter().find(|(group, _)| *group == wanted).or_else(|| announced.first());
        let led = resume.map(|resume| (resume.group.clone(), Topology::Leader));
        let Some((group, was)) = led.or_else(|| told.cloned()) else { return wanted };
        if group != wanted || was != topology {
            wish.found(group.group(), was);
            wish.outdated("its options changed", true);
        }
        group
    }

    /// An unloaded service of this name has a write of its files unanswered: this one's come after it.
    pub(super) const fn await_writing(&mut self, process: Option<u64>) {
        self.files.await_writing(process);
    }

    /// Whether it takes part in the elections of its group.
    pub(super) fn stands(&self) -> bool {
        self.wish.has_leader()
    }

    pub(super) const fn spec(&self) -> &ServiceSpec {
        self.wish.spec()
    }

    /// The process that outlived the last supervisor, until it is adopted.
    pub(super) fn kept_pid(&self) -> Option<u32> {
        self.progress.kept_pid()
    }

    pub(super) const fn group(&self) -> &ServiceGroup {
        &self.group
    }

    /// What the ring believes of it.
    pub(super) fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        self.told.statements()
    }

    /// The groups whose changes concern it.
    pub(super) fn watched(&self) -> Vec<ServiceGroup> {
        let mut groups = binds::groups(self.spec());
        groups.push(self.group.clone());
        groups
    }

    pub(super) const fn is_removing(&self) -> bool {
        self.wish.is_removing()
    }

    /// Whether the service can be forgotten: its row is deleted and no process is left. Work beside the process may
    /// still be unanswered, but no hook.
    pub(super) fn is_removed(&self) -> bool {
        self.wish.is_removing() && self.is_at_rest()
    }

    /// Whether nothing of it is left: no process, and no hook.
    fn is_at_rest(&self) -> bool {
        self.progress.phase() == Phase::Idle && self.hooks.is_idle()
    }

    /// Whether a supervisor that leaves has to wait for this service.
    pub(super) fn holds_up(&self) -> bool {
        self.progress.is_busy() || self.wish.is_awaited() || !self.hooks.is_idle()
    }

    /// Whether the supervisor is not trying it now, but would at an operator's start.
    const fn is_given_a_rest(&self) -> bool {
        self.progress.is_given_a_rest()
    }

    /// When `reconcile` is to be called again; none while only a command, an effect's result or a change of the
    /// ring can move it.
    pub(super) fn poll_timeout(&self, planted: Planted) -> Option<Instant> {
        let step = self.progress.due(self.drain_ends());
        let may_write = self.may_write(planted);
        let allowed =
            |work: Work| self.progress.allows(work, self.is_draining()) && (may_write || !work.writes());
        let works = self.works.poll_timeout(allowed);
        let drain = self.drain_ends().filter(|_| !self.progress.is_stopping());
        let pause = self.pause.and_then(Pause::poll_timeout);
        let adoption = self.adoption.and_then(|adoption| adoption.poll_timeout());
        let waits = [self.hooks.poll_timeout(), self.resigns_by, self.wish.unstored_until()];
        [step, works, drain, pause, adoption].into_iter().chain(waits).flatten().min()
    }

    /// Takes a spec that is on disk by now.
    pub(super) fn replace_spec(&mut self, spec: ServiceSpec, env: &mut Env<'_, '_>) {
        assert_eq!(spec.name(), self.name, "a service keeps its name");
        let replaced = self.wish.replace(spec);
        if replaced.needs_restart {
            self.progress.reconsider();
        }
        if replaced.is_checked_sooner {
            self.check_again(env);
        }
        if self.wish.is_up() {
            // An operator wants the service up again, so commands that wait for its end are answered now.
            self.wish.answer(env);
            if replaced.is_start || self.wish.is_stale() {
                self.forgive(env);
            }
        }
        assert!(!replaced.needs_restart || self.wish.is_stale(), "a process of the old spec is replaced");
        env.tell(ServiceEvent::Wish { service: self.name.clone() });
        self.publish(env);
    }

    /// An operator's start: no wait, no memory of failures.
    pub(super) fn forgive(&mut self, env: &mut Env<'_, '_>) {
        self.tries.forgive();
        if self.is_given_a_rest() {
            self.enter(Phase::Backoff { until: env.now() }, "an operator starts it again", env);
            assert!(self.progress.next_start() == Some(env.now()), "an operator's start waits for nothing");
        }
    }

    /// Its row is deleted.
    pub(super) const fn remove(&mut self) {
        self.wish.remove();
    }

    /// Makes this a service that only ends a process without a spec, which was never announced.
    pub(super) fn disown(&mut self) {
        self.wish.remove();
        self.told.disown();
    }

    /// How it is to be stopped, now that it is no longer wanted, and the command that is answered when it is down.
    pub(super) fn stop(&mut self, how: StopHow, request: RequestId) {
        self.wish.stop(how);
        self.wish.answer_when_down(request, Reply::Done);
    }

    /// The same, of which the disk has taken nothing: it stays loaded, and is tried again to be stored.
    pub(super) fn stop_unstored(
        &mut self,
        how: StopHow,
        request: RequestId,
        reason: &str,
        env: &mut Env<'_, '_>,
    ) {
        self.wish.hold_down(reason, env.now() + Duration::from_millis(deadline::STORE_AGAIN_MS));
        self.wish.stop(how);
        let reply = Reply::Failed(CommandError::NotStored(String::from(reason)));
        self.wish.answer_when_down(request, reply);
        env.tell(ServiceEvent::Wish { service: self.name.clone() });
        self.publish(env);
    }

    /// Whether the disk has not taken its spec, and is to be tried again.
    pub(super) fn is_to_be_stored(&self, now: Instant) -> bool {
        self.wish.unstored_until().is_some_and(|at| at <= now)
    }

    fn is_wanted(&self, env: &Env<'_, '_>) -> bool {
        self.wish.is_up() && env.leaving == Leaving::No
    }

    /// Whether this supervisor wants its process to end.
    pub(super) const fn is_stopping(&self) -> bool {
        self.progress.is_stopping()
    }

    /// Takes the next step towards what is wanted, if one is due. Idempotent.
    pub(super) fn reconcile(&mut self, env: &mut Env<'_, '_>) {
        let wanted = self.is_wanted(env);
        self.tick_lead(env);
        self.hooks.tick(env.now());
        self.lead_on(env);
        match self.progress.phase() {
            _ if self.progress.has_kept() => self.adopt(env),
            Phase::New | Phase::Idle if wanted => self.prepare("wanted up", env),
            Phase::New | Phase::Backoff { .. } | Phase::Waiting | Phase::Failed if !wanted => {
                self.enter(Phase::Idle, "wanted down", env);
            }
            Phase::Backoff { until } if until <= env.now() => {
                self.tries.again();
                self.prepare("the wait is over", env);
            }
            Phase::Waiting if self.progress.is_to_reconsider() => self.wait_or_start(env),
            // A leaving supervisor waits no longer for a hook; the hook ends with the supervisor.
            Phase::Initializing | Phase::AfterStop { .. } if env.leaving == Leaving::Killing => {
                self.enter(Phase::Idle, "the supervisor is leaving", env);
            }
            Phase::Running { pid } => {
                self.look_when_overdue(env);
                let why = self.wish.why_stop(env.leaving);
                match why {
                    Some((_, how)) if self.looks_first(how, env) || self.resigns_first(how, env) => {}
                    Some((reason, how)) => self.begin_stop(pid, reason, how, env),
                    None => self.resigns_by = None,
                }
            }
            // The next step is another input's: an answer, a deadline, a change of the ring, a command.
            Phase::New
            | Phase::Idle
            | Phase::Failed
            | Phase::Backoff { .. }
            | Phase::Waiting
            | Phase::Preparing
            | Phase::Initializing
            | Phase::Spawning { .. }
            | Phase::Stopping { .. }
            | Phase::AfterStop { .. } => {}
        }
        self.end_hooks(env);
        self.go_on_stopping(env);
        self.go_on_draining(env);
        self.begin_works(env);
        if self.is_at_rest() {
            self.wish.answer(env);
        }
        if !self.has_tree() {
            self.lead.end();
        }
        self.report_lead(env);
        self.look_at_obstacles(env);
        self.check();
    }

    /// Asserts the invariants between the structs after every step.
    fn check(&self) {
        let phase = self.progress.phase();
        assert!(!self.progress.has_kept(), "a process that outlived the last supervisor is adopted at once");
        assert!(
            !self.wish.is_awaited() || !self.wish.is_up(),
            "no command waits for the end of a service that is wanted up"
        );
        assert!(
            !self.is_at_rest() || !self.wish.is_awaited(),
            "no command waits for the end of a service of which nothing is left"
        );
        assert!(phase != Phase::Idle || !self.told.is_public(), "the ring hears of a service that is down");
        assert!(!self.told.is_public() || self.files.package().is_some(), "a public service has a package");
        assert!(
            self.progress.pid().is_none() || self.files.ident().is_some(),
            "a process was made of something"
        );
        assert!(
            (phase == Phase::Waiting) == self.progress.waiting_for().is_some(),
            "waiting is for something"
        );
        assert!(
            !self.progress.is_draining() || self.is_draining(),
            "a stop begins a drain only where none is under way"
        );
    }

    /// One of its effects has a result that fits.
    pub(super) fn handle_result(&mut self, purpose: Purpose, result: &EffectResult, env: &mut Env<'_, '_>) {
        assert!(purpose.fits(result).is_some(), "only results that fit come here");
        self.lead.hook_ended(purpose);
        match (purpose, result) {
            (Purpose::Prepare, EffectResult::Prepared(prepared)) => self.handle_prepared(prepared, env),
            (Purpose::Prepare, EffectResult::PrepareFailed { kind, reason }) => {
                self.handle_prepare_failed(*kind, reason, env);
            }
            (Purpose::Init, EffectResult::HookEnded(end)) => {
                let told = self.hooks.end(Hook::Init, self.works.process());
                self.handle_init_ended(end, told, env);
            }
            (Purpose::PostStop, EffectResult::HookEnded(end)) => {
                let told = self.hooks.end(Hook::PostStop, self.works.process());
                self.handle_post_stop_ended(end, told, env);
            }
            (Purpose::PostStopFiles, result) => self.handle_post_stop_files(result, env),
            (Purpose::Spawn, EffectResult::Spawned { pid }) => self.handle_spawned(*pid, env),
            (Purpose::Spawn, EffectResult::SpawnFailed { reason }) => self.handle_spawn_failed(reason, env),
            (Purpose::Spawn, EffectResult::Exited(status)) => self.handle_exited(*status, env),
            (Purpose::Lease(number), result) => self.handle_leased(number, result, env),
            (Purpose::Work(work, epoch), result) => self.handle_work_done(work, epoch, result, env),
            _ => {}
        }
    }

    /// Whether news of a group matters to this service.
    pub(super) fn is_concerned(&self, group: &ServiceGroup) -> bool {
        let binds = &self.spec().binds;
        *group == self.group
            || binds
                .iter()
                .filter(|_| mutated!(BoundGroupsUnheard, true, false))
                .any(|b| binds::parse(b).is_some_and(|(_, g)| g == *group))
    }

    /// The ring has news of a group that concerns it.
    pub(super) fn facts_changed(&mut self, env: &mut Env<'_, '_>) {
        assert!(
            !self.progress.has_kept() || self.progress.phase() == Phase::New,
            "a process is adopted at once"
        );
        self.progress.reconsider();
        if self.files.package().is_some() && self.progress.is_running() {
            self.works.want(Work::Render, env.now());
            self.look_at_binds(env);
        }
        if self.files.has_new_versions(&self.look_around(env)) {
            self.try_with_new_files(env);
        }
        self.reconcile(env);
    }

    fn begin_works(&mut self, env: &mut Env<'_, '_>) {
        while let Some(work) = self.next_work(env) {
            if work == Work::Render && !self.has_news(env) {
                self.works.succeeded(work);
                continue;
            }
            assert!(self.progress.allows(work, self.is_draining()), "only work that makes sense is begun");
            let effect = self.effect_of(work, env);
            if work.writes() {
                self.files.begin_writing(self.works.process());
                if self.files.say_it_leads() {
                    self.lead.tell();
                }
            }
            self.demotion_begins(work);
            if let Effect::RunHook { hook, timeout_ms, .. } = effect {
                self.note_hook(hook, timeout_ms, env);
            }
            self.files.work_begins(work);
            env.want(&self.name, Purpose::Work(work, self.works.process()), effect);
        }
    }

    /// The next kind of work that is due, which counts as begun.
    fn next_work(&mut self, env: &Env<'_, '_>) -> Option<Work> {
        let (progress, is_draining) = (&self.progress, self.is_draining());
        let may_write = self.may_write(env.planted);
        let allowed = |work: Work| progress.allows(work, is_draining) && (may_write || !work.writes());
        self.works.begin(env.now(), allowed)
    }

    /// The facts for the templates now.
    fn look_around(&self, env: &Env<'_, '_>) -> Facts {
        let around = env.around;
        let maintenance = &self.spec().maintenance;
        let watched = self.watched();
        let census = around.census(&watched);
        assert!(
            census.groups.len() <= watched.len(),
            "templates see the groups that concern them, and no others"
        );
        Facts {
            me: around.me(),
            census,
            role: self.part.role().cloned(),
            config: around.config(&self.group),
            files: around.files(&self.group),
            sealed: around.sealed(&self.group),
            accepting: self.drain.is_none() && maintenance.is_none(),
            maintenance: maintenance.clone(),
        }
    }

    /// The same facts, for files that are about to be written with them.
    fn facts(&mut self, env: &Env<'_, '_>) -> Facts {
        let facts = self.look_around(env);
        self.files.take_in_hand(&facts, &self.group);
        facts
    }

    fn enter(&mut self, phase: Phase, reason: &str, env: &mut Env<'_, '_>) {
        if let Some((from, to)) = self.progress.enter(phase, env.now(), env.ctx.wall) {
            env.tell(ServiceEvent::Changed {
                service: self.name.clone(),
                from: Some(from),
                to: Some(to),
                reason: reason.to_string(),
                after: env.after,
            });
        }
        self.resigns_by = self.resigns_by.filter(|_| self.progress.is_running());
        if phase == Phase::Idle {
            self.told.retract(env);
            self.end_drain(env);
            assert!(!self.is_draining(), "a service that is down has no work to drain");
        }
        self.publish(env);
        assert!(self.progress.phase() == phase, "telling of a phase does not change it");
    }
}
