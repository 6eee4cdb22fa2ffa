//! One simulated host: a supervisor's node, its clocks and disk, its processes, and what waits in its sockets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use annulus_core::{
    Command, Config, EffectId, EffectResult, ExitReason, Instant, MemberId, Node, PackageIdent, Planted,
    RequestId, RingKeyId, ServiceName, Snapshot, SysInfo, Timings, UnixTime,
};

use crate::engine::clock::Clock;
use crate::engine::disk::Disk;
use crate::engine::disk_fault::DiskTrouble;
use crate::engine::files::Files;
use crate::engine::guard::Guards;
use crate::engine::hooks::Hooks;
pub use crate::engine::ids::HostId;
use crate::engine::ids::PacketId;
use crate::engine::keys;
use crate::engine::launcher::Launcher;
use crate::engine::package::Package;
use crate::engine::work::Later;

/// The port that every simulated supervisor listens on, UDP and TCP.
pub(crate) const PORT: u16 = 9638;
/// The port that a stream's sender shows.
const PORT_EPHEMERAL: u16 = 40_000;
/// Bytes that a socket keeps for a process that does not read: Linux's default `rmem_default`.
const DATAGRAM_BUFFER_BYTES: usize = 212_992;
/// The bytes that Linux charges for a small datagram in that buffer beyond its payload.
const DATAGRAM_OVERHEAD_BYTES: usize = 512;
/// Bytes of streams that the kernel takes for a process that does not read: Linux's default `tcp_rmem` maximum.
const STREAM_BUFFER_BYTES: usize = 6 * 1024 * 1024;

/// A host's description before it starts.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Its name.
    pub name: String,
    /// The zone it stands in; for partitions only.
    pub zone: Option<String>,
    /// Whether its member is a permanent peer.
    pub permanent: bool,
    /// Addresses of the peers that its supervisor is given.
    pub peers: Vec<HostId>,
    /// How its supervisor keeps time.
    pub timings: Timings,
    /// The revision of the ring key in its cache at first; none in an open ring.
    pub key_revision: Option<u64>,
    /// Services `sim/<name>` that are loaded when it starts with an empty disk.
    pub services: Vec<String>,
    /// A deliberate defect of its node; only builds that check the checkers have any.
    pub planted: Planted,
}

impl HostSpec {
    /// A host of this name with the default timings, no peers and no services.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            zone: None,
            permanent: false,
            peers: Vec::new(),
            timings: Timings::lan(),
            key_revision: None,
            services: Vec::new(),
            planted: Planted::default(),
        }
    }
}

/// Whether a supervisor runs on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Not started yet; the host is off.
    New,
    /// Its supervisor runs.
    Running,
    /// Its supervisor's process exists and does not run.
    Paused,
    /// The host is on, without a supervisor: it left, was banned or was killed.
    Stopped,
    /// The host is off.
    Crashed,
}

/// An arrival on its way into a node.
#[derive(Debug)]
pub(crate) enum Arrival {
    Datagram { packet: PacketId, from: u32, bytes: Vec<u8> },
    Stream { packet: PacketId, from: u32, bytes: Vec<u8> },
    Refused { packet: PacketId, to: u32 },
    Command(RequestId, Command),
    Effect(EffectId, EffectResult),
}

/// The fields that every packet touches, within one cache line; `rest` holds the others.
#[derive(Debug)]
pub(crate) struct Host {
    /// The supervisor; none when it does not run.
    pub node: Option<Box<Node>>,
    /// When the node wants to be woken, by the world's clock.
    pub wake_at: Instant,
    /// The earliest wake-up in the queue that has not become stale.
    pub wake_queued: Instant,
    /// Inputs that the node has handled, which is also the number of the latest one.
    pub inputs: u64,
    /// How its clocks differ from the world's; none when they do not.
    pub clock: Option<Box<Clock>>,
    pub rest: Box<Rest>,
    /// Counts the supervisor's processes: an arrival meant for an earlier one is dropped.
    pub generation: u32,
    pub state: HostState,
    /// The node asked to end.
    pub exit: Option<ExitReason>,
}

const _: () = assert!(size_of::<Host>() <= 64);

/// The fields that are touched now and then.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Arrivals that a paused supervisor has not read yet.
    pub inbox: Inbox,
    pub member_id: Option<MemberId>,
    /// Taken instead of the disk's content at the next start.
    pub preload: Option<Snapshot>,
    pub disk: Disk,
    pub disk_trouble: DiskTrouble,
    pub launcher: Launcher,
    pub guards: Guards,
    pub hooks: Hooks,
    /// Work of the supervisor itself that waits while it stands still, in order.
    pub held_up: Vec<Later>,
    /// The answers of its services' suitability hooks.
    pub suitability: std::collections::BTreeMap<String, u64>,
    /// How packages behave here, where an action has set it.
    pub packages: BTreeMap<ServiceName, Package>,
    /// The files of services.
    pub files: BTreeMap<ServiceName, Files>,
    /// Builds that are on its disk beside the first of each package.
    pub installed: BTreeSet<PackageIdent>,
    /// Builds that are to run as soon as a write is on the disk.
    pub recording: Vec<(EffectId, PackageIdent)>,
    /// The key files of its host.
    pub ring_keys: BTreeSet<RingKeyId>,
    /// Its member was banned and knows it: starting it again would be of no use.
    pub departed: bool,
    /// It loses power when it next waits for a write to be synced.
    pub crash_at_sync: bool,
    /// Its disk is a copy of another's.
    pub cloned: bool,
    pub spec: HostSpec,
}

impl Host {
    pub(crate) fn new(spec: HostSpec) -> Self {
        Self {
            node: None,
            wake_at: Instant::FAR_FUTURE,
            wake_queued: Instant::FAR_FUTURE,
            inputs: 0,
            clock: None,
            rest: Box::new(Rest {
                inbox: Inbox::default(),
                member_id: None,
                preload: None,
                disk: Disk::default(),
                disk_trouble: DiskTrouble::default(),
                launcher: Launcher::default(),
                guards: Guards::default(),
                hooks: Hooks::default(),
                held_up: Vec::new(),
                suitability: std::collections::BTreeMap::new(),
                packages: BTreeMap::new(),
                files: BTreeMap::new(),
                installed: BTreeSet::new(),
                recording: Vec::new(),
                ring_keys: spec.key_revision.map(keys::key).into_iter().collect(),
                departed: false,
                crash_at_sync: false,
                cloned: false,
                spec,
            }),
            generation: 0,
            state: HostState::New,
            exit: None,
        }
    }

    /// The monotonic clock's time when the world's clock shows `world`.
    pub(crate) fn local(&self, world: Instant) -> Instant {
        self.clock.as_ref().map_or(world, |clock| clock.local(world))
    }

    /// The wall clock's time then.
    pub(crate) fn wall(&self, world: Instant) -> UnixTime {
        self.clock.as_ref().map_or_else(|| Clock::exact().wall(world), |clock| clock.wall(world))
    }

    /// When the monotonic clock will show `local`, by the world's.
    pub(crate) fn world(&self, local: Instant) -> Instant {
        self.clock.as_ref().map_or(local, |clock| clock.world(local))
    }

    /// Its clocks, to be changed.
    pub(crate) fn clock_mut(&mut self) -> &mut Clock {
        self.clock.get_or_insert_with(|| Box::new(Clock::exact()))
    }

    /// Hands an arrival to the supervisor on this host.
    pub(crate) fn config(&self, index: u32) -> Config {
        let mut config = Config::new(PORT);
        config.timings = self.rest.spec.timings.clone();
        config.permanent = self.rest.spec.permanent;
        config.planted = self.rest.spec.planted;
        config.peers = self.rest.spec.peers.iter().map(|peer| address(peer.0)).collect();
        let ip = address(index).ip().to_string();
        config.sys = SysInfo {
            ip: ip.clone(),
            hostname: self.rest.spec.name.clone(),
            gossip_ip: ip.clone(),
            gossip_port: PORT,
            http_gateway_ip: ip,
            http_gateway_port: 9631,
            ctl_gateway_ip: String::from("127.0.0.1"),
            ctl_gateway_port: 9632,
        };
        config
    }
}

/// The address of a host: 10.0.0.1 and upwards.
pub(crate) fn address(index: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip(index)), PORT)
}

/// The address that the receiver of a stream sees at its other end.
pub(crate) fn stream_address(index: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip(index)), PORT_EPHEMERAL)
}

fn ip(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0001 + index)
}

/// Which host has this address; the caller checks whether there are so many.
pub(crate) fn index_of(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V4(v4) if v4.port() == PORT => v4.ip().to_bits().checked_sub(0x0a00_0001),
        _ => None,
    }
}

/// Arrivals that wait for a supervisor that does not read, bounded as sockets are.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    arrivals: VecDeque<Arrival>,
    datagram_bytes: usize,
    stream_bytes: usize,
}

impl Inbox {
    /// Whether a datagram of this length still fits.
    pub(crate) fn has_room_for_datagram(&self, bytes: usize) -> bool {
        self.datagram_bytes + bytes + DATAGRAM_OVERHEAD_BYTES <= DATAGRAM_BUFFER_BYTES
    }

    /// Whether the receive window still takes a message of this length. One message always fits.
    pub(crate) fn has_room_for_stream(&self, bytes: usize) -> bool {
        self.stream_bytes == 0 || self.stream_bytes + bytes <= STREAM_BUFFER_BYTES
    }

    pub(crate) fn push(&mut self, arrival: Arrival) {
        match &arrival {
            Arrival::Datagram { bytes, .. } => self.datagram_bytes += bytes.len() + DATAGRAM_OVERHEAD_BYTES,
            Arrival::Stream { bytes, .. } => self.stream_bytes += bytes.len(),
            Arrival::Refused { .. } | Arrival::Command(..) | Arrival::Effect(..) => {}
        }
        self.arrivals.push_back(arrival);
    }

    /// Everything that waited, in the order in which it came.
    pub(crate) fn take(&mut self) -> VecDeque<Arrival> {
        (self.datagram_bytes, self.stream_bytes) = (0, 0);
        std::mem::take(&mut self.arrivals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_hosts() {
        for index in [0, 1, 254, 255, 256, 65_535, 9_999_999] {
            assert_eq!(index_of(address(index)), Some(index));
        }
        assert_eq!(address(0).to_string(), "10.0.0.1:9638");
        assert_eq!(index_of(stream_address(3)), None);
    }

    #[test]
    fn an_unread_socket_fills_up() {
        let mut inbox = Inbox::default();
        let mut taken = 0;
        while inbox.has_room_for_datagram(100) {
            inbox.push(Arrival::Datagram { packet: PacketId(taken), from: 0, bytes: vec![0; 100] });
            taken += 1;
        }
        assert_eq!(taken, 348);
        assert_eq!(inbox.take().len(), 348);
        assert!(inbox.has_room_for_datagram(100));
    }
}
