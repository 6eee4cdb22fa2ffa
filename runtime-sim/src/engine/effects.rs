//! What a host does for its supervisor, on disk and with processes, and how long each takes. All delays are drawn
//! from the world's seed; no real disk or process is touched.

use annulus_core::{
    Effect, EffectId, EffectResult, ExitReason, ExitStatus, Hook, Node, Rumor, ServiceName, StopSignal,
};
use std::time::Duration;

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::HostId;
use crate::engine::package::Package;
use crate::engine::process;
use crate::engine::record::{Recording, StopReason, What};
use crate::engine::world::{Thing, World};

/// Shortest and longest time that each kind of work takes, in microseconds.
const SYNC_US: (u64, u64) = (300, 2_000);
const PREPARE_US: (u64, u64) = (1_000, 6_000);
const SPAWN_US: (u64, u64) = (1_000, 5_000);
const HOOK_US: (u64, u64) = (1_000, 5_000);
const STOP_US: (u64, u64) = (3_000, 50_000);
const KILL_US: (u64, u64) = (100, 1_000);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Work under way at a host.
#[derive(Debug)]
pub(crate) struct Later {
    host: u32,
    /// The supervisor's process that asked for it.
    generation: u32,
    work: Work,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are answers, and each waits in a box")]
enum Work {
    /// The answer is ready.
    Answer(EffectId, EffectResult),
    /// A transaction is on the disk.
    Synced(EffectId),
    /// A process starts.
    Spawn(EffectId, ServiceName),
    /// A process is handed to the supervisor, if it is still there.
    Adopt(EffectId, ServiceName, u32),
    /// A process ends of a signal.
    End { service: ServiceName, pid: u32, status: ExitStatus },
}

impl<D: Deed> World<D> {
    pub(crate) fn begin_effect(&mut self, index: u32, id: EffectId, effect: Effect) {
        match effect {
            Effect::Persist { writes, sync } => {
                let keep = self.keep_disks;
                let disk = &mut self.hosts[index as usize].rest.disk;
                match (keep, sync) {
                    (true, true) => disk.write_synced(id, writes),
                    (true, false) => disk.write_unsynced(writes),
                    (false, _) => {}
                }
                if sync {
                    D::syncing(self, HostId(index));
                    self.after(SYNC_US, index, Work::Synced(id));
                } else {
                    self.after((0, 0), index, Work::Answer(id, EffectResult::Persisted));
                }
            }
            Effect::Prepare { service, spec, facts } => {
                let rest = &mut self.hosts[index as usize].rest;
                let package = rest.packages.get(&service).cloned().unwrap_or_default();
                let last = rest.written.get(&service).copied().unwrap_or_default();
                let mut answer = process::prepare(&spec, &package, &facts, last);
                if let EffectResult::Prepared(prepared) = &mut answer {
                    let says = rest.suitability.contains_key(service.as_str());
                    prepared.hooks.extend(says.then_some(Hook::Suitability));
                    rest.written.insert(service, prepared.applied_config);
                }
                self.after(PREPARE_US, index, Work::Answer(id, answer));
            }
            Effect::Render { service, facts } => {
                let rest = &mut self.hosts[index as usize].rest;
                let package = rest.packages.get(&service).cloned().unwrap_or_default();
                let last = rest.written.get(&service).copied().unwrap_or_default();
                let rendered = process::render(&package, &facts, last);
                rest.written.insert(service, rendered.applied_config);
                self.after(PREPARE_US, index, Work::Answer(id, EffectResult::Rendered(rendered)));
            }
            Effect::Spawn { service, group: _, lease: _ } => {
                self.after(SPAWN_US, index, Work::Spawn(id, service))
            }
            Effect::Signal { service, pid, signal } => self.signal(index, id, service, pid, signal),
            Effect::Exit(reason) => self.ask_to_stop(index, reason),
            Effect::RunHook { service, hook: Hook::Suitability, .. } => {
                let says = self.hosts[index as usize].rest.suitability.get(service.as_str()).copied();
                self.after(HOOK_US, index, Work::Answer(id, process::suitability(says)));
            }
            Effect::Adopt { service, group: _, pid } => {
                self.after(SPAWN_US, index, Work::Adopt(id, service, pid));
            }
            Effect::RunHook { service, hook, timeout_ms } => {
                let (end, late) = process::hook(&self.package(index, &service), hook);
                let us = if late { (timeout_ms * 1_000, timeout_ms * 1_000) } else { HOOK_US };
                self.after(us, index, Work::Answer(id, EffectResult::HookEnded(end)));
            }
            Effect::CheckHealth { service, timeout_ms: _ } => {
                let health = self.package(index, &service).health.unwrap_or_default();
                let answer = EffectResult::HealthChecked { health, note: health.to_string() };
                self.after(HOOK_US, index, Work::Answer(id, answer));
            }
            Effect::CountInflight { service, timeout_ms: _ } => {
                let counted = EffectResult::Inflight(Some(self.inflight(index, &service)));
                self.after(HOOK_US, index, Work::Answer(id, counted));
            }
            Effect::Lease { .. } => self.after((0, 0), index, Work::Answer(id, EffectResult::Leased)),
        }
    }

    fn signal(&mut self, index: u32, id: EffectId, service: ServiceName, pid: u32, signal: StopSignal) {
        let (time_us, status) = match signal {
            StopSignal::Stop => (STOP_US, ExitStatus::Signal(SIGTERM)),
            StopSignal::Kill => (KILL_US, ExitStatus::Signal(SIGKILL)),
        };
        self.after((0, 0), index, Work::Answer(id, EffectResult::Signalled));
        self.after(time_us, index, Work::End { service, pid, status });
    }

    /// Records a signal, and whether the supervisor tells the ring at that moment that the service takes work.
    pub(crate) fn note_signal(&mut self, index: u32, node: &Node, effect: &Effect) {
        let Effect::Signal { service, pid, signal } = effect else { return };
        let (me, host) = (node.id(), HostId(index));
        self.note(Recording::Events, || {
            let accepting = node.rumors().any(|rumor| match rumor {
                Rumor::Service(told) => {
                    told.member_id == me
                        && told.group.service() == service.as_str()
                        && told.accepting
                        && !told.tombstone
                }
                _ => false,
            });
            What::ProcessSignalled { host, service: service.clone(), pid: *pid, signal: *signal, accepting }
        });
    }

    fn package(&self, host: u32, service: &ServiceName) -> Package {
        self.hosts[host as usize].rest.packages.get(service).cloned().unwrap_or_default()
    }

    fn after(&mut self, (low_us, high_us): (u64, u64), host: u32, work: Work) {
        // A delay is drawn also where the time is fixed, so that one kind of work does not move the times of others.
        let span_ns = (high_us - low_us) * 1_000;
        let delay = Duration::from_nanos(low_us * 1_000 + self.rng_effects.between(0, span_ns));
        let generation = self.hosts[host as usize].generation;
        self.queue.push(self.now + delay, Thing::Later(Box::new(Later { host, generation, work })));
    }

    pub(crate) fn effect_goes_on(&mut self, Later { host, generation, work }: Later) {
        if let Work::End { service, pid, status } = work {
            // A process ends also when its supervisor is gone.
            return self.end_process(host, &service, pid, status);
        }
        if self.hosts[host as usize].generation != generation || self.hosts[host as usize].node.is_none() {
            return;
        }
        match work {
            Work::Answer(id, result) => self.arrive(host, Arrival::Effect(id, result)),
            Work::Synced(id) => {
                if self.keep_disks {
                    self.hosts[host as usize].rest.disk.sync_done(id);
                }
                self.arrive(host, Arrival::Effect(id, EffectResult::Persisted));
            }
            Work::Spawn(id, service) => {
                let pid = self.hosts[host as usize].rest.processes.start(service.clone(), id);
                let started = service.clone();
                self.note(Recording::Events, || What::ProcessStarted {
                    host: HostId(host),
                    service: started,
                    pid,
                });
                self.arrive(host, Arrival::Effect(id, EffectResult::Spawned { pid }));
                if let Some(lives) = self.package(host, &service).lives {
                    let end = Work::End { service, pid, status: ExitStatus::Code(1) };
                    self.queue.push(
                        self.now + lives,
                        Thing::Later(Box::new(Later { host, generation, work: end })),
                    );
                }
            }
            Work::Adopt(id, service, pid) => {
                let there = self.hosts[host as usize].rest.processes.adopt(&service, pid, id);
                let reason = String::from("it ended while no supervisor watched");
                let answer =
                    if there { EffectResult::Spawned { pid } } else { EffectResult::SpawnFailed { reason } };
                self.arrive(host, Arrival::Effect(id, answer));
            }
            Work::End { .. } => {}
        }
    }

    /// Ends a service's process, if its pid is still this one, and tells the supervisor.
    pub(crate) fn end_process(&mut self, host: u32, service: &ServiceName, pid: u32, status: ExitStatus) {
        let Some(process) = self.hosts[host as usize].rest.processes.end(service, pid) else { return };
        self.note_process_exit(host, service.clone(), pid, status);
        if self.hosts[host as usize].node.is_some() && !process.orphan {
            self.arrive(host, Arrival::Effect(process.spawn, EffectResult::Exited(status)));
        }
    }

    /// Ends every service of a host that does not outlive its supervisor; none does when its host loses power.
    pub(crate) fn end_all_processes(&mut self, host: u32, why: StopReason) {
        let rest = &mut self.hosts[host as usize].rest;
        let packages = &rest.packages;
        let survives = |service: &ServiceName| {
            why == StopReason::Killed && packages.get(service).is_some_and(|package| package.survives)
        };
        for (service, process) in rest.processes.end_all(&survives) {
            self.note_process_exit(host, service, process.pid, ExitStatus::Signal(SIGKILL));
        }
    }

    fn note_process_exit(&mut self, host: u32, service: ServiceName, pid: u32, status: ExitStatus) {
        self.note(Recording::Events, || What::ProcessExited { host: HostId(host), service, pid, status });
    }

    fn ask_to_stop(&mut self, host: u32, reason: ExitReason) {
        self.hosts[host as usize].exit = Some(reason);
    }
}
