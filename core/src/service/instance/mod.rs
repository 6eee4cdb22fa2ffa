//! One service: what is wanted of it, what it does, and the next step from one to the other.
//!
//! At any time at most one of its effects `Prepare`, `Spawn` and `Adopt` is unanswered, and `Spawn` is wanted only after
//! the process before has been seen to end. That is why an old and a new process never overlap.
//!
//! | file | what |
//! |---|---|
//! | `start` | from wanted to running: package, binds, role, init, process; adoption |
//! | `run` | beside a process: files, hooks, role, lease |
//! | `check` | how it is, and how well it would lead |
//! | `drain` | no new work, and what is in flight |
//! | `stop` | from running to down: told, drained, signalled, post-stop |
//! | `show` | what the ring and people are told |

mod check;
mod drain;
mod run;
mod show;
mod start;
mod stop;

use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use super::around::Moment;
use super::backoff::Backoff;
use super::spec::{DesiredState, Health, ServiceSpec, ServiceState, Topology};
use super::work::{Work, Works};
use super::{Announcement, Leaving, Purpose, Queued, ServiceEvent, binds};
use crate::command::{Reply, StopHow};
use crate::facts::{Facts, Role, versions_digest};
use crate::id::{RequestId, ServiceGroup, ServiceName};
use crate::ident::PackageIdent;
use crate::io::{Effect, EffectResult, ExitStatus};
use crate::planted::Planted;
use crate::prepared::Prepared;
use crate::rng::Rng;
use crate::snapshot::RunningService;
use crate::time::{Instant, UnixTime};
use drain::Drain;
use stop::Step;

/// What every step of a service may use.
pub(super) struct Env<'a> {
    pub(super) at: Moment<'a>,
    pub(super) leaving: Leaving,
    pub(super) org: Option<&'a str>,
    pub(super) backoff: &'a Backoff,
    pub(super) planted: Planted,
    pub(super) rng: &'a mut Rng,
    pub(super) queue: &'a mut VecDeque<Queued>,
}

impl Env<'_> {
    const fn now(&self) -> Instant {
        self.at.now
    }

    fn tell(&mut self, event: ServiceEvent) {
        self.queue.push_back(Queued::Event(event));
    }

    fn want(&mut self, service: &ServiceName, purpose: Purpose, effect: Effect) {
        self.queue.push_back(Queued::Effect { service: service.clone(), purpose, effect });
    }
}

/// What a service is doing. Each phase says what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing done yet; the next step is due at once.
    New,
    /// No process; a command ends it.
    Idle,
    /// No process, and no more tries; a command ends it.
    Failed,
    /// No process; the deadline ends it.
    Backoff { until: Instant },
    /// No process; a change of the ring or a command ends it.
    Waiting,
    /// `Effect::Prepare` is unanswered.
    Preparing,
    /// The init hook is unanswered.
    Initializing,
    /// `Effect::Spawn` or, when `adopted`, `Effect::Adopt` is unanswered.
    Spawning { adopted: bool },
    /// The process runs; its exit or a command ends it.
    Running { pid: u32 },
    /// The process is to end; its exit ends it.
    Stopping { pid: u32, step: Step },
    /// The process is gone and the post-stop hook is unanswered.
    AfterStop { crashed: bool },
}

/// Why a process has to be replaced although its service is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stale {
    reason: &'static str,
    /// Whether there is time to drain it.
    drain: bool,
}

#[derive(Debug)]
pub(super) struct Instance {
    name: ServiceName,
    spec: ServiceSpec,
    group: ServiceGroup,
    phase: Phase,
    since: Instant,
    since_wall: UnixTime,
    /// What `Prepared` said last.
    prepared: Option<Prepared>,
    /// What is known of the process (or its preparation) has changed in a way that it cannot follow.
    stale: Option<Stale>,
    /// The spec's row is deleted: forget the service once it has no process.
    removing: bool,
    /// A process that outlived the last supervisor and is not adopted yet.
    kept: Option<RunningService>,
    /// What an adopted process was started from, until its package is looked at.
    adopted: Option<PackageIdent>,
    /// How the operator wants it stopped.
    how: StopHow,
    /// Failures in a row.
    failures: u32,
    restarts: u32,
    last_exit: Option<ExitStatus>,
    last_error: Option<String>,
    /// In `Waiting`: what for.
    waiting_for: Option<String>,
    /// The ring has changed since it was last asked whether the waiting is over.
    reconsider: bool,
    /// In a group with a leader: what the election says.
    role: Option<Role>,
    /// The hash of what the files were written with.
    rendered_with: Option<u64>,
    /// Digest of what operators gave to the group, as far as files were written with it, or are being written.
    versions_in_hand: u64,
    /// The same of the files that are there.
    versions_applied: u64,
    /// `Effect::Render`, or `Effect::Prepare` for an adopted process, is unanswered.
    is_writing: bool,
    works: Works,
    /// Counts the processes: what belongs to an earlier one is ignored.
    epoch: u64,
    /// The last health check of this process.
    checked: Option<Health>,
    /// Checks of this process before the first that found it well; none once there was one.
    warming_up: Option<u32>,
    health_note: String,
    suitability: Option<u64>,
    drain: Option<Drain>,
    /// Whether the ring is to know of it.
    public: bool,
    /// What the ring was told and still believes.
    announced: Option<Announcement>,
    /// The group in which the ring still believes what the last supervisor said.
    inherited: Option<ServiceGroup>,
    told_health: Option<Health>,
    /// Who is to be told when the process is gone.
    waiting: Vec<RequestId>,
}

impl Instance {
    /// A service whose spec is on disk. `group` is what the view shows until the first start.
    pub(super) fn new(
        spec: ServiceSpec,
        group: ServiceGroup,
        kept: Option<RunningService>,
        reason: &str,
        env: &mut Env<'_>,
    ) -> Self {
        let name = spec.name();
        env.tell(ServiceEvent::Changed {
            service: name.clone(),
            from: None,
            to: Some(ServiceState::Loaded),
            reason: String::from(reason),
        });
        Self {
            name,
            spec,
            phase: Phase::New,
            since: env.now(),
            since_wall: env.at.wall,
            prepared: None,
            stale: None,
            removing: false,
            inherited: kept.is_some().then(|| group.clone()),
            group,
            kept,
            adopted: None,
            how: StopHow::default(),
            failures: 0,
            restarts: 0,
            last_exit: None,
            last_error: None,
            waiting_for: None,
            reconsider: false,
            role: None,
            rendered_with: None,
            versions_in_hand: 0,
            versions_applied: 0,
            is_writing: false,
            works: Works::default(),
            epoch: 0,
            checked: None,
            warming_up: Some(0),
            health_note: String::new(),
            suitability: None,
            drain: None,
            public: false,
            announced: None,
            told_health: None,
            waiting: Vec::new(),
        }
    }

    pub(super) fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    pub(super) fn group(&self) -> &ServiceGroup {
        &self.group
    }

    /// The groups whose changes concern it.
    pub(super) fn watched(&self) -> Vec<ServiceGroup> {
        let mut groups = binds::groups(&self.spec);
        groups.push(self.group.clone());
        groups
    }

    pub(super) fn is_removing(&self) -> bool {
        self.removing
    }

    /// Whether the service can be forgotten: its row is gone, and so is everything that it set going.
    pub(super) fn is_removed(&self) -> bool {
        self.removing && self.phase == Phase::Idle
    }

    /// Whether a process runs, is about to, or is being cleaned up after.
    pub(super) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Spawning { .. } | Phase::Running { .. } | Phase::Stopping { .. })
            || self.kept.is_some()
    }

    /// Whether the supervisor has to stay for its sake while it leaves.
    pub(super) fn holds_up(&self) -> bool {
        let hook = matches!(self.phase, Phase::Initializing | Phase::AfterStop { .. });
        self.has_process() || hook || !self.waiting.is_empty()
    }

    /// Whether it is not being tried at the moment and an operator's start would.
    pub(super) fn is_given_a_rest(&self) -> bool {
        matches!(self.phase, Phase::Backoff { .. } | Phase::Failed)
    }

    /// When `reconcile` is to be called again; none while only a command, an effect's result or a change of the
    /// ring can move it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let step = match self.phase {
            Phase::New => Some(self.since),
            Phase::Backoff { until } => Some(until),
            Phase::Stopping { step, .. } => self.step_due(step),
            _ => None,
        };
        let works = self.works.poll_timeout(|work| self.allows(work));
        let drain = self.drain_due();
        [step, works, drain].into_iter().flatten().min()
    }

    /// Takes a spec that is on disk by now.
    pub(super) fn replace_spec(&mut self, spec: ServiceSpec, env: &mut Env<'_>) {
        assert_eq!(spec.name(), self.name, "a service keeps its name");
        // Before a start there is nothing that could be stale, and `prepare` clears the mark in any case.
        if needs_restart(&self.spec, &spec) {
            self.stale = Some(Stale { reason: "its options changed", drain: true });
            self.reconsider = true;
        }
        let is_start = self.spec.desired == DesiredState::Down || self.spec.ident != spec.ident;
        let interval = self.spec.health_check_interval_ms;
        self.spec = spec;
        if interval > self.spec.health_check_interval_ms {
            self.check_again(env);
        }
        if self.spec.desired == DesiredState::Up {
            self.how = StopHow::default();
            // Nobody waits any longer for an end that is not wanted any longer.
            self.answer_waiting(env);
            if is_start || self.stale.is_some() {
                self.forgive(env);
            }
        }
        self.publish(env);
    }

    /// An operator's start: no wait, no memory of failures.
    pub(super) fn forgive(&mut self, env: &mut Env<'_>) {
        self.failures = 0;
        self.restarts = 0;
        if self.is_given_a_rest() {
            self.enter(Phase::Backoff { until: env.now() }, "an operator starts it again", env);
        }
    }

    /// Its row is deleted.
    pub(super) fn remove(&mut self) {
        self.removing = true;
    }

    /// It is there only to end a process that nobody knows, and of which the ring was told nothing.
    pub(super) fn disown(&mut self) {
        self.removing = true;
        self.inherited = None;
    }

    /// How it is to be stopped, now that it is no longer wanted.
    pub(super) fn stop_how(&mut self, how: StopHow) {
        self.how = how;
    }

    /// Answers `request` once no process is left.
    pub(super) fn answer_when_down(&mut self, request: RequestId) {
        self.waiting.push(request);
    }

    fn is_wanted(&self, env: &Env<'_>) -> bool {
        self.spec.desired == DesiredState::Up && !self.removing && env.leaving == Leaving::No
    }

    /// Takes the next step towards what is wanted, if one is due. Idempotent.
    pub(super) fn reconcile(&mut self, env: &mut Env<'_>) {
        let wanted = self.is_wanted(env);
        match self.phase {
            _ if self.kept.is_some() => self.adopt(env),
            Phase::New | Phase::Idle if wanted => self.prepare("wanted up", env),
            Phase::New | Phase::Backoff { .. } | Phase::Waiting | Phase::Failed if !wanted => {
                self.enter(Phase::Idle, "wanted down", env);
            }
            Phase::Backoff { until } if until <= env.now() => {
                if self.failures > 0 {
                    self.restarts = self.restarts.saturating_add(1);
                }
                self.prepare("the wait is over", env);
            }
            Phase::Waiting if self.reconsider => self.wait_or_start(env),
            // Nobody waits for a hook any longer; it ends with the supervisor.
            Phase::Initializing | Phase::AfterStop { .. } if env.leaving == Leaving::Killing => {
                self.enter(Phase::Idle, "the supervisor is leaving", env);
            }
            Phase::Running { pid } => {
                if let Some((reason, how)) = self.why_stop(env) {
                    self.begin_stop(pid, reason, how, env);
                }
            }
            _ => {}
        }
        if let Phase::Stopping { .. } = self.phase {
            self.go_on_stopping(env);
        }
        self.go_on_draining(env);
        self.begin_works(env);
        if self.phase == Phase::Idle {
            self.answer_waiting(env);
        }
    }

    /// One of its effects has a result that fits.
    pub(super) fn handle_result(&mut self, purpose: Purpose, result: &EffectResult, env: &mut Env<'_>) {
        match (purpose, result) {
            (Purpose::Prepare, EffectResult::Prepared(prepared)) => self.handle_prepared(prepared, env),
            (Purpose::Prepare, EffectResult::PrepareFailed { reason }) => {
                self.handle_prepare_failed(reason, env);
            }
            (Purpose::Init, EffectResult::HookEnded(end)) => self.handle_init_ended(end, env),
            (Purpose::PostStop, EffectResult::HookEnded(end)) => self.handle_post_stop_ended(end, env),
            (Purpose::Spawn, EffectResult::Spawned { pid }) => self.handle_spawned(*pid, env),
            (Purpose::Spawn, EffectResult::SpawnFailed { reason }) => self.handle_spawn_failed(reason, env),
            (Purpose::Spawn, EffectResult::Exited(status)) => self.handle_exited(*status, env),
            (Purpose::Work(work, epoch), result) => self.handle_work_done(work, epoch, result, env),
            _ => {}
        }
    }

    /// What the ring says of these groups has changed.
    pub(super) fn facts_changed(&mut self, groups: &[ServiceGroup], env: &mut Env<'_>) {
        let concerns = |group: &ServiceGroup| {
            *group == self.group
                || self.spec.binds.iter().any(|b| binds::parse(b).is_some_and(|(_, g)| g == *group))
        };
        if !groups.iter().any(concerns) {
            return;
        }
        self.reconsider = true;
        if self.prepared.is_some() && matches!(self.phase, Phase::Running { .. }) {
            self.works.want(Work::Render, env.now());
        }
        self.reconcile(env);
    }

    /// Whether this kind of work makes sense at the moment.
    fn allows(&self, work: Work) -> bool {
        match work {
            Work::Suitability => matches!(self.phase, Phase::Running { .. } | Phase::Waiting),
            Work::DrainHook | Work::Inflight => self.drain.is_some(),
            _ => matches!(self.phase, Phase::Running { .. }),
        }
    }

    fn begin_works(&mut self, env: &mut Env<'_>) {
        let phase = self.phase;
        let draining = self.drain.is_some();
        let running = matches!(phase, Phase::Running { .. });
        let allowed = |work| match work {
            Work::Suitability => running || phase == Phase::Waiting,
            Work::DrainHook | Work::Inflight => draining,
            _ => running,
        };
        while let Some(work) = self.works.begin(env.now(), allowed) {
            if work == Work::Render && !self.has_news(env) {
                self.works.succeeded(work);
                continue;
            }
            self.is_writing |= matches!(work, Work::Prepare | Work::Render);
            let effect = self.effect_of(work, env);
            env.want(&self.name, Purpose::Work(work, self.epoch), effect);
        }
    }

    /// What templates may know now.
    fn look_around(&self, env: &Env<'_>) -> Facts {
        let around = env.at.around;
        Facts {
            me: around.me(),
            census: around.census(&self.watched()),
            role: self.role.clone(),
            config: around.config(&self.group),
            files: around.files(&self.group),
            accepting: self.drain.is_none() && self.spec.maintenance.is_none(),
            maintenance: self.spec.maintenance.clone(),
        }
    }

    /// The same, for files that are about to be written with it.
    fn facts(&mut self, env: &Env<'_>) -> Facts {
        let facts = self.look_around(env);
        self.rendered_with = Some(hash_of(&facts, &self.group));
        self.versions_in_hand = versions_digest(facts.config.as_ref(), &facts.files);
        facts
    }

    fn topology_is_leader(&self) -> bool {
        self.spec.topology == Topology::Leader
    }

    fn answer_waiting(&mut self, env: &mut Env<'_>) {
        for request in self.waiting.drain(..) {
            env.queue.push_back(Queued::Event(ServiceEvent::Reply(request, Reply::Done)));
        }
    }

    fn enter(&mut self, phase: Phase, reason: &str, env: &mut Env<'_>) {
        let from = self.state();
        self.phase = phase;
        if phase != Phase::Waiting {
            self.waiting_for = None;
        }
        let to = self.state();
        if from != to {
            self.since = env.now();
            self.since_wall = env.at.wall;
            env.tell(ServiceEvent::Changed {
                service: self.name.clone(),
                from: Some(from),
                to: Some(to),
                reason: reason.to_string(),
            });
        }
        if phase == Phase::Idle {
            self.retract(env);
            self.end_drain(env);
        }
        self.publish(env);
    }
}

/// A number that differs when templates could see a difference. What a service says of itself is left out: its own
/// start would otherwise be a reason to write its files again.
fn hash_of(facts: &Facts, own: &ServiceGroup) -> u64 {
    let mut facts = facts.clone();
    if let Some(Role::Leader { until, .. }) = &mut facts.role {
        *until = Instant::ZERO;
    }
    if let Some(group) = facts.census.groups.get_mut(own) {
        group.population.remove(&facts.me);
        if group.population.is_empty() {
            facts.census.groups.remove(own);
        }
    }
    for member in facts.census.groups.values_mut().flat_map(|group| group.population.values_mut()) {
        // How far the others are with what they were given is no concern of a template.
        (member.config_incarnation, member.versions_digest) = (0, 0);
    }
    crate::digest::hash_of(&facts)
}

/// Whether a process started with `old` has to be replaced to do what `new` says. The remaining options are
/// looked up at the moment they are needed.
fn needs_restart(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    old.ident != new.ident
        || old.group != new.group
        || old.topology != new.topology
        || old.binds != new.binds
        || old.binding_mode != new.binding_mode
        || old.config_from != new.config_from
}

/// Milliseconds until then, at least one.
fn ms_until(until: Instant, now: Instant) -> u64 {
    u64::try_from(until.saturating_since(now).as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A duration that somebody else chose, kept within what deadlines can hold.
const fn bounded(ms: u64) -> Duration {
    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
    Duration::from_millis(if ms > YEAR_MS { YEAR_MS } else { ms })
}
