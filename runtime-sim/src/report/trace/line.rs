//! The lines of a trace as values: written from a record, and read back.
//!
//! The table of the module above is for people; these types hold both directions to it. Members, groups, states and
//! whole events are the core's types; hosts go by their names.

use annulus_core::{
    Channel, Event, ExitStatus, Hook, MemberId, PackageIdent, RumorKey, ServiceGroup, ServiceName, State,
    StopSignal,
};
use serde::{Deserialize, Serialize};

use super::fields::{event, key, text, word};
use crate::engine::record::{BuildFact, DropReason, StopReason};

/// Nanoseconds of the world's time.
pub type Nanos = u64;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The time.
    pub t: Nanos,
    /// The content.
    #[serde(flatten)]
    pub what: Told,
}

/// The kinds of line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is one of the record's, described there")]
pub enum Told {
    Action(Act),
    HostStarted {
        host: String,
        #[serde(with = "text")]
        member: MemberId,
        restored: bool,
    },
    Restored {
        host: String,
        versions: Vec<Held>,
    },
    HostStopped {
        host: String,
        #[serde(with = "word")]
        why: StopReason,
    },
    Event {
        host: String,
        #[serde(flatten, with = "event")]
        event: Event,
    },
    Asked {
        host: String,
        request: u64,
    },
    Reply {
        host: String,
        request: u64,
        /// In words, for people.
        reply: String,
    },
    BeyondLimit {
        host: String,
        of: String,
        count: u64,
        limit: u64,
    },
    Leads {
        host: String,
        #[serde(with = "text")]
        service_group: ServiceGroup,
        term: u64,
        until: Option<Nanos>,
    },
    Holds {
        host: String,
        #[serde(flatten)]
        held: Held,
    },
    Confirmed {
        host: String,
        #[serde(flatten)]
        held: Held,
        on: Vec<String>,
    },
    ProcessStarted {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        pid: u32,
    },
    Build {
        host: String,
        #[serde(with = "text")]
        build: PackageIdent,
        #[serde(with = "word")]
        fact: BuildFact,
    },
    ProcessSignalled {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        pid: u32,
        #[serde(with = "word")]
        signal: StopSignal,
        accepting: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unaware: Vec<String>,
    },
    ProcessExited {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        pid: u32,
        #[serde(with = "text")]
        status: ExitStatus,
    },
    LeaseRanOut {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        pid: u32,
    },
    GuardHolds {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        pid: u32,
        /// The term in which its process may be led on.
        term: Option<u64>,
    },
    HookBegan {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        #[serde(with = "text")]
        hook: Hook,
    },
    HookEnded {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        #[serde(with = "text")]
        hook: Hook,
        succeeded: bool,
    },
    Rendered {
        host: String,
        #[serde(with = "text")]
        service: ServiceName,
        #[serde(with = "text")]
        service_group: ServiceGroup,
        role: Option<String>,
        term: Option<u64>,
        leader: Option<String>,
        config: u64,
    },
    Sent(Sent),
    Delivered {
        packet: u64,
        to: String,
        input: u64,
    },
    Dropped {
        packet: u64,
        to: Option<String>,
        #[serde(with = "word")]
        why: DropReason,
    },
    Refused {
        packet: u64,
        to: String,
        input: u64,
    },
}

/// An action that was done to the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Its name.
    #[serde(rename = "action")]
    pub name: String,
    /// The hosts that it is done to; of a link, the senders.
    pub from: Vec<String>,
    /// Of a link, the receivers.
    pub to: Vec<String>,
    /// Whether it goes both ways.
    pub both: bool,
    /// How many of how many packets a link loses from now on.
    pub loss: Option<(u32, u32)>,
    /// The service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The same in words.
    pub text: String,
}

/// A version of a rumor that a supervisor has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The rumor's key.
    #[serde(flatten, with = "key")]
    pub key: RumorKey,
    /// The version.
    pub version: u64,
}

/// A packet that leaves, and its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its number.
    pub packet: u64,
    /// The sending host.
    pub from: String,
    /// The sender's input.
    pub input: u64,
    /// The receiving host; none when no host has that address.
    pub to: Option<String>,
    /// The channel.
    #[serde(with = "word")]
    pub channel: Channel,
    /// Its payload's length.
    pub bytes: u32,
    /// The message; none when the payload is none of the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Said>,
}

/// The content of a message, as far as it explains why a member was accused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The word for its kind.
    pub kind: String,
    /// The member that speaks, by its own word.
    #[serde(with = "text")]
    pub speaker: MemberId,
    /// The probe that it belongs to.
    pub seq: Option<u64>,
    /// The member that a probe asks for, or that it is about.
    #[serde(with = "text::option")]
    pub about: Option<MemberId>,
    /// Of an election's message: its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballot: Option<Ballot>,
    /// Members' records that it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tells: Vec<Tells>,
    /// Versions of groups' configuration and files that it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carries: Vec<Held>,
}

/// A step of an election in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// The group; of its updates, in words.
    pub group: String,
    /// The term.
    pub term: u64,
    /// The number of the request.
    pub round: u64,
    /// The step, or the one that is answered.
    pub step: String,
    /// Of an answer: the verdict.
    pub verdict: Option<String>,
    /// How long the voter is bound, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// A member's record in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tells {
    /// The member.
    #[serde(with = "text")]
    pub member: MemberId,
    /// Its state.
    #[serde(with = "word")]
    pub state: State,
    /// Its incarnation.
    pub incarnation: u64,
}
