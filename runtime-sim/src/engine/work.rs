//! Work under way at a host, and how long each kind takes. All times are drawn from the world's seed, from ranges that
//! overlap: no kind of work is known to end before another one.

use std::time::Duration;

use annulus_core::{EffectId, EffectResult, ExitStatus, HookExit, ServiceName, StopSignal};

use crate::engine::deed::Deed;
use crate::engine::depot::BuildWork;
use crate::engine::files::Writing;
use crate::engine::host::{Arrival, HostState};
use crate::engine::link::Delay;
use crate::engine::world::{Thing, World};

/// Shortest and longest time that each kind of work takes, in microseconds.
pub(crate) mod times {
    /// Nothing has to be waited for.
    pub(crate) const AT_ONCE: (u64, u64) = (0, 0);
    pub(crate) const SYNC: (u64, u64) = (300, 25_000);
    pub(crate) const PREPARE: (u64, u64) = (1_000, 25_000);
    pub(crate) const RENDER: (u64, u64) = (300, 20_000);
    pub(crate) const SPAWN: (u64, u64) = (1_000, 20_000);
    pub(crate) const LEASE: (u64, u64) = (10, 15_000);
    pub(crate) const HOOK: (u64, u64) = (1_000, 25_000);
    pub(crate) const STOP: (u64, u64) = (1_000, 50_000);
    pub(crate) const KILL: (u64, u64) = (100, 5_000);
}

/// Work under way at a host.
#[derive(Debug)]
pub(crate) struct Later {
    host: u32,
    /// The supervisor's process that asked for it.
    generation: u32,
    work: Work,
}

#[derive(Debug)]
pub(crate) enum Work {
    /// The answer is ready.
    Answer(EffectId, EffectResult),
    /// A transaction is on the disk.
    Synced(EffectId),
    /// The supervisor has written files.
    Write(Writing),
    /// The supervisor tells a guard how long its process may act as the leader.
    Tell,
    /// The supervisor has looked at a package.
    Found(EffectId, EffectResult),
    /// The supervisor, or the depot for it, has come to the end of work about builds.
    Build(EffectId, Box<BuildWork>),
    /// The launcher starts a process that a supervisor has asked for.
    Spawn(EffectId),
    /// The launcher hands a process to the supervisor, if it is still there.
    Adopt(EffectId, ServiceName, u32),
    /// The launcher passes a signal on.
    Signal { id: EffectId, service: ServiceName, pid: u32, signal: StopSignal },
    /// The launcher ends the hooks of a service.
    EndHooks { id: EffectId, service: ServiceName },
    /// The launcher has inherited what a guard held.
    Inherited { service: ServiceName, pid: u32 },
    /// A hook ends.
    HookEnds(EffectId),
    /// A hook's time is up.
    HookTimesOut(EffectId),
    /// The first process of a service ends.
    End { service: ServiceName, pid: u32, status: ExitStatus },
    /// No process of a service is left.
    Empty { service: ServiceName, pid: u32, status: ExitStatus },
    /// The launcher tells that a process has ended.
    Ended { spawn: EffectId, status: ExitStatus },
    /// A guard looks whether its process may act as the leader any longer.
    Look { service: ServiceName, pid: u32 },
    /// The same for hooks without a process.
    LookAtHooks { service: ServiceName },
}

/// Who carries work out, and can be kept from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The supervisor's own process, for itself: nothing is left of it when that ends.
    Supervisor,
    /// The same, without its disk.
    Memory,
    /// A process or the system, for the supervisor: it goes on while that stands still.
    Helper,
    /// The same, from a disk.
    Disk,
    /// The launcher.
    Launcher,
    /// The guard, or the process itself.
    Guard,
}

impl Work {
    const fn by(&self) -> By {
        match self {
            Self::Write(_) | Self::Found(..) | Self::Build(..) => By::Supervisor,
            Self::Tell => By::Memory,
            Self::Answer(..) | Self::HookTimesOut(_) => By::Helper,
            Self::Synced(_) | Self::HookEnds(_) => By::Disk,
            Self::Spawn(_)
            | Self::Adopt(..)
            | Self::Signal { .. }
            | Self::EndHooks { .. }
            | Self::Inherited { .. }
            | Self::Ended { .. } => By::Launcher,
            Self::End { .. } | Self::Empty { .. } | Self::Look { .. } | Self::LookAtHooks { .. } => By::Guard,
        }
    }
}

impl Later {
    pub(crate) const fn new(host: u32, generation: u32, work: Work) -> Self {
        Self { host, generation, work }
    }
}

impl<D: Deed> World<D> {
    /// Leaves work for later.
    pub(crate) fn after(&mut self, usual: (u64, u64), host: u32, work: Work) {
        // A delay is drawn also where the time is fixed, so that one kind of work does not move the times of others.
        let delay = self.drawn(None, usual);
        self.after_exactly(delay, host, work);
    }

    /// A time out of the range that the scenario gives, or else out of the usual one.
    pub(crate) fn drawn(&mut self, given: Option<Delay>, (low_us, high_us): (u64, u64)) -> Duration {
        let usual = Delay { min: Duration::from_micros(low_us), max: Duration::from_micros(high_us) };
        let Delay { min, max } = given.unwrap_or(usual);
        let span_ns = u64::try_from(max.saturating_sub(min).as_nanos()).unwrap_or(u64::MAX / 4);
        min + Duration::from_nanos(self.rng_effects.between(0, span_ns))
    }

    pub(crate) fn after_exactly(&mut self, delay: Duration, host: u32, work: Work) {
        let generation = self.hosts[host as usize].generation;
        self.queue.push(self.now + delay, Thing::Later(Box::new(Later { host, generation, work })));
    }

    pub(crate) fn effect_goes_on(&mut self, later: Later) {
        let there = &self.hosts[later.host as usize];
        let gone = there.generation != later.generation || there.node.is_none();
        let by = later.work.by();
        let stands_still = self.disk_stands_still(later.host);
        let there = &mut self.hosts[later.host as usize];
        match by {
            By::Supervisor | By::Memory | By::Helper | By::Disk if gone => {}
            By::Supervisor | By::Disk | By::Launcher if stands_still => there.rest.disk_trouble.keep(later),
            By::Supervisor | By::Memory if there.state == HostState::Paused => there.rest.held_up.push(later),
            By::Launcher if there.rest.launcher.is_paused() => there.rest.launcher.keep(later),
            By::Supervisor | By::Memory | By::Helper | By::Disk | By::Launcher | By::Guard => {
                self.carry_on(later);
            }
        }
    }

    fn carry_on(&mut self, Later { host, generation, work }: Later) {
        match work {
            Work::Answer(id, result) | Work::Found(id, result) => {
                self.arrive(host, Arrival::Effect(id, result))
            }
            Work::Synced(id) => {
                if self.keep_disks {
                    self.hosts[host as usize].rest.disk.sync_done(id);
                }
                self.builds_are_recorded(host, id);
                self.arrive(host, Arrival::Effect(id, EffectResult::Persisted));
            }
            Work::Write(writing) => self.written(host, writing),
            Work::Build(id, work) => self.build_work_done(host, generation, id, *work),
            Work::Tell => self.guard_is_told(host),
            Work::Spawn(id) => self.spawn(host, generation, id),
            Work::Adopt(id, service, pid) => self.adopt(host, generation, id, &service, pid),
            Work::Signal { id, service, pid, signal } => {
                self.pass_on(host, generation, id, service, pid, signal)
            }
            Work::EndHooks { id, service } => {
                // A supervisor that has ended took its hooks along.
                if self.asks_still(host, generation) {
                    self.kill_hooks(host, &service);
                    self.arrive(host, Arrival::Effect(id, EffectResult::Signalled));
                }
            }
            Work::Inherited { service, pid } => self.kill_tree(host, &service, pid),
            Work::HookEnds(id) => self.hook_ends(host, id, None),
            Work::HookTimesOut(id) => self.hook_ends(host, id, Some(HookExit::TimedOut)),
            Work::End { service, pid, status } => self.first_ends(host, &service, pid, status),
            Work::Empty { service, pid, status } => self.tree_is_empty(host, &service, pid, status),
            Work::Ended { spawn, status } => {
                self.answer_if(host, generation, spawn, EffectResult::Exited(status))
            }
            Work::Look { service, pid } => self.look_at_lease(host, &service, pid),
            Work::LookAtHooks { service } => self.look_at_hooks(host, &service),
        }
    }

    /// Answers the supervisor that asked, if it still runs.
    pub(crate) fn answer_if(&mut self, host: u32, generation: u32, id: EffectId, result: EffectResult) {
        if self.asks_still(host, generation) {
            self.arrive(host, Arrival::Effect(id, result));
        }
    }

    /// Whether the supervisor that asked still runs.
    fn asks_still(&self, host: u32, generation: u32) -> bool {
        let there = &self.hosts[host as usize];
        there.generation == generation && there.node.is_some()
    }

    /// The supervisor runs again and goes on with its own work.
    pub(crate) fn go_on_with_own_work(&mut self, host: u32) {
        for later in std::mem::take(&mut self.hosts[host as usize].rest.held_up) {
            self.effect_goes_on(later);
        }
    }
}
