//! The message structs, field by field as in Habitat; fields from 100 are ours. A number that is in use may never
//! change.
//!
//! Text fields that the core parses anyway are declared `bytes`: the encoding is the same and no text is checked twice.
//! Messages that are read field by field (envelope, SWIM and stream messages) are declared here for encoding only.

use alloc::string::String;
use alloc::vec::Vec;
use prost::Message;

pub(crate) use super::member::{Member, Membership};

/// `Ping` and `Ack` have the same fields.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PingAck {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
    #[prost(message, optional, tag = "2")]
    pub(crate) forward_to: Option<Member>,
    #[prost(uint64, tag = "100")]
    pub(crate) seq: u64,
}

/// `PingReq`; our nack has the same fields.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PingReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
    #[prost(message, optional, tag = "2")]
    pub(crate) target: Option<Member>,
    #[prost(uint64, tag = "100")]
    pub(crate) seq: u64,
}

/// Rumors alone.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gossip {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
}

/// The question whether a member speaks now. All of it is ours.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Challenge {
    /// In a datagram without address and ports, which its source has: a question is no longer than what led to it.
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
    #[prost(fixed64, tag = "2")]
    pub(crate) challenge: u64,
}

/// The answer to it. All of it is ours.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Answer {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
    #[prost(fixed64, tag = "2")]
    pub(crate) challenge: u64,
    /// The start of the member; absent where messages have no numbers.
    #[prost(uint32, optional, tag = "3")]
    pub(crate) boot: Option<u32>,
    #[prost(fixed64, tag = "4")]
    pub(crate) datagram_salt: u64,
    #[prost(uint32, tag = "5")]
    pub(crate) datagrams: u32,
    #[prost(fixed64, tag = "6")]
    pub(crate) stream_salt: u64,
    #[prost(uint32, tag = "7")]
    pub(crate) streams: u32,
    /// A question in turn.
    #[prost(fixed64, optional, tag = "8")]
    pub(crate) asks: Option<u64>,
    /// The member's word for fields 2 to 7: key and signature.
    #[prost(bytes = "vec", tag = "200")]
    pub(crate) vouch: Vec<u8>,
}

/// `Swim`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Swim {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) ping: Option<PingAck>,
    #[prost(message, optional, tag = "3")]
    pub(crate) ack: Option<PingAck>,
    #[prost(message, optional, tag = "4")]
    pub(crate) ping_req: Option<PingReq>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) membership: Vec<Membership>,
    #[prost(message, optional, tag = "100")]
    pub(crate) nack: Option<PingReq>,
    #[prost(message, optional, tag = "101")]
    pub(crate) gossip: Option<Gossip>,
    /// Each encoded already, some by another member.
    #[prost(bytes = "vec", repeated, tag = "102")]
    pub(crate) rumors: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "103")]
    pub(crate) ballot: Option<Ballot>,
    /// The hash of all records that the sender holds, once it has told all of them; 0 before.
    #[prost(fixed64, tag = "104")]
    pub(crate) digest: u64,
    #[prost(message, optional, tag = "105")]
    pub(crate) challenge: Option<Challenge>,
    #[prost(message, optional, tag = "106")]
    pub(crate) answer: Option<Answer>,
    /// Says nothing: an answer may be as long as the question, and no longer.
    #[prost(bytes = "vec", tag = "199")]
    pub(crate) padding: Vec<u8>,
}

/// Values of `Swim::kind`.
pub(crate) mod kind {
    pub(crate) const PING: i32 = 1;
    pub(crate) const ACK: i32 = 2;
    pub(crate) const PING_REQ: i32 = 3;
    /// Habitat's: a ping before the sender belongs to the ring. Never sent from here.
    pub(crate) const PROBE_PING: i32 = 4;
    pub(crate) const NACK: i32 = 100;
    pub(crate) const GOSSIP: i32 = 101;
    pub(crate) const BALLOT: i32 = 102;
    pub(crate) const CHALLENGE: i32 = 103;
    pub(crate) const ANSWER: i32 = 104;
}

/// One step of an election between a candidate or leader and a voter. All of it is ours.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ballot {
    #[prost(message, optional, tag = "1")]
    pub(crate) from: Option<Member>,
    #[prost(string, tag = "2")]
    pub(crate) group: String,
    #[prost(int32, tag = "3")]
    pub(crate) step: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) round: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) suitability: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) lease_ms: u64,
    /// The electorate that a request is for, or that an answer tells.
    #[prost(uint64, tag = "8")]
    pub(crate) electorate_term: u64,
    #[prost(uint64, tag = "9")]
    pub(crate) electorate_version: u64,
    /// Ids of 16 bytes, one after the other.
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) members: Vec<u8>,
    #[prost(int32, tag = "11")]
    pub(crate) verdict: i32,
    #[prost(uint64, tag = "12")]
    pub(crate) left_ms: u64,
    /// A better candidate, or the successor.
    #[prost(bytes = "vec", tag = "13")]
    pub(crate) other: Vec<u8>,
    #[prost(bool, tag = "14")]
    pub(crate) is_member: bool,
    #[prost(bool, tag = "15")]
    pub(crate) fit: bool,
    /// The step that an answer answers.
    #[prost(int32, tag = "16")]
    pub(crate) to: i32,
    /// The electorate that a voter knows.
    #[prost(uint64, tag = "17")]
    pub(crate) known_term: u64,
    #[prost(uint64, tag = "18")]
    pub(crate) known_version: u64,
    /// For another purpose than to lead, `group` is empty and this is the group, so that a member that knows of no
    /// other purpose refuses the ballot instead of taking it for one of the leader's election.
    #[prost(string, tag = "19")]
    pub(crate) group_to_update: String,
    /// The first half of the id of the member that it goes to, which may run elsewhere by now or be no more.
    #[prost(fixed64, tag = "20")]
    pub(crate) receiver: u64,
    /// The sender's word for all of it: key and signature.
    #[prost(bytes = "vec", tag = "200")]
    pub(crate) vouch: Vec<u8>,
}

/// Versions of one group's configuration or file, in the durable state.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct History {
    #[prost(string, tag = "1")]
    pub(crate) service_group: String,
    /// Empty for the configuration.
    #[prost(string, tag = "2")]
    pub(crate) filename: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) entries: Vec<HistoryEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistoryEntry {
    #[prost(uint64, tag = "1")]
    pub(crate) version: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) at_ms: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) writer: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub(crate) bytes: u64,
    #[prost(fixed64, tag = "5")]
    pub(crate) hash: u64,
}

/// One framed message on the gossip port. All of it is ours: Habitat speaks ZeroMQ there.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stream {
    #[prost(message, optional, tag = "100")]
    pub(crate) from: Option<Member>,
    /// Rumors told, or records that a digest exchange asked for.
    #[prost(bytes = "vec", repeated, tag = "101")]
    pub(crate) rumors: Vec<Vec<u8>>,
    /// Begins a digest exchange.
    #[prost(message, optional, tag = "102")]
    pub(crate) begin: Option<SyncBegin>,
    /// Answers with the keys and versions that this side holds where the digests differ.
    #[prost(message, optional, tag = "103")]
    pub(crate) keys: Option<SyncKeys>,
    /// Hashes of keys whose records are wanted.
    #[prost(fixed64, repeated, tag = "104")]
    pub(crate) want: Vec<u64>,
    /// A probe over the stream, for members that only TCP reaches.
    #[prost(message, optional, tag = "105")]
    pub(crate) ping: Option<StreamPing>,
    /// The answer to it.
    #[prost(message, optional, tag = "106")]
    pub(crate) ack: Option<StreamPing>,
    /// Whether the rumors belong to a digest exchange.
    #[prost(bool, tag = "107")]
    pub(crate) sync: bool,
    /// The question whether a member speaks now, and the answer to one.
    #[prost(message, optional, tag = "108")]
    pub(crate) challenge: Option<Challenge>,
    #[prost(message, optional, tag = "109")]
    pub(crate) answer: Option<Answer>,
    /// A key of the ring, sealed for the receiver.
    #[prost(message, optional, tag = "110")]
    pub(crate) ring_key: Option<SealedKey>,
}

/// A key of the ring that is handed on.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SealedKey {
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) fingerprint: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) sealed: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SyncBegin {
    /// One digest for each bucket.
    #[prost(fixed64, repeated, tag = "1")]
    pub(crate) buckets: Vec<u64>,
    /// How many records they cover.
    #[prost(uint32, tag = "2")]
    pub(crate) records: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SyncKeys {
    /// One bit for each bucket that differs.
    #[prost(fixed64, tag = "1")]
    pub(crate) buckets: u64,
    /// Key hash and version hash, one after the other, for each record in those buckets.
    #[prost(fixed64, repeated, tag = "2")]
    pub(crate) hashes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamPing {
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
}

/// The identity row of the durable state.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Identity {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) incarnation: u64,
}
