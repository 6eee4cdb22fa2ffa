//! The state that all hosts of one simulation share: links, power, disks, and the records so far.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use annulus_core::{
    Command, EffectId, EffectResult, ExitStatus, Incarnation, Instant, KeyedHash, MemberId, RequestId, Rng,
    ServiceName, ServiceState, Snapshot, State,
};
use tokio::sync::mpsc;

use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::engine::disk::Disk;
use crate::engine::guard::Guards;
use crate::engine::host::{self, HostSpec, HostState};
use crate::engine::net::Net;
use crate::engine::record::StopReason;

/// Labels of the independent streams of chance.
mod stream_of_chance {
    pub(super) const LINKS: u64 = 1;
    pub(super) const LINKS_RARE: u64 = 2;
    pub(super) const CRASHES: u64 = 3;
    /// From here on, one for each start of each host.
    pub(super) const NODES: u64 = 1 << 32;
}
const SIGKILL: i32 = 9;

/// The state of a simulation, for its harness and every host.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Ring>>);

impl Shared {
    pub(super) fn new(ring: Ring) -> Self {
        Self(Arc::new(Mutex::new(ring)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the state that all hosts share.
pub(super) struct Ring {
    pub(super) net: Net,
    pub(super) hosts: Vec<Host>,
    pub(super) records: Vec<Record>,
    rng: Rng,
    rng_crashes: Rng,
    by_member: BTreeMap<MemberId, HostId>,
    /// How often each pair of hosts, the lower first, lost its connections.
    resets: BTreeMap<(u32, u32), u64>,
    requests: u64,
}

/// One host.
pub(super) struct Host {
    pub(super) spec: HostSpec,
    pub(super) state: HostState,
    pub(super) disk: Disk,
    pub(super) guards: Guards,
    pub(super) member: Option<MemberId>,
    /// How its supervisor looked last; none while it has no process.
    pub(super) seen: Option<Seen>,
    /// Orders that wait for its supervisor.
    pub(super) orders: Option<mpsc::UnboundedSender<(RequestId, Command)>>,
    /// The channel that takes results to its supervisor.
    pub(super) done: Option<mpsc::Sender<(EffectId, EffectResult)>>,
    /// Wakes its supervisor when it is no longer paused.
    pub(super) waker: Option<Waker>,
    /// The disk that the next start begins with.
    next: Option<Start>,
    generation: u32,
}

/// The disk and identity that a supervisor starts from.
pub(super) struct Start {
    pub(super) restored: Option<Snapshot>,
    pub(super) key: KeyedHash,
    pub(super) seed: [u8; 32],
    pub(super) orders: mpsc::UnboundedReceiver<(RequestId, Command)>,
}

/// A node as its observer saw it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) id: MemberId,
    pub(super) incarnation: Incarnation,
    pub(super) members: Vec<(MemberId, State)>,
    pub(super) services: Vec<(ServiceName, ServiceState)>,
    /// Services that rumors say to run, and where.
    pub(super) told: Vec<(MemberId, String)>,
}

/// The reaction that a host gets from another one that it addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing: the link is cut, or the host is off.
    Silence,
    /// The answer that no process listens.
    Refusal,
    /// The supervisor's own reaction.
    Open,
}

impl Ring {
    pub(super) fn new(seed: u64, net: impl FnOnce(Rng, Rng) -> Net, specs: Vec<HostSpec>) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = Rng::from_seed(key);
        Self {
            net: net(rng.fork(stream_of_chance::LINKS), rng.fork(stream_of_chance::LINKS_RARE)),
            hosts: specs.into_iter().map(Host::new).collect(),
            records: Vec::new(),
            rng_crashes: rng.fork(stream_of_chance::CRASHES),
            rng,
            by_member: BTreeMap::new(),
            resets: BTreeMap::new(),
            requests: 0,
        }
    }

    pub(super) fn note(&mut self, at: Instant, what: What) {
        self.records.push(Record { at, what });
    }

    pub(super) fn host_mut(&mut self, index: u32) -> &mut Host {
        &mut self.hosts[index as usize]
    }

    /// A host's state; an address outside the ring is an operator's and always on.
    pub(super) fn state(&self, index: u32) -> HostState {
        self.hosts.get(index as usize).map_or(HostState::Running, |host| host.state)
    }

    pub(super) fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.by_member.get(member).copied()
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// The reaction that `from` gets when it addresses `to`.
    pub(super) fn reach(&self, from: u32, to: u32) -> Reach {
        if self.net.is_cut(from, to) || self.net.is_cut(to, from) {
            return Reach::Silence;
        }
        match self.state(to) {
            HostState::New | HostState::Crashed => Reach::Silence,
            HostState::Stopped => Reach::Refusal,
            HostState::Running | HostState::Paused => Reach::Open,
        }
    }

    /// How often connections between these two were lost.
    pub(super) fn resets(&self, a: u32, b: u32) -> u64 {
        self.resets.get(&(a.min(b), a.max(b))).copied().unwrap_or_default()
    }

    /// Loses all connections between these two.
    pub(super) fn reset(&mut self, a: u32, b: u32) {
        *self.resets.entry((a.min(b), a.max(b))).or_default() += 1;
    }

    /// Gets a host ready to start from its disk.
    ///
    /// # Errors
    /// The disk cannot be read back.
    pub(super) fn prepare_start(&mut self, index: u32) -> Result<(), annulus_core::SnapshotError> {
        let host = self.host_mut(index);
        let restored = host.disk.snapshot()?;
        host.generation += 1;
        let label = stream_of_chance::NODES + (u64::from(index) << 16) + u64::from(host.generation);
        let mut seed = [0; 32];
        self.rng.fork(label).fill(&mut seed);
        let host = self.host_mut(index);
        // Orders may be given before the process runs.
        let (orders, ordered) = mpsc::unbounded_channel();
        let key = host.disk.key_or(seed);
        (host.orders, host.next) = (Some(orders), Some(Start { restored, key, seed, orders: ordered }));
        host.state = HostState::Running;
        Ok(())
    }

    /// A supervisor's process starts; none when the host has nothing to start.
    pub(super) fn take_start(&mut self, index: u32) -> Option<Start> {
        self.host_mut(index).next.take()
    }

    /// A supervisor has learned its identity.
    pub(super) fn started(&mut self, index: u32, at: Instant, member: MemberId, restored: bool) {
        self.host_mut(index).member = Some(member);
        self.by_member.insert(member, HostId(index));
        self.note(at, What::HostStarted { host: HostId(index), member, restored });
    }

    /// A supervisor's process has ended.
    pub(super) fn stopped(&mut self, index: u32, at: Instant, why: StopReason) {
        let crashed = why == StopReason::Crashed;
        let host = &mut self.hosts[index as usize];
        let had_process = matches!(host.state, HostState::Running | HostState::Paused);
        host.state = if crashed { HostState::Crashed } else { HostState::Stopped };
        (host.seen, host.orders, host.done, host.waker, host.next) = (None, None, None, None, None);
        match why {
            StopReason::Exit(_) => host.disk.flush(),
            StopReason::Crashed | StopReason::Killed => host.disk.crash(&mut self.rng_crashes),
        }
        let status = ExitStatus::Signal(SIGKILL);
        for (service, guard) in self.host_mut(index).guards.end_all() {
            let host = HostId(index);
            self.note(at, What::ProcessExited { host, service, pid: guard.pid, status });
        }
        if had_process {
            self.note(at, What::HostStopped { host: HostId(index), why });
        }
    }

    /// Ends a service's process, if its pid is still this one; the effect that reports it.
    pub(super) fn end_process(
        &mut self,
        index: u32,
        at: Instant,
        service: &ServiceName,
        pid: u32,
        status: ExitStatus,
    ) -> Option<EffectId> {
        let guard = self.host_mut(index).guards.end(service, pid)?;
        let (host, service) = (HostId(index), service.clone());
        self.note(at, What::ProcessExited { host, service, pid, status });
        Some(guard.spawn)
    }
}

impl Host {
    fn new(spec: HostSpec) -> Self {
        Self {
            spec,
            state: HostState::New,
            disk: Disk::default(),
            guards: Guards::default(),
            member: None,
            seen: None,
            orders: None,
            done: None,
            waker: None,
            next: None,
            generation: 0,
        }
    }
}

/// Virtual time, from inside a host.
pub(super) fn now() -> Instant {
    let elapsed = ::turmoil::sim_elapsed().expect("hosts run inside a simulation");
    Instant::ZERO + elapsed
}

/// The address of a host.
pub(super) fn ip(index: u32) -> IpAddr {
    host::address(index).ip()
}

/// The host at an address, at any port.
pub(super) fn index_of(address: SocketAddr) -> Option<u32> {
    host::index_of(SocketAddr::new(address.ip(), host::PORT))
}
