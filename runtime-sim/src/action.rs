//! What can be done to a simulated world. Scenario files and sweeps both end up as lists of these.

use annulus_core::MemberId;
use annulus_core::Rng;
use std::time::Duration;

/// A simulated host, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

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

/// A probability as a ratio, so that no floating point enters a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Cases.
    pub numerator: u32,
    /// Out of so many; not zero.
    pub denominator: u32,
}

impl Ratio {
    /// Never.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// So many of a hundred, in lowest terms, as a scenario file has it.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        let (mut a, mut b) = (percent, 100);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Self { numerator: percent / a, denominator: 100 / a }
    }

    /// Draws once. Draws also when the ratio is zero, so that changing it does not move later draws.
    pub fn draw(self, rng: &mut Rng) -> bool {
        rng.chance(u64::from(self.numerator), u64::from(self.denominator))
    }
}

/// How packets travel from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkQuality {
    /// Shortest time on the way.
    pub latency_min: Duration,
    /// Longest time on the way; drawn uniformly in between.
    pub latency_max: Duration,
    /// Datagrams (and stream segments, which are sent again) lost.
    pub loss: Ratio,
    /// Datagrams delivered twice.
    pub duplicate: Ratio,
    /// Datagrams held back long enough for later ones to overtake them.
    pub reorder: Ratio,
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
    /// `svc load` at a host.
    LoadService {
        /// Where.
        host: HostId,
        /// The service's name; its package is `sim/<name>`.
        service: String,
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
