//! The launcher of a host: it starts processes, passes signals on and tells of ends, as long as it runs. What a
//! service's guard does needs no launcher: the deadline of a lease holds also while the launcher stands still.

use std::collections::VecDeque;

use annulus_core::{
    EffectId, EffectResult, ExitStatus, Health, Instant, Lease, ServiceGroup, ServiceName, StopSignal,
};

use crate::engine::deed::Deed;
use crate::engine::guard::{Start, Telling};
use crate::engine::host::HostState;
use crate::engine::ids::HostId;
use crate::engine::link::Ratio;
use crate::engine::record::{BuildFact, Recording, StopReason, What};
use crate::engine::work::{Later, Work, times};
use crate::engine::world::World;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Whether a host's launcher runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LauncherState {
    /// No launcher: the host is off, or its supervisor has left.
    #[default]
    Gone,
    /// It runs, with a supervisor or without one.
    Running,
    /// Its process exists and does not run.
    Paused,
}

/// A launcher.
#[derive(Debug, Default)]
pub(crate) struct Launcher {
    state: LauncherState,
    /// Work that waits while it stands still, in order.
    waiting: VecDeque<Later>,
}

impl Launcher {
    pub(crate) fn is_paused(&self) -> bool {
        self.state == LauncherState::Paused
    }

    pub(crate) fn state(&self) -> LauncherState {
        self.state
    }

    pub(crate) fn keep(&mut self, later: Later) {
        self.waiting.push_back(later);
    }
}

impl<D: Deed> World<D> {
    /// A supervisor is about to start, and the launcher before it where there is none.
    pub(crate) fn launcher_starts(&mut self, host: u32) {
        if self.hosts[host as usize].rest.launcher.state == LauncherState::Gone {
            // What the guards of the last launcher have not ended yet ends before a launcher starts anything.
            self.end_all_processes(host);
            self.hosts[host as usize].rest.launcher.state = LauncherState::Running;
        }
    }

    /// A supervisor ended: a launcher goes on when the supervisor was killed, and nothing is left otherwise.
    pub(crate) fn supervisor_is_gone(&mut self, host: u32, why: StopReason) {
        let rest = &mut self.hosts[host as usize].rest;
        rest.held_up.clear();
        rest.recording.clear();
        rest.guards.tell_no_more();
        if why == StopReason::Killed {
            self.hosts[host as usize].rest.hooks.orphan_all();
            self.end_orphaned_hooks(host);
            return self.services_are_alone(host);
        }
        self.end_all_hooks(host);
        let rest = &mut self.hosts[host as usize].rest;
        rest.launcher = Launcher::default();
        rest.guards.all_asked();
        self.end_all_processes(host);
    }

    /// A killed supervisor's last words: what it had written to its launcher is done before another one starts, and the
    /// rest was never said.
    fn services_are_alone(&mut self, host: u32) {
        let rest = &mut self.hosts[host as usize].rest;
        rest.guards.orphan_all();
        let written = Ratio { numerator: 1, denominator: 2 };
        for (spawn, service, start) in rest.guards.all_asked() {
            if written.draw(&mut self.rng_actions) && self.launcher(HostId(host)) == LauncherState::Running {
                self.begin_process(host, spawn, service, start);
            }
        }
        self.hosts[host as usize].rest.guards.orphan_all();
    }

    /// Whether a host's launcher runs.
    #[must_use]
    pub fn launcher(&self, host: HostId) -> LauncherState {
        self.hosts[host.0 as usize].rest.launcher.state()
    }

    /// The launcher is killed. The system kills its supervisor, and each guard its service.
    pub(crate) fn kill_launcher(&mut self, host: u32) {
        if matches!(self.hosts[host as usize].state, HostState::Running | HostState::Paused) {
            self.stop(host, StopReason::Killed);
        }
        self.end_all_hooks(host);
        let rest = &mut self.hosts[host as usize].rest;
        rest.launcher = Launcher::default();
        for (service, pid) in rest.guards.all() {
            self.kill_tree(host, &service, pid);
        }
    }

    /// The launcher stops running and loses nothing.
    pub(crate) fn pause_launcher(&mut self, host: u32) {
        self.hosts[host as usize].rest.launcher.state = LauncherState::Paused;
    }

    /// A paused launcher runs again and does what waited, in order.
    pub(crate) fn resume_launcher(&mut self, host: u32) {
        let launcher = &mut self.hosts[host as usize].rest.launcher;
        launcher.state = LauncherState::Running;
        let waiting = std::mem::take(&mut launcher.waiting);
        self.end_orphaned_hooks(host);
        for later in waiting {
            self.effect_goes_on(later);
        }
    }

    /// The guard of a service dies; the launcher ends what it inherits.
    pub(crate) fn kill_guard(&mut self, host: u32, service: &ServiceName) {
        let guards = &mut self.hosts[host as usize].rest.guards;
        if let Some(pid) = guards.lose(service) {
            self.after(times::AT_ONCE, host, Work::Inherited { service: service.clone(), pid });
        }
    }

    /// A supervisor asks its launcher for a process.
    pub(crate) fn ask_for_process(
        &mut self,
        host: u32,
        id: EffectId,
        service: ServiceName,
        lease: Option<Lease>,
        restarts: u32,
    ) {
        let there = &mut self.hosts[host as usize];
        let Some(files) = there.rest.files.get(&service) else {
            let reason = String::from("its package was not made ready before");
            return self.after(times::AT_ONCE, host, Work::Answer(id, EffectResult::SpawnFailed { reason }));
        };
        let (ident, shutdown_timeout_ms) = (files.ident.clone(), files.shutdown_timeout_ms);
        let service_of = service.clone();
        let (since, generation) = (there.wall(self.now), there.generation);
        let is_checked = self.package(host, &service).health.is_some();
        let there = &mut self.hosts[host as usize];
        let health = (!is_checked).then_some(Health::Ok);
        let start = Start { ident, since, lease, restarts, shutdown_timeout_ms, health };
        there.rest.guards.ask(generation, id, service, start);
        let starts_in = self.package(host, &service_of).starts_in;
        let takes = self.drawn(starts_in, times::SPAWN);
        self.after_exactly(takes, host, Work::Spawn(id));
    }

    pub(crate) fn spawn(&mut self, host: u32, generation: u32, id: EffectId) {
        let Some((service, start)) = self.hosts[host as usize].rest.guards.asked(generation, id) else {
            return;
        };
        let pid = self.begin_process(host, id, service, start);
        self.answer_if(host, generation, id, EffectResult::Spawned { pid });
    }

    fn begin_process(&mut self, host: u32, id: EffectId, service: ServiceName, start: Start) -> u32 {
        let rest = &mut self.hosts[host as usize].rest;
        // Hooks that run already have given its guard a lease.
        let held = rest.hooks.process_begins(&service).map(|kill_at| Lease { kill_at, resume: None });
        let start = Start { lease: start.lease.or(held), ..start };
        let build = start.ident.clone();
        let pid = rest.guards.start(service.clone(), id, start);
        self.note_right(host, &service, pid, None);
        let started = service.clone();
        self.note(Recording::Events, || What::ProcessStarted { host: HostId(host), service: started, pid });
        self.note_build(host, build, BuildFact::Started);
        self.look_in_time(host, &service, pid);
        if let Some(lives) = self.package(host, &service).lives {
            self.after_exactly(lives, host, Work::End { service, pid, status: ExitStatus::Code(1) });
        }
        pid
    }

    pub(crate) fn adopt(
        &mut self,
        host: u32,
        generation: u32,
        id: EffectId,
        service: &ServiceName,
        pid: u32,
    ) {
        if self.hosts[host as usize].generation != generation {
            return;
        }
        let there = self.hosts[host as usize].rest.guards.adopt(service, pid, id);
        let reason = String::from("it ended while no supervisor watched");
        let answer = if there { EffectResult::Spawned { pid } } else { EffectResult::SpawnFailed { reason } };
        self.answer_if(host, generation, id, answer);
    }

    pub(crate) fn pass_on(
        &mut self,
        host: u32,
        generation: u32,
        id: EffectId,
        service: ServiceName,
        pid: u32,
        signal: StopSignal,
    ) {
        self.answer_if(host, generation, id, EffectResult::Signalled);
        match signal {
            StopSignal::Stop => self.stop_tree(host, &service, pid),
            StopSignal::Kill => self.kill_tree(host, &service, pid),
        }
    }

    /// A tree is asked to end: its hooks end, and the first process when it obeys.
    fn stop_tree(&mut self, host: u32, service: &ServiceName, pid: u32) {
        self.kill_hooks(host, service);
        self.hosts[host as usize].rest.guards.stop(service, pid);
        let package = self.package(host, service);
        let takes = self.drawn(package.stops_in, times::STOP);
        if !package.ignores_stop {
            let status = ExitStatus::Signal(SIGTERM);
            self.after_exactly(takes, host, Work::End { service: service.clone(), pid, status });
        }
    }

    /// A supervisor tells a guard directly how long its process may act as the leader.
    pub(crate) fn tell_guard(
        &mut self,
        host: u32,
        id: EffectId,
        service: ServiceName,
        pid: u32,
        lease: Option<Lease>,
    ) {
        self.hosts[host as usize].rest.guards.tell(Telling { id, service, pid, lease });
        self.after(times::LEASE, host, Work::Tell);
    }

    /// A supervisor has come to telling a guard; the order is kept, whatever time each takes.
    pub(crate) fn guard_is_told(&mut self, host: u32) {
        let guards = &mut self.hosts[host as usize].rest.guards;
        let Some(Telling { id, service, pid, lease }) = guards.told() else { return };
        let before = guards.right(&service, pid);
        let told = guards.lease(&service, pid, lease);
        self.note_right(host, &service, pid, before);
        self.look_in_time(host, &service, pid);
        let reason = format!("no guard holds process {pid} of {service}");
        let answer = if told { EffectResult::Leased } else { EffectResult::LeaseFailed { reason } };
        self.after(times::AT_ONCE, host, Work::Answer(id, answer));
    }

    /// Records a change of what a guard lets a supervisor go on to lead.
    fn note_right(
        &mut self,
        host: u32,
        service: &ServiceName,
        pid: u32,
        before: Option<(ServiceGroup, u64)>,
    ) {
        let right = self.hosts[host as usize].rest.guards.right(service, pid);
        if right != before {
            let (host, service) = (HostId(host), service.clone());
            self.note(Recording::Events, || What::GuardHolds { host, service, pid, right });
        }
    }

    /// The guard looks at its lease when that ends by the host's clock.
    pub(crate) fn look_in_time(&mut self, host: u32, service: &ServiceName, pid: u32) {
        let there = &mut self.hosts[host as usize];
        let Some(kill_at) = there.rest.guards.kill_at(service, pid) else { return };
        let at = there.world(kill_at).max(self.now);
        if there.rest.guards.looks_earlier(service, pid, at) {
            let look = Work::Look { service: service.clone(), pid };
            self.after_exactly(at.saturating_since(self.now), host, look);
        }
    }

    /// The clocks of a host have changed: leases end at other times.
    pub(crate) fn leases_by_new_clock(&mut self, host: u32) {
        for service in self.hosts[host as usize].rest.hooks.leased() {
            self.look_at_hooks_in_time(host, &service);
        }
        for (service, pid) in self.hosts[host as usize].rest.guards.all() {
            self.look_in_time(host, &service, pid);
        }
    }

    pub(crate) fn look_at_lease(&mut self, host: u32, service: &ServiceName, pid: u32) {
        let now = self.now;
        let there = &mut self.hosts[host as usize];
        let local: Instant = there.local(now);
        there.rest.guards.looked(service, pid, now);
        match there.rest.guards.kill_at(service, pid) {
            None => {}
            Some(kill_at) if kill_at > local => self.look_in_time(host, service, pid),
            Some(_) => {
                self.note(Recording::Events, || What::LeaseRanOut {
                    host: HostId(host),
                    service: service.clone(),
                    pid,
                });
                self.kill_tree(host, service, pid);
            }
        }
    }

    /// Every process of a service is killed, hooks included.
    pub(crate) fn kill_tree(&mut self, host: u32, service: &ServiceName, pid: u32) {
        if self.hosts[host as usize].rest.guards.kill(service, pid) {
            self.kill_hooks(host, service);
            let status = ExitStatus::Signal(SIGKILL);
            self.after(times::KILL, host, Work::Empty { service: service.clone(), pid, status });
        }
    }

    /// The first process of a service ends. After a crash the rest is killed; on an order to stop it has the time that
    /// was promised to the whole tree.
    pub(crate) fn first_ends(&mut self, host: u32, service: &ServiceName, pid: u32, status: ExitStatus) {
        let guards = &mut self.hosts[host as usize].rest.guards;
        let Some(stopping) = guards.first_ended(service, pid, status) else { return };
        self.kill_hooks(host, service);
        let children = self.package(host, service).children;
        let rest = match children {
            None => return self.tree_is_empty(host, service, pid, status),
            Some(children) if stopping => self.drawn(Some(children), times::AT_ONCE),
            Some(_) => self.drawn(None, times::KILL),
        };
        self.after_exactly(rest, host, Work::Empty { service: service.clone(), pid, status });
    }

    /// No process of a service is left, if there was one; the launcher tells the supervisor.
    pub(crate) fn tree_is_empty(&mut self, host: u32, service: &ServiceName, pid: u32, status: ExitStatus) {
        let Some(guard) = self.hosts[host as usize].rest.guards.end(service, pid) else { return };
        // What is told is how the service itself ended.
        let status = guard.first().unwrap_or(status);
        self.note_process_exit(host, service.clone(), pid, status);
        if !guard.orphan {
            self.tell_end(host, guard.spawn, status);
        }
    }

    fn tell_end(&mut self, host: u32, spawn: EffectId, status: ExitStatus) {
        let there = &mut self.hosts[host as usize];
        let later = Later::new(host, there.generation, Work::Ended { spawn, status });
        self.effect_goes_on(later);
    }

    /// Ends every service of a host at once.
    pub(crate) fn end_all_processes(&mut self, host: u32) {
        self.end_all_hooks(host);
        for (service, guard) in self.hosts[host as usize].rest.guards.end_all() {
            self.note_process_exit(host, service, guard.pid, ExitStatus::Signal(SIGKILL));
        }
    }

    fn note_process_exit(&mut self, host: u32, service: ServiceName, pid: u32, status: ExitStatus) {
        self.note(Recording::Events, || What::ProcessExited { host: HostId(host), service, pid, status });
    }
}
