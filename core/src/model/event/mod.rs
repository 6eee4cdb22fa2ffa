//! Events: the changes at a node, each with its cause. They only report; no component may decide by them.
//!
//! The kinds are declared here; [`describe`] holds the names and fields by which logs, gateways and traces show them.

mod describe;
mod field;

pub use field::{Described, FieldError, FieldReader, FieldValue, FieldVisitor};

use alloc::string::String;
use core::net::SocketAddr;

use crate::model::channel::Channel;
use crate::model::election::{ElectionEvent, ElectionId};
use crate::model::id::{EventId, Incarnation, InputId, MemberId, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::limits::Limit;
use crate::model::member::State;
use crate::model::ring_key::{KeyStep, RingKeyId};
use crate::model::rumor::RumorKey;
use crate::model::service::{Hook, ObstacleKind, ServiceState};
use crate::model::update::UpdateStep;

/// One change and its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Numbers this node's events.
    pub id: EventId,
    /// Its cause.
    pub cause: Cause,
    /// What changed.
    pub kind: EventKind,
}

/// The cause of an event: always an input, and the earlier event that it follows from. Where there is none, the input
/// itself led to it: a command, a message, a process that ended, the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The input that was being handled.
    pub input: InputId,
    /// The earlier event that this one follows from.
    pub event: Option<EventId>,
}

/// The change. A trace of these, with their causes, answers *why*.
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
        /// The reason for which this node changed its mind.
        why: Why,
    },
    /// A member was forgotten: departed long enough ago, or the least valuable one at the limit.
    MemberForgotten {
        /// Which member.
        member: MemberId,
    },
    /// A probe got no answer by any path.
    ProbeFailed {
        /// The member that did not answer.
        member: MemberId,
        /// The input in which the ping left.
        ping: InputId,
        /// The input in which the indirect probes left, if they did.
        indirect: Option<InputId>,
        /// Whether the host said that no process listens on the port.
        refused: bool,
        /// How many helpers answered that they could not reach it either.
        nacks: u32,
    },
    /// Another member confirmed a suspicion that this node holds.
    SuspicionConfirmed {
        /// The suspect.
        member: MemberId,
        /// The member that confirmed.
        by: MemberId,
        /// How many members accuse it by now.
        accusers: u32,
    },
    /// This node heard that others hold it worse than alive and answers with a higher incarnation.
    Refuted {
        /// The state that it was called.
        accusation: State,
        /// Its new incarnation.
        incarnation: Incarnation,
    },
    /// The node's own judgement of its health changed (Lifeguard's local health multiplier; 0 is healthy).
    LocalHealth {
        /// The score.
        score: u32,
    },
    /// The node was not running for a while; it checks itself before it accuses other members.
    Stalled {
        /// How long it was not running, in milliseconds.
        for_ms: u64,
    },
    /// A rumor other than a member's record was accepted.
    RumorAccepted {
        /// Which.
        key: RumorKey,
        /// The sender; none when it is this node's own.
        from: Option<MemberId>,
    },
    /// A version of a group's configuration or file that this member acknowledged lost against another one that was
    /// acknowledged elsewhere under the same number. It is not in effect anywhere.
    VersionLost {
        /// Which configuration or file.
        key: RumorKey,
        /// The number that both had.
        version: u64,
        /// The member that acknowledged the version in effect.
        winner: Option<MemberId>,
    },
    /// What this member had told of itself was not what its store held; it was told again, or withdrawn.
    RumorRepaired {
        /// Which rumor.
        key: RumorKey,
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
        /// The member that took the order; none where that is not known any more.
        by: Option<MemberId>,
    },
    /// An operator lifted the ban of a member.
    BanLifted {
        /// Which member.
        member: MemberId,
        /// The member that took the order; none where that is not known any more.
        by: Option<MemberId>,
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
    /// Something came to stand between the wanted and the running state of a service, or is gone.
    ObstacleChanged {
        /// Which service.
        service: ServiceName,
        /// What kind of thing.
        obstacle: ObstacleKind,
        /// The hook that failed; none for other kinds.
        hook: Option<Hook>,
        /// What it is, for people; none when it is gone.
        what: Option<String>,
    },
    /// A statement was not believed: it does not have the word of the member that it is said to come from.
    StatementRefused {
        /// Where it came from.
        from: SocketAddr,
        /// In whose name it was made, where it named one.
        author: Option<MemberId>,
        /// What it was about.
        key: RumorKey,
        /// What was wrong with it.
        refusal: Refusal,
    },
    /// A sealed message was not heard because of its number.
    MessageDropped {
        /// Where it came from.
        from: SocketAddr,
        /// What was wrong.
        fault: StampFault,
        /// How many such messages came from that host since this was last said.
        times: u64,
    },
    /// Two supervisors run with the identity of another member. The one that is not heard was left for the other one.
    IdentityRunsTwice {
        /// Which member.
        member: MemberId,
        /// Where the one is that is not heard.
        address: SocketAddr,
    },
    /// Bytes from outside were rejected.
    DecodeFailed {
        /// Where they came from.
        from: SocketAddr,
        /// The channel that they came over.
        channel: Channel,
        /// The error, in words.
        error: String,
    },
    /// A limit was reached, and the node dropped a record or refused a request.
    LimitReached {
        /// Which limit.
        limit: Limit,
    },
    /// Records could not be stored.
    PersistFailed {
        /// The runtime's words.
        reason: String,
    },
    /// A second daemon runs with a copy of this one's identity.
    IdentityConflict {
        /// Where the other one is.
        address: SocketAddr,
        /// Whether this one stops claiming the identity; otherwise the other one does.
        yields: bool,
    },
    /// The disk held the identity of another member, of a version before keys or without its key: this member took its
    /// place under its own id.
    IdentityTakenOver {
        /// Whose records they were.
        former: MemberId,
    },
    /// A key of the ring took a step.
    RingKeyChanged {
        /// Which key.
        ring_key: RingKeyId,
        /// The step.
        step: KeyStep,
        /// The member that said so; none where this one found it out.
        by: Option<MemberId>,
    },
    /// A ring key could not be handed on, taken in or laid down.
    RingKeyFailed {
        /// Which key.
        ring_key: RingKeyId,
        /// The runtime's words.
        reason: String,
    },
    /// An update of a service of this supervisor took a step.
    UpdateChanged {
        /// Which service.
        service: ServiceName,
        /// The step.
        step: UpdateStep,
        /// The build that it is about; none where it is about no certain one.
        build: Option<PackageIdent>,
        /// The build that ran until then.
        from: Option<PackageIdent>,
        /// Why, for people.
        reason: Option<String>,
    },
    /// This node begins to leave the ring.
    Leaving,
    /// An election of a group of this member's moved on.
    Election {
        /// Which election.
        election: ElectionId,
        /// The term that it is about.
        term: u64,
        /// The step.
        what: ElectionEvent,
    },
}

/// What is wrong with the number of a sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StampFault {
    /// The message came before.
    Had,
    /// It has no number.
    Missing,
    /// It is this member's own.
    Own,
    /// Another member sealed it than the one that speaks in it.
    OtherSender,
    /// It was sealed for the other way of messages.
    OtherChannel,
    /// It was sent to another member.
    OtherReceiver,
    /// Its sender has not proved yet that it speaks now.
    UnknownSender,
    /// Its sender was last heard in another start or series.
    OtherSeries,
    /// Its sender is far ahead of it.
    BelowWindow,
    /// Its number was used for another message.
    UsedTwice,
    /// Its sender was asked and has not answered.
    Unanswered,
    /// The answer was not signed by the member.
    Forged,
}

impl StampFault {
    /// Every fault.
    pub const ALL: [Self; 12] = [
        Self::Had,
        Self::Missing,
        Self::Own,
        Self::OtherSender,
        Self::OtherChannel,
        Self::OtherReceiver,
        Self::UnknownSender,
        Self::OtherSeries,
        Self::BelowWindow,
        Self::UsedTwice,
        Self::Unanswered,
        Self::Forged,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Had => "had",
            Self::Missing => "missing",
            Self::Own => "own",
            Self::OtherSender => "other-sender",
            Self::OtherChannel => "other-channel",
            Self::OtherReceiver => "other-receiver",
            Self::UnknownSender => "unknown-sender",
            Self::OtherSeries => "other-series",
            Self::BelowWindow => "below-window",
            Self::UsedTwice => "used-twice",
            Self::Unanswered => "unanswered",
            Self::Forged => "forged",
        }
    }
}

/// Why a statement was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No member vouches for it.
    Unsigned,
    /// Another member vouches for it than the one that could say so.
    NotItsKey,
    /// The signature is not that of its author under what it says.
    Forged,
    /// Too much of what came from there was wrong lately; it was not looked at.
    Unchecked,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Unsigned, Self::NotItsKey, Self::Forged, Self::Unchecked];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::NotItsKey => "not-its-key",
            Self::Forged => "forged",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The reason for which a node changed its mind about a member.
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
