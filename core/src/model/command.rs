//! The commands of operators, the node's replies, and its reasons to refuse. They are data only; the node carries them
//! out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use thiserror::Error;

use crate::model::id::{FileName, MemberId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::limits::{Limit, VERSION_MAX};
use crate::model::ring_key::RingKeyId;
use crate::model::service::{ServiceSpec, SpecChange};

/// A request. Reading needs none: see the views on [`crate::Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ban a member from the ring for ever (`sup depart`).
    Depart {
        /// The member.
        member: MemberId,
    },
    /// Leave the ring in order: drain and stop services, announce the departure, then `Effect::Exit`.
    Leave {
        /// Whether services are drained before they are stopped.
        drain: bool,
    },
    /// While leaving: the first skips every wait that is left, the second kills the processes that still run.
    Hurry,
    /// Replace the addresses that are tried while this member is alone (names are resolved by the runtime).
    SetPeers(Vec<SocketAddr>),
    /// This host can open these keys too: files of them have come.
    HoldKeys(Vec<RingKeyId>),
    /// Speak with another key of the ring, once every member can open it (`ring key use`).
    UseKey {
        /// Which key.
        key: RingKeyId,
        /// The ring's name.
        ring: String,
        /// At once, whatever members cannot open it.
        force: bool,
        /// How long the older keys open afterwards, in milliseconds.
        grace_ms: u64,
    },
    /// Load a service and keep it running.
    LoadService {
        /// The package to run and its options.
        spec: ServiceSpec,
        /// Replace the options of a service that is loaded already.
        force: bool,
    },
    /// Stop a service and forget it.
    UnloadService {
        /// The service.
        service: ServiceName,
        /// How it is stopped.
        how: StopHow,
    },
    /// Lift the ban of a member (`sup reset`).
    LiftBan {
        /// The member.
        member: MemberId,
    },
    /// Let this member hand over the lead of a group, to its best follower where one is fit.
    HandOver {
        /// The group.
        group: ServiceGroup,
    },
    /// Want a loaded service up.
    StartService {
        /// The service.
        service: ServiceName,
    },
    /// Stop a service that is wanted up, in order, and start it again; its spec stays as it is. Answered at once.
    RestartService {
        /// The service.
        service: ServiceName,
    },
    /// Want a loaded service down; it stays loaded.
    StopService {
        /// The service.
        service: ServiceName,
        /// How it is stopped.
        how: StopHow,
    },
    /// Change some options of a loaded service; its process is replaced only where it has to be.
    UpdateService {
        /// The service.
        service: ServiceName,
        /// What changes.
        change: Box<SpecChange>,
    },
    /// Let a service take no new work until it is undrained; it goes on running.
    DrainService {
        /// The service.
        service: ServiceName,
        /// The longest wait for its drain hook and for requests in flight, in milliseconds; none: as the package says.
        timeout_ms: Option<u64>,
    },
    /// Write a service's files again: one of their sources has changed that the ring does not tell of, such as the
    /// operator's configuration on this host. Answered at once.
    RenderService {
        /// The service.
        service: ServiceName,
    },
    /// Let a drained service take new work again.
    UndrainService {
        /// The service.
        service: ServiceName,
    },
    /// Put a service into maintenance, or end it. Outlives restarts.
    MaintainService {
        /// The service.
        service: ServiceName,
        /// Why; none ends it.
        reason: Option<String>,
    },
    /// Give a service group another configuration (`config apply`); no member need serve it yet.
    ApplyConfig {
        /// The group.
        group: ServiceGroup,
        /// Its number, higher than the current one.
        version: u64,
        /// It may lie more than [`crate::limits::VERSION_LEAP_MAX`] above the current one.
        allow_leap: bool,
        /// The whole configuration, TOML text, which the runtime has checked; a [`crate::Sealed`] where it is sealed.
        toml: Vec<u8>,
        /// The group's members alone can open it.
        is_sealed: bool,
    },
    /// Give a service group a file, or another version of it (`file upload`).
    PutFile {
        /// The group.
        group: ServiceGroup,
        /// The file's name.
        name: FileName,
        /// Its number, higher than that of this file's current version.
        version: u64,
        /// It may lie more than [`crate::limits::VERSION_LEAP_MAX`] above the current one.
        allow_leap: bool,
        /// The whole content; a [`crate::Sealed`] where it is sealed.
        body: Vec<u8>,
        /// The group's members alone can open it.
        is_sealed: bool,
    },
}

impl Command {
    /// The service of this supervisor that it is about; none where it is about the ring.
    #[must_use]
    pub fn service(&self) -> Option<ServiceName> {
        match self {
            Self::LoadService { spec, .. } => Some(spec.name()),
            Self::UnloadService { service, .. }
            | Self::StartService { service }
            | Self::RestartService { service }
            | Self::StopService { service, .. }
            | Self::UpdateService { service, .. }
            | Self::DrainService { service, .. }
            | Self::RenderService { service }
            | Self::UndrainService { service }
            | Self::MaintainService { service, .. } => Some(service.clone()),
            Self::Depart { .. }
            | Self::LiftBan { .. }
            | Self::HandOver { .. }
            | Self::Leave { .. }
            | Self::Hurry
            | Self::SetPeers(_)
            | Self::HoldKeys(_)
            | Self::UseKey { .. }
            | Self::ApplyConfig { .. }
            | Self::PutFile { .. } => None,
        }
    }
}

/// How a service is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopHow {
    /// Whether it is drained first.
    pub drain: bool,
    /// How long draining may take, in milliseconds; none: as the package says.
    pub drain_timeout_ms: Option<u64>,
    /// How long it may take to end after its stop signal, in milliseconds; none: as its spec or package says.
    pub shutdown_timeout_ms: Option<u64>,
}

impl Default for StopHow {
    /// Drained, with the package's own times.
    fn default() -> Self {
        Self { drain: true, drain_timeout_ms: None, shutdown_timeout_ms: None }
    }
}

/// The answer to one command. A change that it acknowledges is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, and on disk where it has to be.
    Done,
    /// Nothing to do: it is so already.
    Unchanged,
    /// Refused or failed.
    Failed(CommandError),
}

/// Why a command was refused. Nothing changed, unless it says otherwise.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// No service of that name or ident is loaded.
    #[error("{0} is not loaded; `svc status` lists what is")]
    NotLoaded(ServiceName),
    /// A service of that package name is loaded already with other options.
    #[error("{0} is already loaded with other options; use --force to replace them")]
    Conflict(PackageIdent),
    /// The ring knows no such member.
    #[error("no member {0} is known to this ring; `/butterfly` lists the members")]
    UnknownMember(MemberId),
    /// It has no lead to hand over.
    #[error("this supervisor does not lead {0}; `sup ring` shows which one does")]
    NotLeading(ServiceGroup),
    /// There is no ban to lift.
    #[error("member {0} is not banned, so there is nothing to lift; `sup ring` lists the banned members")]
    NotBanned(MemberId),
    /// Every number of a ban is used up, which no honest ring comes near.
    #[error("member {0} was banned and reset as often as can be counted; it cannot be banned again")]
    BansUsedUp(MemberId),
    /// The version is not higher than the one that the ring has.
    #[error("version {current} is current; the next one must be higher")]
    Version {
        /// The version that the answering member has.
        current: u64,
    },
    /// Not a number that a version may have.
    #[error("a version is a number from 1 to {VERSION_MAX} (2^62)")]
    VersionRange,
    /// So far above the current version that it is probably a slip, and numbers never go down.
    #[error(
        "version {version} lies far above the current one, {current}, and every later one would have to be higher still; \
         give one up to {highest}, or --allow-leap if this number is meant"
    )]
    VersionLeap {
        /// The number that was given.
        version: u64,
        /// The version that the answering member has; 0 when it has none.
        current: u64,
        /// The highest number that is taken without being asked about.
        highest: u64,
    },
    /// So far above the current version that no member would believe it.
    #[error(
        "version {version} is higher than members believe today, so that whatever is given can be replaced; the current one \
         is {current}, give one up to {highest}"
    )]
    VersionBeyond {
        /// The number that was given.
        version: u64,
        /// The version that the answering member has; 0 when it has none.
        current: u64,
        /// The highest number that members believe now.
        highest: u64,
    },
    /// Larger than what the ring carries.
    #[error("{bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// This ring has no key.
    #[error("this supervisor speaks in the clear; start it with --ring before its key is changed")]
    NoRingKey,
    /// No file of the key is on this host.
    #[error("this host does not have the ring key {0}; put its file into the key cache of this host first")]
    KeyNotHeld(RingKeyId),
    /// The ring speaks with it already.
    #[error("the ring key {0} is current already")]
    KeyIsCurrent(RingKeyId),
    /// Of two keys the greater one wins, so an older one never comes back.
    #[error("the ring key {current} is current and newer; generate another key and use that")]
    KeyIsOlder {
        /// The current one.
        current: RingKeyId,
    },
    /// A key of a clock that is wrong would stay the newest.
    #[error(
        "the ring key {0} was made more than a year ahead of this host's clock, and no member takes it: one of the two clocks is \
         wrong; move its file out of the key caches, generate another key and use that"
    )]
    KeyIsAhead(RingKeyId),
    /// The supervisor is on its way out.
    #[error("this supervisor is leaving the ring and takes no new work")]
    Leaving,
    /// The record could not be made durable; the change is not acknowledged.
    #[error("could not be written to disk: {0}")]
    NotDurable(String),
    /// The service is stopped, and the disk has not taken the wish.
    #[error(
        "it is stopped and stays loaded, but that could not be written to disk: {0}; a restart of this supervisor starts \
         it again unless there is room before, when it is written by itself"
    )]
    NotStored(String),
    /// A limit of `limits` is reached.
    #[error("limit reached: {0}")]
    Limit(Limit),
    /// The package could not be made ready.
    #[error("{0}")]
    Package(String),
}
