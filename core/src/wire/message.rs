//! Reads a message from its bytes for traces, as the simulator watches the network. A node never uses this.

use alloc::vec::Vec;

use super::{stream, swim};
use crate::model::ballot::{self, Body, Step, Verdict};
use crate::model::channel::Channel;
use crate::model::election::ElectionId;
use crate::model::error::DecodeError;
use crate::model::id::{MemberId, ProbeSeq};
use crate::model::rumor::{Rumor, Told};

/// The parts of a message that explain why a member was accused, a leader elected or a version told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The word for its kind: `ping`, `ack`, `ping-req`, `nack`, `gossip`, `ballot`, `sync`, `unknown`.
    pub kind: &'static str,
    /// The sender, by its own word. Of an ack that a helper passed on: the member that answered.
    pub from: MemberId,
    /// The probe that it belongs to, by the number that the probing member gave it.
    pub seq: Option<ProbeSeq>,
    /// Of a probe through helpers: the member that asked for it (`ping`, `ack`), or its target (`ping-req`, `nack`).
    pub about: Option<MemberId>,
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
            swim::Body::Unknown => ("unknown", None, None),
        };
        let about = about.map(|member| member.id);
        Self { kind, from: datagram.from.id, seq, about, ballot, rumors: rumors_of(datagram.rumors) }
    }

    fn from_stream(message: stream::StreamMessage<'_>) -> Self {
        let (kind, seq, rumors) = match message.body {
            stream::Body::Ping { seq } => ("ping", Some(seq), Vec::new()),
            stream::Body::Ack { seq } => ("ack", Some(seq), Vec::new()),
            stream::Body::Gossip { rumors } => ("gossip", None, rumors),
            stream::Body::SyncRecords { rumors, .. } => ("sync", None, rumors),
            stream::Body::SyncBegin { .. } | stream::Body::SyncKeys { .. } => ("sync", None, Vec::new()),
            stream::Body::Unknown => ("unknown", None, Vec::new()),
        };
        Self { kind, from: message.from.id, seq, about: None, ballot: None, rumors: rumors_of(rumors) }
    }
}

fn rumors_of(told: Vec<Told<'_>>) -> Vec<Rumor> {
    told.into_iter().map(Told::into_rumor).collect()
}
