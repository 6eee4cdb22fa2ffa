//! Encodes and decodes framed stream messages. The runtime adds and removes the length prefix.

use alloc::boxed::Box;
use alloc::vec::Vec;
use prost::Message as _;

use super::challenge;
use super::envelope::{self, Envelope};
use super::fields::{Field, Fields, Value, extend_fixed64};
use super::proto;
use super::receiver::STREAM_RECEIVER;
use crate::model::challenge::Answered;
use crate::model::digest::BUCKETS;
use crate::model::error::DecodeError;
use crate::model::id::ProbeSeq;
use crate::model::limits::{SEALED_KEY_BYTES_MAX, STREAM_BYTES_MAX, SYNC_RECORDS_MAX};
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::Told;
use crate::wire::convert::sender_from_wire;

/// The content of a stream message; `R` is a rumor, encoded on the way out and read on the way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body<R> {
    /// Rumors too large for datagrams.
    Gossip { rumors: Vec<R> },
    /// Begins a digest exchange.
    SyncBegin { buckets: Box<[u64; BUCKETS]>, records: u32 },
    /// The records that the other side holds where the digests differ, as pairs of key hash and version hash.
    SyncKeys { buckets: u64, hashes: Vec<(u64, u64)> },
    /// Records, and the key hashes of those that are wanted in return.
    SyncRecords { rumors: Vec<R>, want: Vec<u64> },
    /// A probe for members that only TCP reaches.
    Ping { seq: ProbeSeq },
    /// Its answer.
    Ack { seq: ProbeSeq },
    /// "Is it you that speaks, and now?"
    Challenge { challenge: u64 },
    /// "It is me", signed.
    Answer(Box<Answered>),
    /// A key of the ring, sealed for the receiver.
    RingKey { key: RingKeyId, sealed: Vec<u8> },
    /// An unreadable content; it still shows that the sender lives.
    Unknown,
}

/// A received stream message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamMessage<'a> {
    pub(crate) from: MemberRecord,
    pub(crate) body: Body<Told<'a>>,
    /// The beginning of the id of the member that it is for; 0 where the sender does not say.
    pub(crate) receiver: u64,
    /// Parts that could not be read.
    pub(crate) skipped: u32,
}

/// Encodes one message; none when it would exceed the limit (the caller sent too many records at once).
pub(crate) fn encode(from: proto::Member, body: Body<Vec<u8>>) -> Option<Vec<u8>> {
    let mut stream = proto::Stream { from: Some(from), ..proto::Stream::default() };
    match body {
        Body::Gossip { rumors } => stream.rumors = rumors,
        Body::SyncBegin { buckets, records } => {
            stream.begin = Some(proto::SyncBegin { buckets: buckets.to_vec(), records });
        }
        Body::SyncKeys { buckets, hashes } => {
            let hashes = hashes.into_iter().flat_map(|(k, v)| [k, v]).collect();
            stream.keys = Some(proto::SyncKeys { buckets, hashes });
        }
        Body::SyncRecords { rumors, want } => {
            stream.rumors = rumors;
            stream.want = want;
            stream.sync = true;
        }
        Body::Ping { seq } => stream.ping = Some(proto::StreamPing { seq: seq.0 }),
        Body::Ack { seq } => stream.ack = Some(proto::StreamPing { seq: seq.0 }),
        Body::Challenge { challenge } => {
            stream.challenge = Some(challenge::question_to_wire(None, challenge))
        }
        Body::RingKey { key, sealed } => {
            let fingerprint = key.fingerprint.to_vec();
            stream.ring_key = Some(proto::SealedKey { revision: key.revision, fingerprint, sealed });
        }
        Body::Answer(answered) => stream.answer = Some(challenge::answer_to_wire(None, &answered)),
        Body::Unknown => panic!("a member sends only what it knows"),
    }
    (envelope::sealed_len(stream.encoded_len()) <= STREAM_BYTES_MAX).then(|| envelope::wrap(&stream))
}

/// Decodes one message. As with datagrams, a part that cannot be read is left out and counted.
///
/// # Errors
/// Sealed, too long, or without a readable envelope or sender.
pub(crate) fn decode(bytes: &[u8]) -> Result<StreamMessage<'_>, DecodeError> {
    if mutated!(LargestStreamRefused, bytes.len() > STREAM_BYTES_MAX, bytes.len() >= STREAM_BYTES_MAX) {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit: STREAM_BYTES_MAX });
    }
    let payload = Envelope::read(bytes)?.open()?;
    let mut parts = Parts::default();
    for field in Fields::of(payload) {
        match field {
            Ok(field) => parts.take(field),
            // The message ends early: the fields before stand.
            Err(_) => parts.skipped += 1,
        }
    }
    let from = sender_from_wire(parts.from.ok_or(DecodeError::Missing("member"))?)?;
    let (mut skipped, receiver) = (parts.skipped, parts.receiver);
    let body = parts.into_body().unwrap_or_else(|_| {
        skipped += 1;
        Body::Unknown
    });
    Ok(StreamMessage { from, body, receiver, skipped })
}

/// A key that is handed on, of a length that boxes of keys have.
fn sealed_key<R>(bytes: &[u8]) -> Result<Body<R>, DecodeError> {
    let handed = proto::SealedKey::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    let fingerprint = <[u8; 16]>::try_from(handed.fingerprint);
    let fingerprint = fingerprint.map_err(|_| DecodeError::Invalid("fingerprint"))?;
    if handed.revision == 0 || handed.revision > RingKeyId::REVISION_MAX {
        return Err(DecodeError::Invalid("revision"));
    }
    if handed.sealed.len() > SEALED_KEY_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: handed.sealed.len(), limit: SEALED_KEY_BYTES_MAX });
    }
    let key = RingKeyId { revision: handed.revision, fingerprint };
    Ok(Body::RingKey { key, sealed: handed.sealed })
}

/// Field numbers of `Stream`.
mod tag {
    pub(super) const FROM: u32 = 100;
    pub(super) const RUMORS: u32 = 101;
    pub(super) const BEGIN: u32 = 102;
    pub(super) const KEYS: u32 = 103;
    pub(super) const WANT: u32 = 104;
    pub(super) const PING: u32 = 105;
    pub(super) const ACK: u32 = 106;
    pub(super) const SYNC: u32 = 107;
    pub(super) const CHALLENGE: u32 = 108;
    pub(super) const ANSWER: u32 = 109;
    pub(super) const RING_KEY: u32 = 110;
}

/// The result of a first pass over a message.
#[derive(Default)]
struct Parts<'a> {
    from: Option<&'a [u8]>,
    begin: Option<&'a [u8]>,
    keys: Option<&'a [u8]>,
    ping: Option<&'a [u8]>,
    ack: Option<&'a [u8]>,
    challenge: Option<&'a [u8]>,
    answer: Option<&'a [u8]>,
    ring_key: Option<&'a [u8]>,
    rumors: Vec<Told<'a>>,
    want: Vec<u64>,
    sync: bool,
    receiver: u64,
    skipped: u32,
}

impl<'a> Parts<'a> {
    fn take(&mut self, field: Field<'a>) {
        match (field.tag, field.value) {
            (tag::FROM, Value::Bytes(from)) => self.from = Some(from),
            (tag::RUMORS, Value::Bytes(_)) if self.rumors.len() >= SYNC_RECORDS_MAX => self.skipped += 1,
            (tag::RUMORS, Value::Bytes(bytes)) => match Told::decode(bytes) {
                Ok(told) => self.rumors.push(told),
                Err(_) => self.skipped += 1,
            },
            (tag::BEGIN, Value::Bytes(begin)) => self.begin = Some(begin),
            (tag::KEYS, Value::Bytes(keys)) => self.keys = Some(keys),
            (tag::WANT, value) => extend_fixed64(&mut self.want, value, SYNC_RECORDS_MAX),
            (tag::PING, Value::Bytes(ping)) => self.ping = Some(ping),
            (tag::ACK, Value::Bytes(ack)) => self.ack = Some(ack),
            (tag::CHALLENGE, Value::Bytes(challenge)) => self.challenge = Some(challenge),
            (tag::ANSWER, Value::Bytes(answer)) => self.answer = Some(answer),
            (tag::RING_KEY, Value::Bytes(key)) => self.ring_key = Some(key),
            (STREAM_RECEIVER, Value::Fixed64(receiver)) => self.receiver = receiver,
            (tag::SYNC, Value::Varint(sync)) => self.sync = sync != 0,
            _ => {}
        }
    }

    fn into_body(self) -> Result<Body<Told<'a>>, DecodeError> {
        let protobuf = |_| DecodeError::Protobuf;
        let ping = |bytes| proto::StreamPing::decode(bytes).map(|p| ProbeSeq(p.seq)).map_err(protobuf);
        if let Some(begin) = self.begin {
            let begin = proto::SyncBegin::decode(begin).map_err(protobuf)?;
            let buckets: [u64; BUCKETS] =
                begin.buckets.try_into().map_err(|_| DecodeError::Invalid("buckets"))?;
            return Ok(Body::SyncBegin { buckets: Box::new(buckets), records: begin.records });
        }
        if let Some(keys) = self.keys {
            let (mut buckets, mut hashes) = (0, Vec::new());
            for field in Fields::of(keys) {
                match field? {
                    Field { tag: 1, value: Value::Fixed64(mask), .. } => buckets = mask,
                    Field { tag: 2, value, .. } => extend_fixed64(&mut hashes, value, SYNC_RECORDS_MAX * 2),
                    _ => {}
                }
            }
            let (pairs, _) = hashes.as_chunks::<2>();
            let hashes = pairs.iter().map(|[key, version]| (*key, *version)).collect();
            return Ok(Body::SyncKeys { buckets, hashes });
        }
        if let Some(bytes) = self.ping {
            return Ok(Body::Ping { seq: ping(bytes)? });
        }
        if let Some(bytes) = self.ack {
            return Ok(Body::Ack { seq: ping(bytes)? });
        }
        if let Some(bytes) = self.ring_key {
            return sealed_key(bytes);
        }
        if let Some(bytes) = self.challenge {
            return Ok(Body::Challenge { challenge: challenge::question_from_wire(bytes)? });
        }
        if let Some(bytes) = self.answer {
            return Ok(Body::Answer(Box::new(challenge::answer_from_wire(bytes)?)));
        }
        let Self { rumors, want, sync, .. } = self;
        Ok(if sync { Body::SyncRecords { rumors, want } } else { Body::Gossip { rumors } })
    }
}
