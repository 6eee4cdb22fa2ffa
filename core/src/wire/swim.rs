//! Encodes and decodes SWIM datagrams. A part that cannot be read never costs the rest of the datagram.

use alloc::boxed::Box;
use alloc::vec::Vec;
use prost::Message as _;

use super::convert::{asker_from_wire, member_from_bytes, member_to_wire, sender_from_wire};
use super::envelope::{self, Envelope};
use super::fields::{Field, Fields, Value};
use super::proto::{self, kind};
use super::receiver::SWIM_RECEIVER;
use super::{ballot, challenge};
use crate::model::ballot::Message as Ballot;
use crate::model::challenge::Answered;
use crate::model::error::DecodeError;
use crate::model::id::{MemberId, ProbeSeq};
use crate::model::identity::Vouch;
use crate::model::limits::DATAGRAM_BYTES_MAX;
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::rumor::{MemberRumor, Rumor, Told};

/// The content of a datagram, rumors apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// "Are you there?" The receiver answers with an ack that repeats `seq` and `forward_to`.
    Ping {
        seq: ProbeSeq,
        /// In an indirect probe: the member that asked for it.
        forward_to: Option<MemberRecord>,
    },
    /// "I am here." One with a `forward_to` other than the receiver is passed on to it.
    Ack { seq: ProbeSeq, forward_to: Option<MemberRecord> },
    /// "Please ping `target` for me."
    PingReq { seq: ProbeSeq, target: MemberRecord },
    /// "I asked `target` for you and had no answer either" (Lifeguard).
    Nack { seq: ProbeSeq, target: MemberRecord },
    /// Rumors alone.
    Gossip,
    /// A step of an election.
    Ballot(Box<Ballot>),
    /// "Is it you that speaks, and now?"
    Challenge { challenge: u64 },
    /// "It is me", signed.
    Answer(Box<Answered>),
    /// A kind of a later version, or an unreadable content. The sender lives, and its rumors are read.
    Unknown,
}

/// A received datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    /// The sender by its own word; its address is unspecified unless it advertises one.
    pub(crate) from: MemberRecord,
    pub(crate) body: Body,
    /// The rumors that it carries, but for those that are known.
    pub(crate) rumors: Vec<Told<'a>>,
    /// How many of them are known.
    pub(crate) known: u32,
    /// The hash of all records that the sender holds; 0 where it does not say.
    pub(crate) digest: u64,
    /// Of a step of an election: its bytes, which its sender vouches for.
    pub(crate) ballot: Option<&'a [u8]>,
    /// The beginning of the id of the member that it is for; 0 where the sender does not say.
    pub(crate) receiver: u64,
    /// Parts that could not be read.
    pub(crate) skipped: u32,
}

/// Encodes one datagram. `member_rumors` and `rumors` were chosen to fit.
pub(crate) fn encode(
    from: proto::Member,
    body: &Body,
    membership: Vec<proto::Membership>,
    rumors: Vec<Vec<u8>>,
    digest: u64,
) -> Vec<u8> {
    let mut swim = proto::Swim { membership, rumors, digest, ..proto::Swim::default() };
    let forward = |f: &Option<MemberRecord>| f.as_ref().map(member_to_wire);
    match body {
        Body::Ping { seq, forward_to } => {
            swim.kind = kind::PING;
            swim.ping =
                Some(proto::PingAck { from: Some(from), forward_to: forward(forward_to), seq: seq.0 });
        }
        Body::Ack { seq, forward_to } => {
            swim.kind = kind::ACK;
            swim.ack = Some(proto::PingAck { from: Some(from), forward_to: forward(forward_to), seq: seq.0 });
        }
        Body::PingReq { seq, target } => {
            swim.kind = kind::PING_REQ;
            swim.ping_req =
                Some(proto::PingReq { from: Some(from), target: Some(member_to_wire(target)), seq: seq.0 });
        }
        Body::Nack { seq, target } => {
            swim.kind = kind::NACK;
            swim.nack =
                Some(proto::PingReq { from: Some(from), target: Some(member_to_wire(target)), seq: seq.0 });
        }
        Body::Gossip => {
            swim.kind = kind::GOSSIP;
            swim.gossip = Some(proto::Gossip { from: Some(from) });
        }
        Body::Ballot(message) => {
            swim.kind = kind::BALLOT;
            swim.ballot = Some(ballot::to_wire(from, message));
        }
        Body::Challenge { challenge } => {
            swim.kind = kind::CHALLENGE;
            swim.challenge = Some(challenge::question_to_wire(Some(from), *challenge));
        }
        Body::Answer(answered) => {
            swim.kind = kind::ANSWER;
            swim.answer = Some(challenge::answer_to_wire(Some(from), answered));
        }
        Body::Unknown => panic!("a member sends only what it knows"),
    }
    envelope::wrap(&swim)
}

/// Encodes a ping to an address that no member has answered from: with as many bytes as a first answer may need.
pub(crate) fn encode_question(from: proto::Member, seq: ProbeSeq, bytes_min: usize) -> Vec<u8> {
    let ping = proto::PingAck { from: Some(from), forward_to: None, seq: seq.0 };
    let mut swim = proto::Swim { kind: kind::PING, ping: Some(ping), ..proto::Swim::default() };
    let bare = envelope::sealed_len(swim.encoded_len());
    swim.padding = alloc::vec![0; bytes_min.saturating_sub(bare)];
    let bytes = envelope::wrap(&swim);
    assert!(bytes.len() >= bytes_min, "a question leaves room for its answer");
    bytes
}

/// What the sender of a step of an election vouches for.
pub(crate) fn ballot_said(from: proto::Member, to: &MemberId, message: &Ballot) -> Vec<u8> {
    addressed(from, to, message).encode_to_vec()
}

fn addressed(from: proto::Member, to: &MemberId, message: &Ballot) -> proto::Ballot {
    proto::Ballot { receiver: half_of(to), ..ballot::to_wire(from, message) }
}

/// Tells members apart where chance alone could mistake them for each other.
pub(super) fn half_of(id: &MemberId) -> u64 {
    let (half, _) = id.as_bytes().split_first_chunk::<8>().expect("an id has sixteen bytes");
    u64::from_le_bytes(*half)
}

/// Whether a step of an election was meant for this member. An address may be another member's than its sender knows.
pub(crate) fn is_meant_for(ballot: &[u8], me: &MemberId) -> bool {
    let receiver = (tag::BALLOT_RECEIVER, Value::Fixed64(half_of(me)));
    Fields::of(ballot).flatten().any(|field| (field.tag, field.value) == receiver)
}

/// Encodes a step of an election with its sender's word for [`ballot_said`].
pub(crate) fn encode_ballot(from: proto::Member, to: &MemberId, message: &Ballot, vouch: &Vouch) -> Vec<u8> {
    let ballot = proto::Ballot { vouch: vouch.to_bytes().to_vec(), ..addressed(from, to, message) };
    envelope::wrap(&proto::Swim { kind: kind::BALLOT, ballot: Some(ballot), ..proto::Swim::default() })
}

/// Decodes one datagram.
///
/// A part that cannot be read is left out and counted; the rest of the datagram stands. A datagram is refused as a
/// whole only when it has no readable sender.
///
/// # Errors
/// Sealed, too long, or without a readable envelope or sender.
pub(crate) fn decode(bytes: &[u8]) -> Result<Datagram<'_>, DecodeError> {
    decode_news(bytes, |_| false)
}

/// The same without the rumors that are known by their bytes: most of what a member hears it has heard before, and to
/// read a rumor costs many times as much as to compare it.
///
/// # Errors
/// As those of [`decode`].
pub(crate) fn decode_news(
    bytes: &[u8],
    is_known: impl Fn(&[u8]) -> bool,
) -> Result<Datagram<'_>, DecodeError> {
    if mutated!(LimitItselfRefused, bytes.len() > DATAGRAM_BYTES_MAX, bytes.len() >= DATAGRAM_BYTES_MAX) {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit: DATAGRAM_BYTES_MAX });
    }
    let payload = Envelope::read(bytes)?.open()?;
    let parts = Parts::of(payload);
    let mut skipped = parts.skipped;
    let (from, body) = read_body(&parts, &mut skipped)?;
    let (mut rumors, mut known) = (Vec::with_capacity(parts.rumors), 0);
    for field in Fields::of(payload).flatten() {
        let read = match (field.tag, field.value) {
            (tag::MEMBERSHIP, Value::Bytes(bytes)) => {
                MemberRumor::decode(bytes).map(|m| Rumor::Member(m).into())
            }
            (tag::RUMORS, Value::Bytes(bytes)) if is_known(bytes) => {
                known += 1;
                continue;
            }
            (tag::RUMORS, Value::Bytes(bytes)) => Told::decode(bytes),
            _ => continue,
        };
        match read {
            Ok(told) => rumors.push(told),
            Err(_) => skipped += 1,
        }
    }
    assert!(rumors.len() + known as usize <= parts.rumors, "a rumor is read, known or skipped");
    let ballot = parts.body.filter(|_| matches!(body, Body::Ballot(_)));
    Ok(Datagram {
        from,
        body,
        rumors,
        known,
        digest: parts.digest,
        ballot,
        receiver: parts.receiver,
        skipped,
    })
}

/// Field numbers of `Swim`.
mod tag {
    pub(super) const KIND: u32 = 1;
    pub(super) const PING: u32 = 2;
    pub(super) const ACK: u32 = 3;
    pub(super) const PING_REQ: u32 = 4;
    pub(super) const MEMBERSHIP: u32 = 5;
    pub(super) const PROBE_PING: u32 = 6;
    pub(super) const NACK: u32 = 100;
    pub(super) const GOSSIP: u32 = 101;
    pub(super) const RUMORS: u32 = 102;
    pub(super) const BALLOT: u32 = 103;
    /// Within a ballot.
    pub(super) const BALLOT_RECEIVER: u32 = 20;
    pub(super) const DIGEST: u32 = 104;
    pub(super) const CHALLENGE: u32 = 105;
    pub(super) const ANSWER: u32 = 106;
}

/// The result of a first pass over a datagram: its kind, its unread body, and the number of its rumors.
struct Parts<'a> {
    kind: i32,
    body: Option<&'a [u8]>,
    rumors: usize,
    digest: u64,
    receiver: u64,
    skipped: u32,
}

impl<'a> Parts<'a> {
    fn of(payload: &'a [u8]) -> Self {
        let kind = Fields::of(payload).flatten().find_map(|field| match (field.tag, field.value) {
            (tag::KIND, Value::Varint(kind)) => i32::try_from(kind).ok(),
            _ => None,
        });
        let kind = kind.unwrap_or_default();
        let mut parts = Self { kind, body: None, rumors: 0, digest: 0, receiver: 0, skipped: 0 };
        let wanted = body_tag(parts.kind);
        for field in Fields::of(payload) {
            match field {
                Ok(Field { tag: tag::MEMBERSHIP | tag::RUMORS, .. }) => parts.rumors += 1,
                Ok(Field { tag: tag::DIGEST, value: Value::Fixed64(digest), .. }) => parts.digest = digest,
                Ok(Field { tag: SWIM_RECEIVER, value: Value::Fixed64(receiver), .. }) => {
                    parts.receiver = receiver
                }
                Ok(Field { tag, value: Value::Bytes(bytes), .. }) => {
                    let is_body = wanted.map_or_else(|| names_its_sender(bytes), |wanted| wanted == tag);
                    if is_body && (wanted.is_some() || parts.body.is_none()) {
                        parts.body = Some(bytes);
                    }
                }
                Ok(_) => {}
                // The datagram ends early: the fields before stand.
                Err(_) => parts.skipped += 1,
            }
        }
        parts
    }
}

/// Which field holds the body of this kind; none for a kind of a later version.
const fn body_tag(kind: i32) -> Option<u32> {
    Some(match kind {
        kind::PING => tag::PING,
        kind::ACK => tag::ACK,
        kind::PING_REQ => tag::PING_REQ,
        kind::PROBE_PING => tag::PROBE_PING,
        kind::NACK => tag::NACK,
        kind::GOSSIP => tag::GOSSIP,
        kind::BALLOT => tag::BALLOT,
        kind::CHALLENGE => tag::CHALLENGE,
        kind::ANSWER => tag::ANSWER,
        _ => return None,
    })
}

/// The fields that bodies of all kinds share: the sender in field 1, a second member in field 2. Later kinds must keep
/// to that, so that a member of today hears the sender.
#[derive(Default)]
struct Common<'a> {
    from: Option<&'a [u8]>,
    other: Option<&'a [u8]>,
    seq: ProbeSeq,
}

impl<'a> Common<'a> {
    fn of(body: &'a [u8]) -> Self {
        let mut common = Self::default();
        for field in Fields::of(body).flatten() {
            match (field.tag, field.value) {
                (1, Value::Bytes(from)) => common.from = Some(from),
                (2, Value::Bytes(other)) => common.other = Some(other),
                (100, Value::Varint(seq)) => common.seq = ProbeSeq(seq),
                _ => {}
            }
        }
        common
    }
}

fn names_its_sender(body: &[u8]) -> bool {
    Common::of(body).from.is_some_and(|from| sender_from_wire(from).is_ok())
}

fn read_body(parts: &Parts<'_>, skipped: &mut u32) -> Result<(MemberRecord, Body), DecodeError> {
    let bytes = parts.body.ok_or(DecodeError::Missing("body"))?;
    let common = Common::of(bytes);
    let from = common.from.ok_or(DecodeError::Missing("member"))?;
    let from = if parts.kind == kind::CHALLENGE { asker_from_wire(from) } else { sender_from_wire(from) }?;
    let seq = common.seq;
    let other = common.other.map(member_from_bytes).transpose();
    let body = match parts.kind {
        kind::PING => other.map(|forward_to| Body::Ping { seq, forward_to }),
        kind::PROBE_PING => Ok(Body::Ping { seq, forward_to: None }),
        kind::ACK => other.map(|forward_to| Body::Ack { seq, forward_to }),
        kind::PING_REQ | kind::NACK => other.and_then(|target| {
            let target = target.ok_or(DecodeError::Missing("target"))?;
            let asked = parts.kind == kind::PING_REQ;
            Ok(if asked { Body::PingReq { seq, target } } else { Body::Nack { seq, target } })
        }),
        kind::GOSSIP => Ok(Body::Gossip),
        kind::BALLOT => {
            let ballot = proto::Ballot::decode(bytes).map_err(|_| DecodeError::Protobuf);
            ballot.and_then(|b| ballot::from_wire(&b)).map(|message| Body::Ballot(Box::new(message)))
        }
        kind::CHALLENGE => {
            challenge::question_from_wire(bytes).map(|challenge| Body::Challenge { challenge })
        }
        kind::ANSWER => challenge::answer_from_wire(bytes).map(|answered| Body::Answer(Box::new(answered))),
        _ => Err(DecodeError::Invalid("type")),
    };
    let body = body.unwrap_or_else(|_| {
        *skipped += 1;
        match parts.kind {
            // The helper that sent it learns at least that this member is alive.
            kind::PING => Body::Ping { seq, forward_to: None },
            _ => Body::Unknown,
        }
    });
    Ok((from, body))
}
