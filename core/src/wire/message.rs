//! Reads a message from its bytes for traces, as the simulator watches the network. A node never uses this.

use alloc::vec::Vec;

use prost::Message as _;

use super::convert::member_to_wire;
use super::envelope::{self, Envelope};
use super::{proto, stream, swim};
use crate::model::ballot::{self, Body, Step, Verdict};
use crate::model::channel::Channel;
use crate::model::election::ElectionId;
use crate::model::error::DecodeError;
use crate::model::id::{MemberId, ProbeSeq};
use crate::model::identity::{Sign, Vouch};
use crate::model::rumor::{Rumor, Told};
use crate::model::statement::ballot_bytes;

/// The parts of a message that explain why a member was accused, a leader elected or a version told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The word for its kind: `ping`, `ack`, `ping-req`, `nack`, `gossip`, `ballot`, `sync`, `challenge`, `answer`,
    /// `unknown`.
    pub kind: &'static str,
    /// The sender, by its own word. Of an ack that a helper passed on: the member that answered.
    pub from: MemberId,
    /// The probe that it belongs to, by the number that the probing member gave it.
    pub seq: Option<ProbeSeq>,
    /// Of a probe through helpers: the member that asked for it (`ping`, `ack`), or its target (`ping-req`, `nack`).
    pub about: Option<MemberId>,
    /// Whether it names the member that it is for.
    pub is_addressed: bool,
    /// Of an election's message: its step.
    pub ballot: Option<BallotStep>,
    /// The rumors that it carries.
    pub rumors: Vec<Rumor>,
}

/// A step of an election, as far as it explains an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BallotStep {
    /// Which election.
    pub election: ElectionId,
    /// The term of the request; in answers, the highest that the voter knows.
    pub term: u64,
    /// Numbers the sender's requests; an answer repeats it.
    pub round: u64,
    /// The step, or the step that an answer belongs to: `ask`, `vote`, `renew`, `release`.
    pub step: &'static str,
    /// Of an answer: `yes`, `wait`, `better`, `stale`, `outdated` or `missing`.
    pub verdict: Option<&'static str>,
    /// Of the verdict `wait`: for how long, in milliseconds.
    pub wait_ms: Option<u64>,
}

impl BallotStep {
    fn of(ballot: &ballot::Message) -> Self {
        let (step, verdict) = match &ballot.body {
            Body::Ask { .. } => ("ask", None),
            Body::Vote { .. } => ("vote", None),
            Body::Renew { .. } => ("renew", None),
            Body::Release { .. } => ("release", None),
            Body::Answer { to, verdict, .. } => {
                let step = match to {
                    Step::Ask => "ask",
                    Step::Vote => "vote",
                    Step::Renew => "renew",
                };
                (step, Some(verdict))
            }
        };
        let word = |verdict: &Verdict| match verdict {
            Verdict::Yes => "yes",
            Verdict::Wait { .. } => "wait",
            Verdict::Better { .. } => "better",
            Verdict::Stale => "stale",
            Verdict::Outdated { .. } => "outdated",
            Verdict::Missing { .. } => "missing",
        };
        let wait_ms = if let Some(Verdict::Wait { left_ms }) = verdict { Some(*left_ms) } else { None };
        let (election, verdict) = (ballot.election.clone(), verdict.map(word));
        Self { election, term: ballot.term, round: ballot.round, step, verdict, wait_ms }
    }
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not a message of the protocol.
    pub fn read(channel: Channel, bytes: &[u8]) -> Result<Self, DecodeError> {
        match channel {
            Channel::Datagram => swim::decode(bytes).map(Self::from_datagram),
            Channel::Stream => stream::decode(bytes).map(Self::from_stream),
        }
    }

    /// Reads a message, writes what was read, and reads that again. What this version understands of a message has to
    /// survive its own encoding; fuzz targets hold it to that. Returns whether there was a body to write again: one of a
    /// later kind is never sent.
    ///
    /// # Errors
    /// The bytes are not a message of the protocol.
    ///
    /// # Panics
    /// The second reading differs from the first.
    pub fn read_twice(channel: Channel, bytes: &[u8]) -> Result<bool, DecodeError> {
        match channel {
            Channel::Datagram => datagram_twice(bytes),
            Channel::Stream => stream_twice(bytes),
        }
    }

    /// A datagram, changed by a member that has a key of its own, with that member's word for all that it says: steps of
    /// elections as well as rumors. None where the bytes are no datagram. Insiders are played so.
    #[must_use]
    pub fn signed_again(bytes: &[u8], to: &MemberId, signer: &dyn Sign) -> Option<Vec<u8>> {
        let mut message = proto::Swim::decode(Envelope::read(bytes).ok()?.open().ok()?).ok()?;
        for rumor in &mut message.rumors {
            if let Ok(told) = Told::decode(rumor) {
                *rumor = told.rumor().encode_signed(signer);
            }
        }
        if let Some(ballot) = &mut message.ballot {
            ballot.receiver = swim::half_of(to);
            ballot.vouch.clear();
            let said = ballot_bytes(to, signer.hash(&ballot.encode_to_vec()));
            let vouch = Vouch { key: signer.public_key(), signature: signer.sign(&said) };
            ballot.vouch = vouch.to_bytes().to_vec();
        }
        Some(envelope::wrap(&message))
    }

    fn from_datagram(datagram: swim::Datagram<'_>) -> Self {
        let ballot =
            if let swim::Body::Ballot(ballot) = &datagram.body { Some(BallotStep::of(ballot)) } else { None };
        let (kind, seq, about) = match datagram.body {
            swim::Body::Ping { seq, forward_to } => ("ping", Some(seq), forward_to),
            swim::Body::Ack { seq, forward_to } => ("ack", Some(seq), forward_to),
            swim::Body::PingReq { seq, target } => ("ping-req", Some(seq), Some(target)),
            swim::Body::Nack { seq, target } => ("nack", Some(seq), Some(target)),
            swim::Body::Gossip => ("gossip", None, None),
            swim::Body::Ballot(_) => ("ballot", None, None),
            swim::Body::Challenge { .. } => ("challenge", None, None),
            swim::Body::Answer(_) => ("answer", None, None),
            swim::Body::Unknown => ("unknown", None, None),
        };
        let about = about.map(|member| member.id);
        // Steps of elections name their receivers themselves.
        let is_addressed = datagram.receiver != 0 || ballot.is_some();
        let rumors = rumors_of(datagram.rumors);
        Self { kind, from: datagram.from.id, seq, about, is_addressed, ballot, rumors }
    }

    fn from_stream(message: stream::StreamMessage<'_>) -> Self {
        let (kind, seq, rumors) = match message.body {
            stream::Body::Ping { seq } => ("ping", Some(seq), Vec::new()),
            stream::Body::Ack { seq } => ("ack", Some(seq), Vec::new()),
            stream::Body::Gossip { rumors } => ("gossip", None, rumors),
            stream::Body::SyncRecords { rumors, .. } => ("sync", None, rumors),
            stream::Body::SyncBegin { .. } | stream::Body::SyncKeys { .. } => ("sync", None, Vec::new()),
            stream::Body::Challenge { .. } => ("challenge", None, Vec::new()),
            stream::Body::Answer(_) => ("answer", None, Vec::new()),
            stream::Body::RingKey { .. } => ("ring-key", None, Vec::new()),
            stream::Body::Unknown => ("unknown", None, Vec::new()),
        };
        let (is_addressed, rumors) = (message.receiver != 0, rumors_of(rumors));
        Self { kind, from: message.from.id, seq, about: None, is_addressed, ballot: None, rumors }
    }
}

fn rumors_of(told: Vec<Told<'_>>) -> Vec<Rumor> {
    told.into_iter().map(Told::into_rumor).collect()
}

/// The statements of a message, each as this version encodes it.
fn encoded(told: &[Told<'_>]) -> Vec<Vec<u8>> {
    told.iter().map(|told| told.rumor().encode()).collect()
}

/// The same statements without the bytes that they were read from.
fn statements<'a>(told: &'a [Told<'_>]) -> Vec<&'a Rumor> {
    told.iter().map(Told::rumor).collect()
}

fn datagram_twice(bytes: &[u8]) -> Result<bool, DecodeError> {
    let first = swim::decode(bytes)?;
    if first.body == swim::Body::Unknown {
        return Ok(false);
    }
    let from = member_to_wire(&first.from);
    let written = swim::encode(from, &first.body, Vec::new(), encoded(&first.rumors), first.digest);
    match swim::decode(&written) {
        Ok(second) => {
            assert!(
                (&first.from, &first.body, first.digest) == (&second.from, &second.body, second.digest),
                "a datagram survives its encoding: {first:?}, then {second:?}"
            );
            assert_eq!(statements(&first.rumors), statements(&second.rumors), "rumors survive");
            assert!(second.skipped == 0, "a member reads everything that it writes");
        }
        // Sparse bytes may grow: numbers that were left out, texts in their longest form.
        Err(DecodeError::TooLong { .. }) => {}
        Err(error) => panic!("a datagram that was read cannot be written: {error}, {first:?}"),
    }
    Ok(true)
}

fn stream_twice(bytes: &[u8]) -> Result<bool, DecodeError> {
    let first = stream::decode(bytes)?;
    let rumors = match &first.body {
        stream::Body::Gossip { rumors } | stream::Body::SyncRecords { rumors, .. } => encoded(rumors),
        stream::Body::SyncBegin { .. }
        | stream::Body::SyncKeys { .. }
        | stream::Body::Ping { .. }
        | stream::Body::Ack { .. }
        | stream::Body::Challenge { .. }
        | stream::Body::Answer(_)
        | stream::Body::RingKey { .. }
        | stream::Body::Unknown => Vec::new(),
    };
    let body = match first.body.clone() {
        stream::Body::Gossip { .. } => stream::Body::Gossip { rumors },
        stream::Body::SyncRecords { want, .. } => stream::Body::SyncRecords { rumors, want },
        stream::Body::SyncBegin { buckets, records } => stream::Body::SyncBegin { buckets, records },
        stream::Body::SyncKeys { buckets, hashes } => stream::Body::SyncKeys { buckets, hashes },
        stream::Body::Ping { seq } => stream::Body::Ping { seq },
        stream::Body::Ack { seq } => stream::Body::Ack { seq },
        stream::Body::Challenge { challenge } => stream::Body::Challenge { challenge },
        stream::Body::Answer(answered) => stream::Body::Answer(answered),
        stream::Body::RingKey { key, sealed } => stream::Body::RingKey { key, sealed },
        stream::Body::Unknown => return Ok(false),
    };
    // Larger than any message may be: that is known before it is sent.
    let Some(written) = stream::encode(member_to_wire(&first.from), body) else { return Ok(true) };
    let second = match stream::decode(&written) {
        Ok(second) => second,
        Err(error) => panic!("a message that was read cannot be written: {error}, {first:?}"),
    };
    assert!(first.from == second.from, "the sender survives: {:?}, then {:?}", first.from, second.from);
    assert!(second.skipped == 0, "a member reads everything that it writes");
    let plain = |body: stream::Body<Told<'_>>| match body {
        stream::Body::Gossip { rumors } => stream::Body::Gossip { rumors: rumors_of(rumors) },
        stream::Body::SyncRecords { rumors, want } => {
            stream::Body::SyncRecords { rumors: rumors_of(rumors), want }
        }
        stream::Body::SyncBegin { buckets, records } => stream::Body::SyncBegin { buckets, records },
        stream::Body::SyncKeys { buckets, hashes } => stream::Body::SyncKeys { buckets, hashes },
        stream::Body::Ping { seq } => stream::Body::Ping { seq },
        stream::Body::Ack { seq } => stream::Body::Ack { seq },
        stream::Body::Challenge { challenge } => stream::Body::Challenge { challenge },
        stream::Body::Answer(answered) => stream::Body::Answer(answered),
        stream::Body::RingKey { key, sealed } => stream::Body::RingKey { key, sealed },
        stream::Body::Unknown => stream::Body::Unknown,
    };
    assert_eq!(plain(first.body), plain(second.body), "a message survives its encoding");
    Ok(true)
}
