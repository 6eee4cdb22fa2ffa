//! What can be done to a simulated world. Scenario files and sweeps both end up as lists of these.

pub(crate) mod apply;
pub(crate) mod fault;
pub mod group;
#[cfg(test)]
pub(crate) mod testing;
pub mod world;

use annulus_core::MemberId;
use std::time::Duration;

use crate::action::group::Given;
use crate::engine::lead::Load;
use crate::engine::package::{Balancer, Package};

pub use crate::engine::host::HostId;
pub use crate::engine::link::{Burst, Capacity, Delay, LinkQuality, Ratio};

/// What a host's disk holds when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAfter {
    /// Everything that was synced.
    Kept,
    /// Nothing: the host comes back as a new member.
    Lost,
    /// What it held at the host's first start: an old backup was restored.
    Old,
}

/// Something that is done to the world at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a host for the first time.
    Join(HostId),
    /// Ask a host's supervisor to leave in order (SIGTERM).
    Leave(HostId),
    /// At `by`, ban the member that runs, or last ran, on `host`.
    Depart {
        /// Where the operator types.
        by: HostId,
        /// Who is banned.
        host: HostId,
    },
    /// As `Depart`, by id.
    DepartId {
        /// Where the operator types.
        by: HostId,
        /// Who is banned.
        member: MemberId,
    },
    /// The host loses power: memory and unsynced writes are gone.
    Crash(HostId),
    /// Only the supervisor's process dies; the host still refuses connections.
    Kill(HostId),
    /// Start a host that left, crashed or was killed.
    Restart(HostId, DiskAfter),
    /// The supervisor stops running (SIGSTOP, a suspended machine) and loses nothing.
    Pause(HostId),
    /// It runs again.
    Resume(HostId),
    /// Nothing passes from any of `from` to any of `to`, nor back when `both`.
    Cut {
        /// Senders.
        from: Vec<HostId>,
        /// Receivers.
        to: Vec<HostId>,
        /// Both directions.
        both: bool,
    },
    /// Undo all cuts between these two sets, both directions.
    Mend {
        /// One side.
        from: Vec<HostId>,
        /// The other.
        to: Vec<HostId>,
    },
    /// Undo every cut.
    Heal,
    /// Every fault ends: cuts are mended, links are as they were at first, clocks and processors are sound, and
    /// every supervisor runs whose member is not banned. A host that is still leaving starts again when it has.
    Calm,
    /// Change the quality of all links from `from` to `to`; empty lists mean every host.
    SetLink {
        /// Senders.
        from: Vec<HostId>,
        /// Receivers.
        to: Vec<HostId>,
        /// The new quality.
        quality: LinkQuality,
    },
    /// Losses on all links from `from` to `to` come in bursts from now on, each link on its own; none: no longer.
    Burst {
        /// Senders.
        from: Vec<HostId>,
        /// Receivers.
        to: Vec<HostId>,
        /// How.
        burst: Option<Burst>,
    },
    /// All links from `from` to `to` carry so much, each on its own; none: whatever comes.
    Capacity {
        /// Senders.
        from: Vec<HostId>,
        /// Receivers.
        to: Vec<HostId>,
        /// How much.
        capacity: Option<Capacity>,
    },
    /// A supervisor handles everything late, timers included; none: in time again.
    Slow {
        /// Which.
        host: HostId,
        /// How late.
        delay: Option<Delay>,
    },
    /// A host's monotonic clock runs so many parts in a million faster than the world's, or slower.
    ClockRate {
        /// Which.
        host: HostId,
        /// By how much; more than -1,000,000.
        ppm: i32,
    },
    /// A host's wall clock is set forward, or back.
    ClockJump {
        /// Which.
        host: HostId,
        /// By how much.
        by_ms: i64,
    },
    /// A host was suspended: its monotonic clock is found to have gone forward by this.
    Suspend {
        /// Which.
        host: HostId,
        /// By how much.
        lasting: Duration,
    },
    /// The host loses power the next time that its supervisor waits for a write to be synced.
    CrashAtSync(HostId),
    /// The host loses power again and again.
    CrashLoop {
        /// Which.
        host: HostId,
        /// How often.
        times: u32,
        /// How long it runs before each crash.
        up: Duration,
        /// How long it is off after each.
        down: Duration,
    },
    /// Start a host that does not run from a copy of another host's disk: one identity at two addresses.
    CloneDisk {
        /// Which.
        host: HostId,
        /// Whose disk is copied.
        of: HostId,
    },
    /// `svc load` at a host.
    LoadService {
        /// Where.
        host: HostId,
        /// The service's name; its package is `sim/<name>`.
        service: String,
        /// With which options.
        how: Load,
    },
    /// `svc unload` at a host.
    UnloadService {
        /// Where.
        host: HostId,
        /// The service's name.
        service: String,
    },
    /// `svc stop` at a host.
    StopService {
        /// Where.
        host: HostId,
        /// The service's name.
        service: String,
    },
    /// `svc start` at a host.
    StartService {
        /// Where.
        host: HostId,
        /// The service's name.
        service: String,
    },
    /// `config apply` or `file upload` at a host.
    Give {
        /// Where.
        host: HostId,
        /// What.
        given: Box<Given>,
    },
    /// From now on, a service's package behaves so on a host.
    Package {
        /// Where.
        host: HostId,
        /// The service's name.
        service: String,
        /// How.
        package: Box<Package>,
    },
    /// From now on, clients send requests to a service through a load balancer.
    Balance(Box<Balancer>),
    /// The service's process ends with this exit code.
    CrashService {
        /// Where.
        host: HostId,
        /// The service's name.
        service: String,
        /// The exit code.
        code: i32,
    },
}

impl Action {
    /// The same for other hosts: `moved` gives each host's new number, none when it is gone. None when nothing
    /// is left that could be done.
    #[must_use]
    pub fn map_hosts(&self, moved: &dyn Fn(HostId) -> Option<HostId>) -> Option<Self> {
        let all =
            |hosts: &[HostId]| -> Vec<HostId> { hosts.iter().filter_map(|host| moved(*host)).collect() };
        // An empty list may mean everybody; one that becomes empty must not widen.
        let some = |hosts: &[HostId]| Some(all(hosts)).filter(|left| left.is_empty() == hosts.is_empty());
        let service = |service: &String| service.clone();
        Some(match self {
            Self::Join(host) => Self::Join(moved(*host)?),
            Self::Leave(host) => Self::Leave(moved(*host)?),
            Self::Depart { by, host } => Self::Depart { by: moved(*by)?, host: moved(*host)? },
            Self::DepartId { by, member } => Self::DepartId { by: moved(*by)?, member: *member },
            Self::Crash(host) => Self::Crash(moved(*host)?),
            Self::Kill(host) => Self::Kill(moved(*host)?),
            Self::Restart(host, disk) => Self::Restart(moved(*host)?, *disk),
            Self::Pause(host) => Self::Pause(moved(*host)?),
            Self::Resume(host) => Self::Resume(moved(*host)?),
            Self::Cut { from, to, both } => Self::Cut { from: some(from)?, to: some(to)?, both: *both },
            Self::Mend { from, to } => Self::Mend { from: some(from)?, to: some(to)? },
            Self::Heal => Self::Heal,
            Self::Calm => Self::Calm,
            Self::SetLink { from, to, quality } => {
                Self::SetLink { from: some(from)?, to: some(to)?, quality: *quality }
            }
            Self::Burst { from, to, burst } => {
                Self::Burst { from: some(from)?, to: some(to)?, burst: *burst }
            }
            Self::Capacity { from, to, capacity } => {
                Self::Capacity { from: some(from)?, to: some(to)?, capacity: *capacity }
            }
            Self::Slow { host, delay } => Self::Slow { host: moved(*host)?, delay: *delay },
            Self::ClockRate { host, ppm } => Self::ClockRate { host: moved(*host)?, ppm: *ppm },
            Self::ClockJump { host, by_ms } => Self::ClockJump { host: moved(*host)?, by_ms: *by_ms },
            Self::Suspend { host, lasting } => Self::Suspend { host: moved(*host)?, lasting: *lasting },
            Self::CrashAtSync(host) => Self::CrashAtSync(moved(*host)?),
            Self::CrashLoop { host, times, up, down } => {
                Self::CrashLoop { host: moved(*host)?, times: *times, up: *up, down: *down }
            }
            Self::CloneDisk { host, of } => Self::CloneDisk { host: moved(*host)?, of: moved(*of)? },
            Self::LoadService { host, service: s, how } => {
                Self::LoadService { host: moved(*host)?, service: service(s), how: *how }
            }
            Self::UnloadService { host, service: s } => {
                Self::UnloadService { host: moved(*host)?, service: service(s) }
            }
            Self::StopService { host, service: s } => {
                Self::StopService { host: moved(*host)?, service: service(s) }
            }
            Self::StartService { host, service: s } => {
                Self::StartService { host: moved(*host)?, service: service(s) }
            }
            Self::Give { host, given } => Self::Give { host: moved(*host)?, given: given.clone() },
            Self::Package { host, service: s, package } => {
                Self::Package { host: moved(*host)?, service: service(s), package: package.clone() }
            }
            Self::Balance(balancer) => {
                let hosts: Vec<HostId> = balancer.hosts.iter().filter_map(|host| moved(*host)).collect();
                if hosts.is_empty() {
                    return None;
                }
                Self::Balance(Box::new(Balancer { hosts, ..(**balancer).clone() }))
            }
            Self::CrashService { host, service: s, code } => {
                Self::CrashService { host: moved(*host)?, service: service(s), code: *code }
            }
        })
    }
}
