//! The border of the state machine: the inputs that a runtime feeds it, its outputs, and the effects that the runtime
//! carries out. Everything that crosses is plain data; no handle, closure or reference to the outside may cross.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::model::channel::Channel;
use crate::model::command::{Command, Reply};
use crate::model::event::Event;
use crate::model::exit_status::ExitStatus;
use crate::model::facts::Facts;
use crate::model::id::{EffectId, RequestId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::lease::Lease;
use crate::model::prepared::{HookEnd, Prepared, Rendered};
use crate::model::ring_key::RingKeyId;
use crate::model::row::Write;
use crate::model::service::{Health, Hook, ObstacleKind, ServiceSpec};
use crate::model::stamp::Stamp;
use crate::model::time::Instant;
use crate::model::update::{FetchFault, Found};

/// An input from outside: the time, a message, a command or a result.
#[derive(Debug)]
pub enum Input<'a> {
    /// The time of an earlier `WakeAt` has come (or the runtime woke for any other reason).
    Wake,
    /// One UDP datagram: SWIM and small rumors.
    Datagram {
        /// Source address of the datagram.
        from: SocketAddr,
        /// The key that opened it; the clear where it was not sealed.
        key: RingKeyId,
        /// Its payload.
        bytes: &'a [u8],
        /// The number that it was sealed with; none in an open ring.
        stamp: Option<Stamp>,
    },
    /// One framed TCP message without its length prefix: large rumors and anti-entropy.
    Stream {
        /// Address of the connection's other end; its port says nothing.
        from: SocketAddr,
        /// The key that opened it; the clear where it was not sealed.
        key: RingKeyId,
        /// The frame's body.
        bytes: &'a [u8],
        /// The number that it was sealed with; none in an open ring.
        stamp: Option<Stamp>,
    },
    /// The host at this address answered that no process listens there (ICMP port unreachable, TCP reset).
    Refused {
        /// The address that was written to.
        to: SocketAddr,
    },
    /// An operator's command.
    Command(RequestId, Command),
    /// The result of an earlier [`Effect`].
    EffectDone(EffectId, EffectResult),
}

/// A task for the runtime.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes. The runtime reports no success; a refusal comes back as [`Input::Refused`].
    Transmit(Transmit),
    /// Carry out this effect and report its result with [`Input::EffectDone`].
    Effect(EffectId, Effect),
    /// Answer a command.
    Reply(RequestId, Reply),
    /// A change and its cause, for logs, metrics, traces, dashboards.
    Event(Box<Event>),
    /// Nothing more to do until then, unless an input comes first. Always the last output of an input.
    WakeAt(Instant, WakeReason),
}

/// A message to send.
#[derive(Debug)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// How.
    pub channel: Channel,
    /// The key to seal it with: the newest one that the member at this address can open.
    pub key: RingKeyId,
    /// The payload (without a length prefix on streams).
    pub bytes: Vec<u8>,
    /// The number that it is to be sealed with, and nothing else ever; none in an open ring.
    pub stamp: Option<Stamp>,
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
    /// A record is old enough to be forgotten, or a batch of records is to be written.
    Housekeeping,
    /// A service's back-off or stop deadline.
    Service,
    /// A look for newer builds, or the end of a trial.
    Update,
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
        /// The rows to store or delete, as one transaction.
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
        /// The facts that its templates may know.
        facts: Box<Facts>,
    },
    /// Find the package of a process that outlived the last supervisor, and merge its configuration; its files stay as
    /// they are: `Prepared` or `PrepareFailed`.
    Look {
        /// The service.
        service: ServiceName,
        /// A spec that asks for the package of the process.
        spec: Box<ServiceSpec>,
        /// The facts of the moment.
        facts: Box<Facts>,
    },
    /// Write the files of a prepared service again: `Rendered`, or `RenderFailed` and the old files stay.
    Render {
        /// The service.
        service: ServiceName,
        /// The facts that its templates may know by now.
        facts: Box<Facts>,
    },
    /// Start the service's `run` hook under its guard, in a process group of its own: `Spawned` or `SpawnFailed`; after
    /// `Spawned`, once, `Exited`: no process of the service is left then, whatever it started.
    Spawn {
        /// The service, prepared before.
        service: ServiceName,
        /// Its group, for log prefixes.
        group: ServiceGroup,
        /// For a process that leads from its start: its guard holds this before the process runs.
        lease: Option<Lease>,
        /// The restarts of the service so far, which the runtime keeps with the process.
        restarts: u32,
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
    /// Run one of a prepared service's hooks and kill every process that it started at the deadline: `HookEnded`.
    RunHook {
        /// The service.
        service: ServiceName,
        /// Which hook; one that the package does not have ends as `HookExit::Missing`.
        hook: Hook,
        /// The deadline, in milliseconds from the start.
        timeout_ms: u64,
        /// For a hook that may say that the service leads: its guard holds this before the hook runs, unless it holds the
        /// lease of a process already.
        lease: Option<Lease>,
    },
    /// End every hook of a service that runs, with all that it started: `Signalled`, and for each of the hooks its own
    /// `HookEnded` once nothing of it is left. The polite signal to a service's process does the same.
    EndHooks {
        /// The service.
        service: ServiceName,
    },
    /// Ask how a service is, by its hook or by the check that its plan names: `HealthChecked`.
    CheckHealth {
        /// The service, whose `Prepared::has_health_check` was true.
        service: ServiceName,
        /// The deadline, in milliseconds; a service without an answer by then is critical.
        timeout_ms: u64,
        /// As with `RunHook`.
        lease: Option<Lease>,
    },
    /// Count the requests that a service still works on: `Inflight`.
    CountInflight {
        /// The service, whose `DrainPlan::inflight` was true.
        service: ServiceName,
        /// The deadline, in milliseconds.
        timeout_ms: u64,
    },
    /// Tell the guard that holds the process how long it may act as the leader, so that it ends in time also when this
    /// supervisor is dead or stuck: `Leased`, or `LeaseFailed` when the guard cannot be told.
    Lease {
        /// The service.
        service: ServiceName,
        /// The process that `Spawn` or `Adopt` named; none where only a hook runs, with a lease.
        pid: Option<u32>,
        /// Replaces the lease that the guard holds; none: the process does not act as the leader.
        lease: Option<Lease>,
    },
    /// Work with keys of the ring, which the core cannot do itself: `RingKey`.
    RingKey(KeyWork),
    /// Look for builds of a service's package, here and in a channel: `LookedUp` or `LookUpFailed`. A look of the same
    /// service that is still unanswered is wanted no longer; whatever answers it is dropped.
    LookUp {
        /// The service.
        service: ServiceName,
        /// The builds that its spec allows.
        ident: PackageIdent,
        /// The channel.
        channel: String,
        /// The package store's address.
        url: String,
        /// The last answer: a runtime that can may keep the question for a while, until the answer is another one.
        seen: Option<Box<Found>>,
    },
    /// Have a build verified, unpacked and on disk here, from these members or from its depot; also one that is installed
    /// already: `Fetched` or `FetchFailed`. Nothing that runs is touched.
    Fetch {
        /// The service.
        service: ServiceName,
        /// The build, fully qualified.
        ident: PackageIdent,
        /// The channel.
        channel: String,
        /// The package store's address.
        url: String,
        /// HTTP gateways of members that run the build.
        peers: Vec<SocketAddr>,
    },
    /// Try whether an installed build could run here: what it needs is there, and its templates render. Touches no file of
    /// the service and runs no hook: `Preflighted` or `PreflightFailed`.
    Preflight {
        /// The service.
        service: ServiceName,
        /// Its spec, with the build as its ident.
        spec: Box<ServiceSpec>,
        /// The facts that its templates would know.
        facts: Box<Facts>,
    },
    /// The node has finished; the runtime ends. Not answered.
    Exit(ExitReason),
}

/// Work with keys of the ring. The core knows keys by name only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyWork {
    /// Seal a key for one member: `Sealed`.
    Seal {
        /// The key.
        key: RingKeyId,
        /// The public key of the member.
        box_key: [u8; 32],
    },
    /// Open a key that was sealed for this member, check that it is the one, and keep it so that a restart has it:
    /// `Done`, and messages that are sealed with it are opened from then on.
    Open {
        /// The key that it has to be.
        key: RingKeyId,
        /// It, sealed.
        sealed: Vec<u8>,
    },
    /// Open nothing with this key any more, and keep it no longer: `Done`.
    Drop {
        /// The key.
        key: RingKeyId,
    },
}

/// The result of work with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyDone {
    /// The key, sealed for the member.
    Sealed(Vec<u8>),
    /// It is done.
    Done,
    /// It could not be done, and why.
    Failed(String),
}

/// A signal to a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// The polite signal: the one that the package names, TERM by default.
    Stop,
    /// KILL.
    Kill,
}

impl StopSignal {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Stop, Self::Kill];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// Why a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to leave and has.
    Left,
    /// An operator banned it from the ring.
    Departed,
    /// It was banned, and an operator has lifted the ban: it is to be started again, and takes part as before.
    Reset,
}

/// The result of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectResult {
    /// The records are stored.
    Persisted,
    /// The records are not stored, and no part of the transaction is.
    PersistFailed(String),
    /// The records are not stored, because what is there was changed by another hand; no fault of the disk.
    PersistRefused(String),
    /// The package is found and rendered.
    Prepared(Prepared),
    /// The package cannot be made ready.
    PrepareFailed {
        /// What kind of thing is wrong.
        kind: ObstacleKind,
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
    /// The signal was sent, or no process was left to receive it.
    Signalled,
    /// The files are written with the new facts.
    Rendered(Rendered),
    /// The files could not be written; the old ones stay.
    RenderFailed {
        /// What kind of thing is wrong.
        kind: ObstacleKind,
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
    /// Requests that the service still works on; none when the service does not say.
    Inflight(Option<u64>),
    /// What became of the work with a key.
    RingKey(KeyDone),
    /// The builds that were found.
    LookedUp {
        /// Those that the spec allows.
        found: Found,
        /// Whether the runtime keeps the next question until the answer is another one.
        waits: bool,
    },
    /// The depot could not be asked.
    LookUpFailed {
        /// What is wrong.
        reason: String,
    },
    /// The build is verified, unpacked and on disk.
    Fetched {
        /// The version of its service's interface, where its package says so.
        service_version: Option<String>,
    },
    /// The build is not here.
    FetchFailed {
        /// Whether another try makes sense.
        fault: FetchFault,
        /// What is wrong.
        reason: String,
    },
    /// The build was tried.
    Preflighted {
        /// Why it cannot run here; empty when it can.
        misfits: Vec<String>,
    },
    /// It could not be tried.
    PreflightFailed {
        /// What is wrong.
        reason: String,
    },
    /// The guard that holds the process has the lease.
    Leased,
    /// The guard could not be told; an end that it was told before still stands.
    LeaseFailed {
        /// What is wrong.
        reason: String,
    },
}
