//! One service: what is wanted of it, what it does, and the next step from one to the other.
//!
//! At any time at most one of its effects `Prepare` and `Spawn` is unanswered, and `Spawn` is wanted only after
//! the process before has been seen to end. That is why an old and a new process never overlap.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use super::backoff::Backoff;
use super::spec::{DesiredState, Health, ServiceSpec, ServiceState, ServiceView};
use super::{Announcement, Leaving, Purpose, Queued, ServiceEvent};
use crate::command::Reply;
use crate::facts::Facts;
use crate::id::{MemberId, RequestId, ServiceGroup, ServiceName};
use crate::ident::PackageIdent;
use crate::io::{Effect, ExitStatus, StopSignal};
use crate::prepared::Prepared;
use crate::rng::Rng;
use crate::time::{Instant, UnixTime};

/// What every step of a service may use.
pub(super) struct Env<'a> {
    pub(super) now: Instant,
    pub(super) wall: UnixTime,
    pub(super) leaving: Leaving,
    pub(super) org: Option<&'a str>,
    pub(super) backoff: &'a Backoff,
    pub(super) rng: &'a mut Rng,
    pub(super) queue: &'a mut VecDeque<Queued>,
}

impl Env<'_> {
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
    /// No process; the deadline ends it.
    Backoff { until: Instant },
    /// `Effect::Prepare` is unanswered.
    Preparing,
    /// `Effect::Spawn` is unanswered.
    Spawning,
    /// The process runs; its exit or a command ends it.
    Running { pid: u32 },
    /// The process was signalled; its exit ends it. KILL follows at the deadline; none when it was sent.
    Stopping { pid: u32, kill_at: Option<Instant> },
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
    /// The spec changed in a way that the process (or its preparation) does not know.
    stale: bool,
    /// The spec's row is deleted: forget the service once it has no process.
    removing: bool,
    /// Failures in a row.
    failures: u32,
    restarts: u32,
    last_exit: Option<ExitStatus>,
    last_error: Option<String>,
    /// What the ring was told and still believes.
    announced: Option<Announcement>,
    /// Who is to be told when the process is gone.
    waiting: Vec<RequestId>,
}

impl Instance {
    /// A service whose spec is on disk. `group` is what the view shows until the first start.
    pub(super) fn new(spec: ServiceSpec, group: ServiceGroup, reason: &str, env: &mut Env<'_>) -> Self {
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
            group,
            phase: Phase::New,
            since: env.now,
            since_wall: env.wall,
            prepared: None,
            stale: false,
            removing: false,
            failures: 0,
            restarts: 0,
            last_exit: None,
            last_error: None,
            announced: None,
            waiting: Vec::new(),
        }
    }

    pub(super) fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    pub(super) fn is_removing(&self) -> bool {
        self.removing
    }

    /// Whether the service can be forgotten: its row is gone, and so is everything that it set going.
    pub(super) fn is_removed(&self) -> bool {
        self.removing && self.phase == Phase::Idle
    }

    /// Whether a process runs or is about to.
    pub(super) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Spawning | Phase::Running { .. } | Phase::Stopping { .. })
    }

    /// Whether somebody waits to hear that no process is left.
    pub(super) fn owes_answer(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_in_backoff(&self) -> bool {
        matches!(self.phase, Phase::Backoff { .. })
    }

    /// When `reconcile` is to be called again; none while only a command or an effect's result can move it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::New => Some(self.since),
            Phase::Backoff { until } => Some(until),
            Phase::Stopping { kill_at, .. } => kill_at,
            Phase::Idle | Phase::Preparing | Phase::Spawning | Phase::Running { .. } => None,
        }
    }

    /// Takes a spec that is on disk by now.
    pub(super) fn replace_spec(&mut self, spec: ServiceSpec, env: &mut Env<'_>) {
        assert_eq!(spec.name(), self.name, "a service keeps its name");
        // Before a start there is nothing that could be stale, and `prepare` clears the mark in any case.
        self.stale |= needs_restart(&self.spec, &spec);
        self.spec = spec;
        if self.spec.desired == DesiredState::Up {
            // Nobody waits any longer for an end that is not wanted any longer.
            self.answer_waiting(env);
            self.forgive(env);
        }
    }

    /// An operator's start: no wait, no memory of failures.
    pub(super) fn forgive(&mut self, env: &Env<'_>) {
        self.failures = 0;
        self.restarts = 0;
        if self.is_in_backoff() {
            self.phase = Phase::Backoff { until: env.now };
        }
    }

    /// Its row is deleted.
    pub(super) fn remove(&mut self) {
        self.removing = true;
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
        if !wanted {
            self.retract(env);
        }
        match self.phase {
            Phase::New | Phase::Idle if wanted => self.prepare("wanted up", env),
            Phase::New | Phase::Backoff { .. } if !wanted => self.enter(Phase::Idle, "wanted down", env),
            Phase::Backoff { until } if until <= env.now => {
                if self.failures > 0 {
                    self.restarts = self.restarts.saturating_add(1);
                }
                self.prepare("the wait is over", env);
            }
            Phase::Running { pid } if !wanted || self.stale => self.stop(pid, self.why_stop(env), env),
            Phase::Stopping { pid, kill_at: Some(at) }
                if at <= env.now || env.leaving == Leaving::Hurried =>
            {
                self.phase = Phase::Stopping { pid, kill_at: None };
                self.signal(pid, StopSignal::Kill, env);
            }
            _ => {}
        }
        if self.phase == Phase::Idle {
            self.answer_waiting(env);
        }
    }

    fn why_stop(&self, env: &Env<'_>) -> &'static str {
        if env.leaving != Leaving::No {
            "the supervisor is leaving"
        } else if self.removing {
            "unloaded"
        } else if self.spec.desired == DesiredState::Down {
            "wanted down"
        } else {
            "its options changed"
        }
    }

    /// The package is ready.
    pub(super) fn handle_prepared(&mut self, prepared: &Prepared, env: &mut Env<'_>) {
        if self.phase != Phase::Preparing {
            return;
        }
        if !self.is_wanted(env) {
            self.enter(Phase::Idle, "no longer wanted", env);
        } else if self.stale {
            self.prepare("its options changed", env);
        } else {
            self.prepared = Some(prepared.clone());
            self.announce(false, env);
            self.enter(Phase::Spawning, "prepared", env);
            let effect = Effect::Spawn { service: self.name.clone(), group: self.group.clone() };
            env.want(&self.name, Purpose::Spawn, effect);
        }
        self.reconcile(env);
    }

    /// The package is not ready.
    pub(super) fn handle_prepare_failed(&mut self, reason: &str, env: &mut Env<'_>) {
        if self.phase != Phase::Preparing {
            return;
        }
        if self.is_wanted(env) && self.stale {
            self.prepare("its options changed", env);
        } else {
            self.fail_start(reason, env);
        }
        self.reconcile(env);
    }

    /// The process runs.
    pub(super) fn handle_spawned(&mut self, pid: u32, env: &mut Env<'_>) {
        if self.phase != Phase::Spawning {
            return;
        }
        if self.is_wanted(env) && !self.stale {
            self.last_error = None;
            self.announce(true, env);
            self.enter(Phase::Running { pid }, &format!("runs as process {pid}"), env);
        } else {
            // It never counts as up: what was asked in the meantime comes first.
            self.stop(pid, self.why_stop(env), env);
        }
        self.reconcile(env);
    }

    /// The process could not be started.
    pub(super) fn handle_spawn_failed(&mut self, reason: &str, env: &mut Env<'_>) {
        if self.phase != Phase::Spawning {
            return;
        }
        self.fail_start(reason, env);
        self.reconcile(env);
    }

    /// The process ended.
    pub(super) fn handle_exited(&mut self, status: ExitStatus, env: &mut Env<'_>) {
        if !self.has_process() {
            return;
        }
        self.last_exit = Some(status);
        let reason = format!("process ended: {status}");
        let was_asked = self.stale || matches!(self.phase, Phase::Stopping { .. });
        if !self.is_wanted(env) {
            self.enter(Phase::Idle, &reason, env);
        } else if was_asked {
            self.prepare(&reason, env);
        } else {
            let ran = env.now.saturating_since(self.since);
            if matches!(self.phase, Phase::Running { .. }) && env.backoff.is_recovered(ran) {
                self.failures = 0;
            }
            self.back_off(&reason, env);
        }
        self.reconcile(env);
    }

    /// Asks for the package. Called only while there is no process.
    fn prepare(&mut self, reason: &str, env: &mut Env<'_>) {
        match self.spec.service_group(env.org) {
            Ok(group) => self.group = group,
            Err(error) => {
                let org = env.org.unwrap_or_default();
                let reason =
                    format!("group {:?} with organization {org:?} is not valid: {error}", self.spec.group);
                self.fail_start(&reason, env);
                return;
            }
        }
        if self.announced.as_ref().is_some_and(|a| a.group != self.group) {
            self.retract(env);
        }
        self.stale = false;
        self.enter(Phase::Preparing, reason, env);
        let effect = Effect::Prepare {
            service: self.name.clone(),
            spec: Box::new(self.spec.clone()),
            // The node fills in what it knows when it hands the effect on.
            facts: Box::new(Facts::alone(MemberId::from_bytes([0; 16]))),
        };
        env.want(&self.name, Purpose::Prepare, effect);
    }

    fn fail_start(&mut self, reason: &str, env: &mut Env<'_>) {
        self.last_error = Some(String::from(reason));
        if self.is_wanted(env) {
            self.back_off(reason, env);
        } else {
            self.enter(Phase::Idle, reason, env);
        }
    }

    fn back_off(&mut self, reason: &str, env: &mut Env<'_>) {
        if let Some(announced) = self.announced.as_mut().filter(|a| a.initialized) {
            announced.initialized = false;
            env.tell(ServiceEvent::Announce(announced.clone()));
        }
        self.failures = self.failures.saturating_add(1);
        let wait = env.backoff.wait(self.failures, env.rng);
        self.enter(Phase::Backoff { until: env.now + wait }, reason, env);
    }

    fn stop(&mut self, pid: u32, reason: &str, env: &mut Env<'_>) {
        // The ring hears of it before the process does.
        self.retract(env);
        let kill_at = env.now + self.shutdown_timeout();
        let hurried = env.leaving == Leaving::Hurried;
        self.enter(Phase::Stopping { pid, kill_at: (!hurried).then_some(kill_at) }, reason, env);
        self.signal(pid, if hurried { StopSignal::Kill } else { StopSignal::Stop }, env);
    }

    fn shutdown_timeout(&self) -> Duration {
        let prepared = self.prepared.as_ref().map_or(0, |p| p.shutdown_timeout_ms);
        Duration::from_millis(self.spec.shutdown_timeout_ms.unwrap_or(prepared))
    }

    fn signal(&self, pid: u32, signal: StopSignal, env: &mut Env<'_>) {
        let effect = Effect::Signal { service: self.name.clone(), pid, signal };
        env.want(&self.name, Purpose::Signal, effect);
    }

    fn announce(&mut self, initialized: bool, env: &mut Env<'_>) {
        let Some(prepared) = &self.prepared else { return };
        let announcement = Announcement {
            group: self.group.clone(),
            pkg: prepared.ident.clone(),
            cfg: prepared.exports.clone(),
            initialized,
            accepting: initialized && self.spec.maintenance.is_none(),
            maintenance: self.spec.maintenance.clone(),
            applied_config: prepared.applied_config,
        };
        if self.announced.as_ref() != Some(&announcement) {
            self.announced = Some(announcement.clone());
            env.tell(ServiceEvent::Announce(announcement));
        }
    }

    fn retract(&mut self, env: &mut Env<'_>) {
        if let Some(announced) = self.announced.take() {
            env.tell(ServiceEvent::Retract { group: announced.group });
        }
    }

    fn answer_waiting(&mut self, env: &mut Env<'_>) {
        for request in self.waiting.drain(..) {
            env.queue.push_back(Queued::Event(ServiceEvent::Reply(request, Reply::Done)));
        }
    }

    fn enter(&mut self, phase: Phase, reason: &str, env: &mut Env<'_>) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            self.since = env.now;
            self.since_wall = env.wall;
            env.tell(ServiceEvent::Changed {
                service: self.name.clone(),
                from: Some(from),
                to: Some(to),
                reason: reason.to_string(),
            });
        }
    }

    pub(super) fn state(&self) -> ServiceState {
        match self.phase {
            Phase::New => ServiceState::Loaded,
            Phase::Idle => ServiceState::Down,
            Phase::Backoff { .. } => ServiceState::Backoff,
            Phase::Preparing | Phase::Spawning => ServiceState::Starting,
            Phase::Running { .. } => ServiceState::Up,
            Phase::Stopping { .. } => ServiceState::Stopping,
        }
    }

    pub(super) fn view(&self) -> ServiceView {
        let pid = match self.phase {
            Phase::Running { pid } | Phase::Stopping { pid, .. } => Some(pid),
            _ => None,
        };
        let next_start = match self.phase {
            Phase::Backoff { until } => Some(until),
            _ => None,
        };
        ServiceView {
            spec: self.spec.clone(),
            group: self.group.clone(),
            state: self.state(),
            running: self.running(),
            pid,
            since: self.since,
            since_wall: self.since_wall,
            restarts: self.restarts,
            last_exit: self.last_exit,
            last_error: self.last_error.clone(),
            next_start,
            health: Health::Unknown,
            health_note: String::new(),
            accepting: self.state() == ServiceState::Up && self.spec.maintenance.is_none(),
            draining: false,
            maintenance: self.spec.maintenance.clone(),
            role: None,
            waiting_for: None,
        }
    }

    fn running(&self) -> Option<PackageIdent> {
        self.prepared.as_ref().map(|p| p.ident.clone())
    }
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
