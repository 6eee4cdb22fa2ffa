//! The messages of Annulus alone that ask for the ring as a supervisor sees it, and for the files of a group. Only
//! messages: `ring` and `group` answer them.

use prost::Message;

use super::group_message::GroupVersion;
use super::message::{CtlMessage, PackageIdent, ServiceGroup};

macro_rules! named {
    ($($name:ident),+ $(,)?) => { $(impl CtlMessage for $name { const ID: &'static str = stringify!($name); })+ };
}

named!(RingQuery, RingStatus, FilesQuery, GroupFiles, SvcRestart, GroupHandOver);

/// Stops a service in order and starts it again.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcRestart {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
}

/// Asks for the ring: one [`RingStatus`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RingQuery {}

/// The ring as one supervisor sees it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingStatus {
    /// The member that answers.
    #[prost(string, tag = "1")]
    pub answered_by: String,
    /// Its members, that one included.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<RingMember>,
    /// Its service groups.
    #[prost(message, repeated, tag = "3")]
    pub groups: Vec<RingGroup>,
    /// Peers of the answering supervisor that do not answer it.
    #[prost(message, repeated, tag = "4")]
    pub silent: Vec<SilentPeer>,
    /// Members that were banned.
    #[prost(string, repeated, tag = "5")]
    pub banned: Vec<String>,
    /// How much the answering member doubts its own health; 0 is not at all.
    #[prost(uint32, tag = "6")]
    pub local_health: u32,
    /// Rumors that it still tells.
    #[prost(uint64, tag = "7")]
    pub hot_rumors: u64,
    /// Its time, in milliseconds since the epoch.
    #[prost(uint64, tag = "8")]
    pub now_ms: u64,
    /// The key that seals what its members say, name and revision; absent in an open ring.
    #[prost(string, optional, tag = "9")]
    pub ring_key: Option<String>,
    /// Addresses that are not heard because of that key, the latest first. A bounded number of them.
    #[prost(message, repeated, tag = "10")]
    pub rejected: Vec<RejectedPeer>,
    /// How many messages in the clear were heard, where the ring has a key and the clear is heard beside it; else absent.
    #[prost(uint64, optional, tag = "11")]
    pub heard_in_the_clear: Option<u64>,
    /// The last order about each member that was ever banned.
    #[prost(message, repeated, tag = "12")]
    pub bans: Vec<BanOrder>,
    /// Where another supervisor runs with a copy of the answering member's identity; absent while there is no sign of one.
    #[prost(string, optional, tag = "13")]
    pub copy: Option<String>,
}

/// The last order about the ban of a member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BanOrder {
    /// The member.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// The member that took the order; absent where that is not known.
    #[prost(string, optional, tag = "2")]
    pub by: Option<String>,
    /// Whether it lifts the ban.
    #[prost(bool, tag = "3")]
    pub lifted: bool,
    /// Which ban of the member it is about, from 0.
    #[prost(uint64, tag = "4")]
    pub epoch: u64,
}

/// Lets this supervisor hand over the lead of a group.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupHandOver {
    /// The group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
}

/// An address that is not heard.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RejectedPeer {
    /// The host, with the port where it says anything.
    #[prost(string, tag = "1")]
    pub address: String,
    /// no key, unknown key, sealed or foreign.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Its datagrams.
    #[prost(uint64, tag = "3")]
    pub datagrams: u64,
    /// Its frames on streams.
    #[prost(uint64, tag = "4")]
    pub frames: u64,
    /// Its clients at the ctl gateway.
    #[prost(uint64, tag = "5")]
    pub clients: u64,
    /// When the first came, in milliseconds since the epoch.
    #[prost(uint64, tag = "6")]
    pub since_ms: u64,
    /// When the last came.
    #[prost(uint64, tag = "7")]
    pub last_ms: u64,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingMember {
    /// Its id, 32 hex digits.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// The name of its host; empty while it has not told it, which it does with its first service.
    #[prost(string, tag = "2")]
    pub host: String,
    /// Its address for gossip.
    #[prost(string, tag = "3")]
    pub address: String,
    /// Alive, Suspect, Confirmed or Departed.
    #[prost(string, tag = "4")]
    pub state: String,
    /// Its incarnation.
    #[prost(uint64, tag = "5")]
    pub incarnation: u64,
    /// Whether it is probed for ever.
    #[prost(bool, tag = "6")]
    pub permanent: bool,
    /// The groups that it serves.
    #[prost(string, repeated, tag = "7")]
    pub services: Vec<String>,
    /// Those of them that it leads.
    #[prost(string, repeated, tag = "8")]
    pub leads: Vec<String>,
    /// Since when it is in its state, in milliseconds since the epoch, as far as the answering member saw it.
    #[prost(uint64, optional, tag = "9")]
    pub since_ms: Option<u64>,
}

/// One service group.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingGroup {
    /// Its name.
    #[prost(string, tag = "1")]
    pub group: String,
    /// The members that serve it.
    #[prost(uint32, tag = "2")]
    pub members: u32,
    /// Those of them that are alive.
    #[prost(uint32, tag = "3")]
    pub alive: u32,
    /// The member that leads it; empty where none does.
    #[prost(string, tag = "4")]
    pub leader: String,
    /// The term of its election; 0 without one.
    #[prost(uint64, tag = "5")]
    pub term: u64,
    /// none, waiting, no quorum, electing or elected.
    #[prost(string, tag = "6")]
    pub election: String,
    /// Members that are missing before it can elect.
    #[prost(uint32, tag = "7")]
    pub missing: u32,
    /// The packages of its alive members.
    #[prost(message, repeated, tag = "8")]
    pub packages: Vec<Spread>,
    /// The versions of its configuration that its alive members run with; 0 for none.
    #[prost(message, repeated, tag = "9")]
    pub configurations: Vec<Spread>,
    /// The current version of its configuration; 0 for none.
    #[prost(uint64, tag = "10")]
    pub configuration: u64,
}

/// How many members have something.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Spread {
    /// What they have.
    #[prost(string, tag = "1")]
    pub what: String,
    /// How many.
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

/// A peer that an operator named and that does not answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SilentPeer {
    /// As the operator named it.
    #[prost(string, tag = "1")]
    pub peer: String,
    /// Why it is thought so.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// When that was noticed, in milliseconds since the epoch.
    #[prost(uint64, tag = "3")]
    pub since_ms: u64,
}

/// Asks for the files of a group: one [`GroupFiles`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FilesQuery {
    /// The group.
    #[prost(message, optional, tag = "1")]
    pub service_group: Option<ServiceGroup>,
}

/// The files of a group.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupFiles {
    /// In order of name.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<GroupFile>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupFile {
    /// Whether the group's members alone can open it.
    #[prost(bool, tag = "4")]
    pub is_sealed: bool,
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its current version.
    #[prost(message, optional, tag = "2")]
    pub version: Option<GroupVersion>,
    /// The name of the host of the member that took it from an operator; empty when that is not known.
    #[prost(string, tag = "3")]
    pub writer_host: String,
}
