//! What crosses the border of the state machine: inputs, outputs, effects and events.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use crate::command::{Command, Reply};
use crate::error::DecodeError;
use crate::facts::{ElectionEvent, Facts};
use crate::id::{EffectId, EventId, Incarnation, InputId, MemberId, RequestId, ServiceGroup, ServiceName};
use crate::limits::Limit;
use crate::membership::State;
use crate::prepared::{HookEnd, Prepared, Rendered};
use crate::rumor::RumorKey;
use crate::service::{Demoted, Health, Hook, ServiceSpec, ServiceState};
use crate::snapshot::Write;
use crate::time::Instant;

/// Something that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// The time of an earlier `WakeAt` has come (or the runtime woke for any other reason).
    Wake,
    /// One UDP datagram: SWIM and small rumors.
    Datagram {
        /// Source address of the datagram.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// One framed TCP message without its length prefix: large rumors and anti-entropy.
    Stream {
        /// Address of the connection's other end; its port says nothing.
        from: SocketAddr,
        /// The frame's body.
        bytes: &'a [u8],
    },
    /// The host at this address answered that nobody listens there (ICMP port unreachable, TCP reset).
    Refused {
        /// The address that was written to.
        to: SocketAddr,
    },
    /// What an operator asked.
    Command(RequestId, Command),
    /// Something that an earlier [`Effect`] brought about.
    EffectDone(EffectId, EffectResult),
}

/// Something that the runtime has to do.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes. Nobody reports success; a refusal comes back as [`Input::Refused`].
    Transmit(Transmit),
    /// Bring this about and report with [`Input::EffectDone`].
    Effect(EffectId, Effect),
    /// Answer a command.
    Reply(RequestId, Reply),
    /// What changed and why: for logs, metrics, traces, dashboards.
    Event(Box<Event>),
    /// Nothing more to do until then, unless an input comes first. Always the last output of an input.
    WakeAt(Instant, WakeReason),
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// One UDP datagram of at most `limits::DATAGRAM_BYTES_MAX` bytes.
    Datagram,
    /// One length-prefixed frame on a TCP connection.
    Stream,
}

/// A message to send.
#[derive(Debug)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// How.
    pub channel: Channel,
    /// The payload (without a length prefix on streams).
    pub bytes: Vec<u8>,
}

/// Why a node wants to be woken: the earliest of its deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeReason {
    /// A new probe round begins.
    ProbeRound,
    /// A probe's ack is due.
    ProbeTimeout,
    /// A relayed probe's ack is due.
    RelayTimeout,
    /// A suspicion runs out, or its suspect is to be checked.
    Suspicion,
    /// Hot rumors are to be told.
    Gossip,
    /// The periodic digest exchange.
    Sync,
    /// Peers are tried while alone, or a lost member is tried again.
    Reconnect,
    /// Something is old enough to be forgotten, or a batch of records is to be written.
    Housekeeping,
    /// A service's back-off or stop deadline.
    Service,
    /// A lease to renew, a promise that runs out, a round of an election.
    Election,
    /// The departure has been announced long enough.
    Leaving,
    /// Nothing is pending.
    Idle,
}

/// Work for the runtime. Every effect is answered by at least one `EffectResult`, except `Exit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store records; answered by `Persisted` once they would survive a power failure (when `sync`),
    /// or at once when they may be lost (`sync` false: re-learned from the ring).
    Persist {
        /// What to store or delete, as one transaction.
        writes: Vec<Write>,
        /// Whether the answer promises that the records survive.
        sync: bool,
    },
    /// Find the installed package for a service, merge its configuration and write everything it needs:
    /// `Prepared` or `PrepareFailed`.
    Prepare {
        /// The service.
        service: ServiceName,
        /// Its spec.
        spec: Box<ServiceSpec>,
        /// What its templates may know.
        facts: Box<Facts>,
    },
    /// Write the files of a prepared service again: `Rendered`, or `RenderFailed` and the old files stay.
    Render {
        /// The service.
        service: ServiceName,
        /// What its templates may know by now.
        facts: Box<Facts>,
    },
    /// Start the service's `run` hook in a process group of its own:
    /// `Spawned` or `SpawnFailed`; after `Spawned`, once, `Exited`.
    Spawn {
        /// The service, prepared before.
        service: ServiceName,
        /// Its group, for log prefixes.
        group: ServiceGroup,
    },
    /// Take over a process that outlived the last supervisor: answered exactly like `Spawn`.
    Adopt {
        /// The service. It is prepared afterwards, or not at all when the process is only to be stopped.
        service: ServiceName,
        /// Its group, for log prefixes.
        group: ServiceGroup,
        /// The process, out of [`crate::Snapshot::running`].
        pid: u32,
    },
    /// Signal the service's process group: `Signalled`.
    Signal {
        /// The service.
        service: ServiceName,
        /// The process that `Spawned` named.
        pid: u32,
        /// Which signal.
        signal: StopSignal,
    },
    /// Run one of a prepared service's hooks and kill what it started at the deadline: `HookEnded`.
    RunHook {
        /// The service.
        service: ServiceName,
        /// Which hook; one that the package does not have ends as `HookExit::Missing`.
        hook: Hook,
        /// The deadline, in milliseconds from the start.
        timeout_ms: u64,
    },
    /// Ask how a service is, by its hook or by the check that its plan names: `HealthChecked`.
    CheckHealth {
        /// The service, whose `Prepared::has_health_check` was true.
        service: ServiceName,
        /// The deadline, in milliseconds; what has no answer by then is critical.
        timeout_ms: u64,
    },
    /// Count the requests that a service still works on: `Inflight`.
    CountInflight {
        /// The service, whose `DrainPlan::inflight` was true.
        service: ServiceName,
        /// The deadline, in milliseconds.
        timeout_ms: u64,
    },
    /// Tell whoever holds the process how long it may act as the leader, so that it ends in time also when this
    /// supervisor is dead or stuck: `Leased`.
    Lease {
        /// The service.
        service: ServiceName,
        /// The process that `Spawn` or `Adopt` named.
        pid: u32,
        /// Without another lease within this, in milliseconds, `then` happens; none ends the lease.
        left_ms: Option<u64>,
        /// What happens to the process when the lease runs out.
        then: Demoted,
    },
    /// The node has finished; the runtime ends. Not answered.
    Exit(ExitReason),
}

/// A signal to a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// The polite one: what the package names, TERM by default.
    Stop,
    /// KILL.
    Kill,
}

/// Why a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to leave and has.
    Left,
    /// An operator banned it from the ring.
    Departed,
}

/// What an effect brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectResult {
    /// The records are stored.
    Persisted,
    /// They are not, and nothing of the transaction is.
    PersistFailed(String),
    /// The package is found and rendered.
    Prepared(Prepared),
    /// It is not.
    PrepareFailed {
        /// What is wrong and what to do.
        reason: String,
    },
    /// The process runs.
    Spawned {
        /// Its pid, which is also its process group.
        pid: u32,
    },
    /// It could not be started.
    SpawnFailed {
        /// What is wrong.
        reason: String,
    },
    /// The process ended.
    Exited(ExitStatus),
    /// The signal was sent, or nobody was left to receive it.
    Signalled,
    /// The files are written with the new facts.
    Rendered(Rendered),
    /// They are not; the old ones stay.
    RenderFailed {
        /// Which file, and what is wrong with it.
        reason: String,
    },
    /// The hook ended, or was ended.
    HookEnded(HookEnd),
    /// The service was asked how it is.
    HealthChecked {
        /// How it is.
        health: Health,
        /// What it said, for people.
        note: String,
    },
    /// Requests that the service still works on; none when nobody can say.
    Inflight(Option<u64>),
    /// The lease is known to whoever holds the process.
    Leased,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("unknown exit status"),
        }
    }
}

/// What changed, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Numbers this node's events.
    pub id: EventId,
    /// What led to it.
    pub cause: Cause,
    /// What changed.
    pub kind: EventKind,
}

/// What led to an event: always an input, and, where a timer carries something on, the event that set the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The input that was being handled.
    pub input: InputId,
    /// The earlier event that this one follows from.
    pub event: Option<EventId>,
}

/// What changed. A trace of these, with their causes, answers *why*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The node runs with this identity, which is on disk.
    Started {
        /// This member.
        member: MemberId,
        /// Its incarnation.
        incarnation: Incarnation,
        /// Whether the identity was restored.
        restored: bool,
    },
    /// A member's state or incarnation changed in this node's view.
    MemberChanged {
        /// Which member.
        member: MemberId,
        /// Its state before; none when it was unknown.
        from: Option<State>,
        /// Its state now.
        to: State,
        /// Its incarnation now.
        incarnation: Incarnation,
        /// What made this node change its mind.
        why: Why,
    },
    /// A member was forgotten: departed long enough ago, or the least valuable one at the limit.
    MemberForgotten {
        /// Which member.
        member: MemberId,
    },
    /// A probe got no answer by any path.
    ProbeFailed {
        /// Who did not answer.
        member: MemberId,
        /// The input in which the ping left.
        ping: InputId,
        /// The input in which the indirect probes left, if they did.
        indirect: Option<InputId>,
        /// Whether the host said that nobody listens.
        refused: bool,
        /// How many helpers answered that they could not reach it either.
        nacks: u32,
    },
    /// Another member confirmed a suspicion that this node holds.
    SuspicionConfirmed {
        /// The suspect.
        member: MemberId,
        /// Who confirmed.
        by: MemberId,
        /// How many members accuse it by now.
        accusers: u32,
    },
    /// This node heard itself called something worse than alive and answers with a higher incarnation.
    Refuted {
        /// What it was called.
        accusation: State,
        /// Its new incarnation.
        incarnation: Incarnation,
    },
    /// The node's own judgement of its health changed (Lifeguard's local health multiplier; 0 is healthy).
    LocalHealth {
        /// The score.
        score: u32,
    },
    /// The node was not running for a while; it checks itself before it accuses anybody.
    Stalled {
        /// How long it was not running, in milliseconds.
        for_ms: u64,
    },
    /// A rumor other than a member's record was accepted.
    RumorAccepted {
        /// Which.
        key: RumorKey,
        /// Who sent it; none when it is this node's own.
        from: Option<MemberId>,
    },
    /// A version of a group's configuration or file that this member acknowledged lost against another one that was
    /// acknowledged elsewhere under the same number. It is not in effect anywhere.
    VersionLost {
        /// Which configuration or file.
        key: RumorKey,
        /// The number that both had.
        version: u64,
        /// Who acknowledged the one that is in effect.
        winner: Option<MemberId>,
    },
    /// A digest exchange moved records.
    Synced {
        /// The other member.
        with: MemberId,
        /// Records that it sent and this node lacked.
        learned: u32,
        /// Records that this node sent.
        sent: u32,
    },
    /// A member was banned by an operator.
    Banned {
        /// Which member.
        member: MemberId,
    },
    /// A service of this supervisor changed state.
    ServiceChanged {
        /// Which service.
        service: ServiceName,
        /// Its state before; none when it was not loaded.
        from: Option<ServiceState>,
        /// Its state now; none when it is unloaded.
        to: Option<ServiceState>,
        /// Why, for people.
        reason: String,
    },
    /// Bytes from outside were rejected.
    DecodeFailed {
        /// Where they came from.
        from: SocketAddr,
        /// Over what.
        channel: Channel,
        /// What was wrong.
        error: DecodeError,
    },
    /// A limit was reached and something was dropped.
    LimitReached {
        /// Which limit.
        limit: Limit,
    },
    /// Records could not be stored.
    PersistFailed {
        /// The runtime's words.
        reason: String,
    },
    /// A second daemon runs with a copy of this one's identity; this one stops claiming it.
    IdentityConflict {
        /// Where the other one is.
        address: SocketAddr,
    },
    /// This node begins to leave the ring.
    Leaving,
    /// An election of a group of this member's moved on.
    Election {
        /// Which group.
        group: ServiceGroup,
        /// The term that it is about.
        term: u64,
        /// What happened.
        what: ElectionEvent,
    },
}

/// What made a node change its mind about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its record was on this node's disk.
    Restored,
    /// The member itself spoke to this node.
    Contact,
    /// Another member said so.
    Rumor {
        /// Who.
        from: MemberId,
    },
    /// This node's own probe of it failed.
    ProbeFailed,
    /// The suspicion ran out.
    SuspicionExpired {
        /// How many members accused it.
        accusers: u32,
    },
    /// It has been confirmed dead for so long that it counts as gone.
    GoneTooLong,
    /// It is this node itself.
    Own,
    /// An operator said so.
    Operator,
}
