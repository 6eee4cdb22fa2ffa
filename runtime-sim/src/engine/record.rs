//! The records that a world makes of a run: everything that happened, in order, with the ids that link it. Recording
//! watches and never changes a run.

use annulus_core::{
    Channel, ElectionId, Event, ExitReason, ExitStatus, Hook, InputId, Instant, MemberId, Message,
    PackageIdent, Reply, RequestId, RumorKey, ServiceGroup, ServiceName, StopSignal,
};

use crate::engine::ids::{HostId, PacketId};
use crate::engine::rendering::Rendering;

/// How much a world records. Recording costs nothing where it is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recording {
    /// Nothing.
    #[default]
    Off,
    /// Everything but packets.
    Events,
    /// Packets as well.
    Packets,
}

/// What became of a build on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildFact {
    /// It is on the disk.
    Installed,
    /// It was tried, and can run there.
    Fits,
    /// It was tried, and cannot.
    Misfits,
    /// The disk has it that this build is to run.
    Recorded,
    /// A process of it started.
    Started,
}

impl BuildFact {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Installed, Self::Fits, Self::Misfits, Self::Recorded, Self::Started];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Fits => "fits",
            Self::Misfits => "misfits",
            Self::Recorded => "recorded",
            Self::Started => "started",
        }
    }
}

/// An occurrence and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<D> {
    /// When, by the world's clock.
    pub at: Instant,
    /// The occurrence.
    pub what: What<D>,
}

/// The kinds of occurrence that a world records.
#[derive(Clone, Debug, PartialEq)]
pub enum What<D> {
    /// A deed was done to the world.
    Action(D),
    /// A supervisor's process started.
    HostStarted {
        /// The host.
        host: HostId,
        /// As which member.
        member: MemberId,
        /// Whether its disk knew that member.
        restored: bool,
    },
    /// A supervisor that just started found these versions of group configuration and files, and these votes, on its disk.
    Restored {
        /// The host.
        host: HostId,
        /// Which, with their numbers.
        versions: Vec<(RumorKey, u64)>,
        /// The highest term that it took part in, in each election.
        votes: Vec<(ElectionId, u64)>,
        /// What it has said itself: which, its number, and what tells it from everything else.
        said: Vec<(RumorKey, u64, u64)>,
    },
    /// A supervisor's process ended.
    HostStopped {
        /// The host.
        host: HostId,
        /// The reason.
        why: StopReason,
    },
    /// A node reported an event.
    Event {
        /// The node's host.
        host: HostId,
        /// Its event, cause included.
        event: Box<Event>,
    },
    /// An operator sends a command.
    Asked {
        /// The host whose supervisor is asked.
        host: HostId,
        /// The command; its answer names it.
        request: RequestId,
    },
    /// A node answered a command.
    Reply {
        /// The node's host.
        host: HostId,
        /// The command.
        request: RequestId,
        /// Its answer.
        reply: Reply,
    },
    /// A service's process started.
    ProcessStarted {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Its pid.
        pid: u32,
    },
    /// What became of a build on a host.
    Build {
        /// The host.
        host: HostId,
        /// The build.
        build: PackageIdent,
        /// What became of it.
        fact: BuildFact,
    },
    /// A service's process is told to end.
    ProcessSignalled {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Its pid.
        pid: u32,
        /// The signal.
        signal: StopSignal,
        /// Whether its supervisor says at that moment that the service takes work.
        accepting: bool,
        /// The supervisors that its own holds alive, and that would still send work to it by what they were told.
        unaware: Vec<HostId>,
    },
    /// A service's process ended.
    ProcessExited {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Its pid.
        pid: u32,
        /// Its exit status.
        status: ExitStatus,
    },
    /// A guard kills its service, whose lease has run out.
    LeaseRanOut {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Its pid.
        pid: u32,
    },
    /// A guard lets a supervisor that is started again go on to lead, in another term than before or no longer.
    GuardHolds {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// The process that it holds.
        pid: u32,
        /// The group and the term; none: no supervisor may.
        right: Option<(ServiceGroup, u64)>,
    },
    /// A hook of a service begins.
    HookBegan {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Which.
        hook: Hook,
        /// What its template was given; none where no file was ever written.
        rendering: Option<Box<Rendering>>,
    },
    /// A hook of a service has ended, or was ended.
    HookEnded {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// Which.
        hook: Hook,
        /// Whether it did its work.
        succeeded: bool,
        /// What its template was given when it began; none where no file was ever written.
        rendering: Option<Box<Rendering>>,
    },
    /// A service's files were written.
    Rendered {
        /// The host.
        host: HostId,
        /// The service.
        service: ServiceName,
        /// What the templates were given.
        rendering: Box<Rendering>,
    },
    /// A count in a supervisor is beyond its limit.
    BeyondLimit {
        /// The supervisor's host.
        host: HostId,
        /// The name of the count.
        what: &'static str,
        /// Its value.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// A supervisor leads a group until that time, or leads it no longer.
    Leads {
        /// The supervisor's host.
        host: HostId,
        /// The group.
        group: ServiceGroup,
        /// The term.
        term: u64,
        /// The end of its lease by the world's clock; none: it leads no longer.
        until: Option<Instant>,
    },
    /// An operator that waits was told that a version of a group's configuration or file is in effect.
    Confirmed {
        /// The host whose supervisor said so.
        host: HostId,
        /// The key of the configuration or file.
        key: RumorKey,
        /// The version.
        version: u64,
        /// The alive members of the group, on which it is in effect.
        on: Vec<HostId>,
    },
    /// A supervisor accepted a rumor and holds this version of it now.
    Holds {
        /// The supervisor's host.
        host: HostId,
        /// The rumor's key.
        key: RumorKey,
        /// Grows with each statement of its owner.
        version: u64,
        /// On whose word.
        author: Option<MemberId>,
        /// Tells what it says from everything else that could be said under its key.
        says: u64,
        /// Whether the supervisor said so itself.
        is_own: bool,
    },
    /// A node sent a packet.
    Sent {
        /// The packet.
        packet: PacketId,
        /// The sender.
        from: HostId,
        /// The input that the sender was handling.
        input: InputId,
        /// The receiver; none when no host has that address.
        to: Option<HostId>,
        /// The channel.
        channel: Channel,
        /// Its payload's length.
        bytes: u32,
        /// The message; none when the payload is none of the protocol.
        message: Option<Box<Message>>,
    },
    /// A node received a packet.
    Delivered {
        /// The packet.
        packet: PacketId,
        /// The receiver.
        to: HostId,
        /// The input that it became.
        input: InputId,
    },
    /// A node received a message that a recorder sent once more, or to another member than it was for.
    Replayed {
        /// The packet.
        packet: PacketId,
        /// The receiver.
        to: HostId,
        /// The input that it became.
        input: InputId,
    },
    /// A packet was lost. A duplicate that is lost is not reported.
    Dropped {
        /// The packet.
        packet: PacketId,
        /// To whom it was on the way.
        to: Option<HostId>,
        /// The reason.
        why: DropReason,
    },
    /// The sender of a packet was told that no process listens.
    RefusalDelivered {
        /// The packet.
        packet: PacketId,
        /// Its sender.
        to: HostId,
        /// The input that the refusal became.
        input: InputId,
    },
}

/// Why a supervisor's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// By itself.
    Exit(ExitReason),
    /// The host lost power.
    Crashed,
    /// The process was killed.
    Killed,
}

impl StopReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Exit(ExitReason::Left),
        Self::Exit(ExitReason::Departed),
        Self::Exit(ExitReason::Reset),
        Self::Crashed,
        Self::Killed,
    ];

    /// The word for it in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exit(ExitReason::Left) => "left",
            Self::Exit(ExitReason::Departed) => "departed",
            Self::Exit(ExitReason::Reset) => "reset",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
        }
    }
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Chance, by the link's loss ratio.
    Loss,
    /// The link is cut.
    Cut,
    /// The receiving host is off, or crashed before it could read the packet.
    HostDown,
    /// The receiving host has no supervisor and says so.
    Refused,
    /// The receiving supervisor does not read and its socket's buffer is full.
    Overflow,
    /// No host has this address.
    NoRoute,
    /// The receiving supervisor ended while the stream was open.
    Reset,
    /// The link's queue is full.
    LinkFull,
    /// The sending host or process ended before the stream could be sent.
    SenderDown,
    /// The receiving host does not have the key that it was sealed with.
    UnknownKey,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Loss,
        Self::Cut,
        Self::HostDown,
        Self::Refused,
        Self::Overflow,
        Self::NoRoute,
        Self::Reset,
        Self::LinkFull,
        Self::SenderDown,
        Self::UnknownKey,
    ];

    /// The word for it in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Cut => "cut",
            Self::HostDown => "host-down",
            Self::Refused => "refused",
            Self::Overflow => "overflow",
            Self::NoRoute => "no-route",
            Self::Reset => "reset",
            Self::LinkFull => "link-full",
            Self::SenderDown => "sender-down",
            Self::UnknownKey => "unknown-key",
        }
    }
}

/// Counts since the world began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries taken from the event queue.
    pub steps: u64,
    /// Inputs handled by nodes.
    pub inputs: u64,
    /// Wake-ups among them.
    pub wakes: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their payloads' bytes.
    pub datagram_bytes: u64,
    /// Stream messages sent.
    pub streams: u64,
    /// Their payloads' bytes.
    pub stream_bytes: u64,
    /// Datagrams delivered a second time.
    pub duplicates: u64,
    /// Packets that did not arrive, by [`DropReason`].
    pub dropped: [u64; DropReason::ALL.len()],
}
