//! Framed stream messages. The runtime adds and removes the length prefix.

use alloc::boxed::Box;
use alloc::vec::Vec;
use prost::Message as _;

use super::proto;
use crate::model::digest::BUCKETS;
use crate::model::error::DecodeError;
use crate::model::id::ProbeSeq;
use crate::model::limits::{STREAM_BYTES_MAX, SYNC_RECORDS_MAX};
use crate::model::member::MemberRecord;
use crate::model::rumor::Rumor;
use crate::wire::convert::member_from_wire;

/// What a stream message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Rumors too large for datagrams.
    Gossip { rumors: Vec<Rumor> },
    /// Begins a digest exchange.
    SyncBegin { buckets: Box<[u64; BUCKETS]>, records: u32 },
    /// What the other side holds where the digests differ, as pairs of key hash and version hash.
    SyncKeys { buckets: u64, hashes: Vec<(u64, u64)> },
    /// Records, and the key hashes of those that are wanted in return.
    SyncRecords { rumors: Vec<Rumor>, want: Vec<u64> },
    /// A probe for members that only TCP reaches.
    Ping { seq: ProbeSeq },
    /// Its answer.
    Ack { seq: ProbeSeq },
}

/// A received stream message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamMessage {
    pub(crate) from: MemberRecord,
    pub(crate) body: Body,
}

/// Encodes one message; none when it would exceed the limit (the caller sent too many records at once).
pub(crate) fn encode(from: proto::Member, body: &Body) -> Option<Vec<u8>> {
    let mut stream = proto::Stream { from: Some(from), ..proto::Stream::default() };
    let to_wire = |rumors: &[Rumor]| rumors.iter().map(Rumor::to_wire).collect::<Vec<_>>();
    match body {
        Body::Gossip { rumors } => stream.rumors = to_wire(rumors),
        Body::SyncBegin { buckets, records } => {
            stream.begin = Some(proto::SyncBegin { buckets: buckets.to_vec(), records: *records });
        }
        Body::SyncKeys { buckets, hashes } => {
            let hashes = hashes.iter().flat_map(|(k, v)| [*k, *v]).collect();
            stream.keys = Some(proto::SyncKeys { buckets: *buckets, hashes });
        }
        Body::SyncRecords { rumors, want } => {
            stream.rumors = to_wire(rumors);
            stream.want.clone_from(want);
            stream.sync = true;
        }
        Body::Ping { seq } => stream.ping = Some(proto::StreamPing { seq: seq.0 }),
        Body::Ack { seq } => stream.ack = Some(proto::StreamPing { seq: seq.0 }),
    }
    let wire = proto::StreamWire { encrypted: false, payload: Some(stream) };
    (wire.encoded_len() <= STREAM_BYTES_MAX).then(|| wire.encode_to_vec())
}

/// Decodes one message.
///
/// # Errors
/// Whatever is not a message of the protocol.
pub(crate) fn decode(bytes: &[u8]) -> Result<StreamMessage, DecodeError> {
    if bytes.len() > STREAM_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit: STREAM_BYTES_MAX });
    }
    let wire = proto::StreamWire::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    if wire.encrypted {
        return Err(DecodeError::Encrypted);
    }
    let stream = wire.payload.ok_or(DecodeError::Missing("payload"))?;
    let from = member_from_wire(stream.from.as_ref())?;
    if stream.rumors.len() > SYNC_RECORDS_MAX || stream.want.len() > SYNC_RECORDS_MAX {
        return Err(DecodeError::Invalid("rumors"));
    }
    let body = if let Some(begin) = stream.begin {
        let buckets: [u64; BUCKETS] =
            begin.buckets.try_into().map_err(|_| DecodeError::Invalid("buckets"))?;
        Body::SyncBegin { buckets: Box::new(buckets), records: begin.records }
    } else if let Some(keys) = stream.keys {
        if keys.hashes.len() % 2 != 0 || keys.hashes.len() > SYNC_RECORDS_MAX * 2 {
            return Err(DecodeError::Invalid("hashes"));
        }
        let hashes = keys.hashes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Body::SyncKeys { buckets: keys.buckets, hashes }
    } else if let Some(ping) = stream.ping {
        Body::Ping { seq: ProbeSeq(ping.seq) }
    } else if let Some(ack) = stream.ack {
        Body::Ack { seq: ProbeSeq(ack.seq) }
    } else {
        // One record that cannot be read, or of a kind that this version does not know, must not cost the others.
        let rumors = stream.rumors.into_iter().filter_map(|r| Rumor::from_wire(r).ok().flatten()).collect();
        if stream.sync { Body::SyncRecords { rumors, want: stream.want } } else { Body::Gossip { rumors } }
    };
    Ok(StreamMessage { from, body })
}
