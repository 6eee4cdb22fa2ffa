//! SWIM datagrams: typed on this side, protobuf on the other.

use alloc::boxed::Box;
use alloc::vec::Vec;
use prost::Message as _;

use super::RumorMessage;
use super::ballot;
use super::proto::{self, kind};
use crate::model::ballot::Message as Ballot;
use crate::model::error::DecodeError;
use crate::model::id::ProbeSeq;
use crate::model::limits::DATAGRAM_BYTES_MAX;
use crate::model::member::MemberRecord;
use crate::model::rumor::{MemberRumor, Rumor};
use crate::wire::convert::{member_from_wire, member_to_wire};

/// What a datagram says, rumors apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// "Are you there?" The receiver answers with an ack that repeats `seq` and `forward_to`.
    Ping {
        seq: ProbeSeq,
        /// On whose behalf, in an indirect probe.
        forward_to: Option<MemberRecord>,
    },
    /// "I am here." One with a `forward_to` other than the receiver is passed on to it.
    Ack { seq: ProbeSeq, forward_to: Option<MemberRecord> },
    /// "Please ping `target` for me."
    PingReq { seq: ProbeSeq, target: MemberRecord },
    /// "I asked `target` for you and had no answer either" (Lifeguard).
    Nack { seq: ProbeSeq, target: MemberRecord },
    /// Nothing but rumors.
    Gossip,
    /// A step of an election.
    Ballot(Box<Ballot>),
}

/// A received datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// The sender by its own word; its address is unspecified unless it advertises one.
    pub(crate) from: MemberRecord,
    pub(crate) body: Body,
    /// What it tells besides.
    pub(crate) rumors: Vec<Rumor>,
}

/// Encodes one datagram. `member_rumors` and `rumors` were chosen to fit.
pub(crate) fn encode(
    from: proto::Member,
    body: &Body,
    membership: Vec<proto::Membership>,
    rumors: Vec<RumorMessage>,
) -> Vec<u8> {
    let mut swim = proto::Swim { membership, rumors, ..proto::Swim::default() };
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
    }
    let wire = proto::SwimWire { encrypted: false, payload: Some(swim) };
    let bytes = wire.encode_to_vec();
    assert!(bytes.len() <= DATAGRAM_BYTES_MAX, "a datagram was packed beyond its limit");
    bytes
}

/// Decodes one datagram.
///
/// # Errors
/// Whatever is not a message of the protocol.
pub(crate) fn decode(bytes: &[u8]) -> Result<Datagram, DecodeError> {
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit: DATAGRAM_BYTES_MAX });
    }
    let wire = proto::SwimWire::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    if wire.encrypted {
        return Err(DecodeError::Encrypted);
    }
    let swim = wire.payload.ok_or(DecodeError::Missing("payload"))?;
    let (from, body) = body_from_wire(&swim)?;
    let mut rumors = Vec::with_capacity(swim.membership.len() + swim.rumors.len());
    for m in &swim.membership {
        rumors.push(Rumor::Member(MemberRumor::from_wire(Some(m))?));
    }
    for r in swim.rumors {
        // A kind that this version does not know is somebody else's business.
        rumors.extend(Rumor::from_wire(r)?);
    }
    Ok(Datagram { from, body, rumors })
}

fn body_from_wire(swim: &proto::Swim) -> Result<(MemberRecord, Body), DecodeError> {
    let optional = |m: &Option<proto::Member>| m.as_ref().map(|m| member_from_wire(Some(m))).transpose();
    match swim.kind {
        kind::PING => {
            let p = swim.ping.as_ref().ok_or(DecodeError::Missing("ping"))?;
            let body = Body::Ping { seq: ProbeSeq(p.seq), forward_to: optional(&p.forward_to)? };
            Ok((member_from_wire(p.from.as_ref())?, body))
        }
        kind::ACK => {
            let p = swim.ack.as_ref().ok_or(DecodeError::Missing("ack"))?;
            let body = Body::Ack { seq: ProbeSeq(p.seq), forward_to: optional(&p.forward_to)? };
            Ok((member_from_wire(p.from.as_ref())?, body))
        }
        kind::PING_REQ => {
            let p = swim.ping_req.as_ref().ok_or(DecodeError::Missing("pingreq"))?;
            let body = Body::PingReq { seq: ProbeSeq(p.seq), target: member_from_wire(p.target.as_ref())? };
            Ok((member_from_wire(p.from.as_ref())?, body))
        }
        kind::NACK => {
            let p = swim.nack.as_ref().ok_or(DecodeError::Missing("nack"))?;
            let body = Body::Nack { seq: ProbeSeq(p.seq), target: member_from_wire(p.target.as_ref())? };
            Ok((member_from_wire(p.from.as_ref())?, body))
        }
        kind::GOSSIP => {
            let g = swim.gossip.as_ref().ok_or(DecodeError::Missing("gossip"))?;
            Ok((member_from_wire(g.from.as_ref())?, Body::Gossip))
        }
        kind::BALLOT => {
            let b = swim.ballot.as_ref().ok_or(DecodeError::Missing("ballot"))?;
            Ok((member_from_wire(b.from.as_ref())?, Body::Ballot(Box::new(ballot::from_wire(b)?))))
        }
        _ => Err(DecodeError::Invalid("type")),
    }
}
