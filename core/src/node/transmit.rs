//! Sends messages: encodes and counts them and hands them to the runtime. The caller has chosen their content; the key that
//! seals each is named as it leaves.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::knowledge::Knowledge;
use super::trust::Words;
use crate::model::ballot::Message as Ballot;
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::id::MemberId;
use crate::model::id::ProbeSeq;
use crate::model::io::{Output, Transmit};
use crate::model::limits::{DATAGRAM_BYTES_MAX, Limit, STREAM_BYTES_MAX};
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::MemberRumor;
use crate::wire::convert::member_to_wire;
use crate::wire::swim::{self, Body};
use crate::wire::{challenge, proto, stream};

/// The bytes of a ping to an address from which no member has answered: its answer, with what the asker is told of itself,
/// is no longer.
const QUESTION_BYTES_MIN: usize = 256;

/// Sends a datagram in a member's name. `digest` is the hash of what it holds, 0 where that is not to be compared.
pub(super) fn datagram(
    ctx: &mut Context<'_>,
    to: SocketAddr,
    from: &MemberRecord,
    body: &Body,
    membership: Vec<proto::Membership>,
    rumors: Vec<Vec<u8>>,
    digest: u64,
) {
    let bytes = swim::encode(member_to_wire(from), body, membership, rumors, digest);
    send(ctx, to, body, bytes);
}

/// Asks who speaks, unless that takes more bytes than came from there; whether it was sent.
pub(super) fn question(
    ctx: &mut Context<'_>,
    me: &MemberId,
    to: SocketAddr,
    body: &Body,
    room: usize,
) -> bool {
    let bytes = swim::encode(challenge::asker(me), body, Vec::new(), Vec::new(), 0);
    let fits = mutated!(QuestionsOfAnyLength, bytes.len() <= room, true);
    if fits {
        send(ctx, to, body, bytes);
    }
    fits
}

/// Sends a step of an election to a member, with this member's word for it.
pub(super) fn ballot(
    ctx: &mut Context<'_>,
    know: Knowledge<'_>,
    words: Words<'_>,
    to: &MemberRecord,
    message: Ballot,
) {
    assert!(to.id != know.me, "a member votes for itself without a message");
    let from = member_to_wire(&know.own_word());
    let vouch = words.vouch_for_ballot(&to.id, &swim::ballot_said(from.clone(), &to.id, &message));
    let bytes = swim::encode_ballot(from, &to.id, &message, &vouch);
    send(ctx, to.swim_addr(), &Body::Ballot(Box::new(message)), bytes);
}

/// Asks whether a member is at an address from which none has answered.
pub(super) fn ask(ctx: &mut Context<'_>, know: Knowledge<'_>, to: SocketAddr, seq: ProbeSeq) {
    let bytes = swim::encode_question(member_to_wire(&know.own_word()), seq, QUESTION_BYTES_MIN);
    send(ctx, to, &Body::Ping { seq, forward_to: None }, bytes);
}

/// Answers a stranger, whose address may be another host's: with no more bytes than it sent. `accuse` is what it is told
/// of itself where there is room.
pub(super) fn answer(
    ctx: &mut Context<'_>,
    know: Knowledge<'_>,
    to: SocketAddr,
    body: &Body,
    accuse: Option<MemberRecord>,
    bytes_max: usize,
) {
    let encoded =
        |membership| swim::encode(member_to_wire(&know.own_word()), body, membership, Vec::new(), 0);
    let told = accuse.into_iter().map(|record| MemberRumor::new(record).to_wire()).collect();
    let fits = |bytes: &Vec<u8>| bytes.len() <= bytes_max;
    let bytes = Some(encoded(told)).filter(fits).or_else(|| Some(encoded(Vec::new())).filter(fits));
    if let Some(bytes) = bytes {
        assert!(bytes.len() <= bytes_max, "an answer is no longer than its question");
        send(ctx, to, body, bytes);
    }
}

fn send(ctx: &mut Context<'_>, to: SocketAddr, body: &Body, bytes: Vec<u8>) {
    assert!(
        !bytes.is_empty() && bytes.len() <= DATAGRAM_BYTES_MAX,
        "a message that is sent fits into a datagram"
    );
    let counts = &mut ctx.metrics.datagrams_sent;
    *match body {
        Body::Ping { .. } => &mut counts.ping,
        Body::Ack { .. } => &mut counts.ack,
        Body::PingReq { .. } => &mut counts.ping_req,
        Body::Nack { .. } => &mut counts.nack,
        Body::Gossip => &mut counts.gossip,
        Body::Ballot(_) => &mut counts.ballot,
        Body::Challenge { .. } => &mut counts.challenge,
        Body::Answer(_) => &mut counts.answer,
        Body::Unknown => &mut counts.unknown,
    } += 1;
    ctx.metrics.datagram_bytes_sent += bytes.len() as u64;
    ctx.outputs.push(Output::Transmit(Transmit {
        to,
        channel: Channel::Datagram,
        key: RingKeyId::CLEAR,
        bytes,
        stamp: None,
    }));
}

/// Tells one rumor alone to an address, where it fits into so many bytes.
pub(super) fn rumor(
    ctx: &mut Context<'_>,
    know: Knowledge<'_>,
    to: SocketAddr,
    body: &Body,
    rumor: Vec<u8>,
    bytes_max: usize,
) {
    let from = member_to_wire(&know.own_word());
    let bytes = swim::encode(from, body, Vec::new(), alloc::vec![rumor], 0);
    if bytes.len() <= bytes_max {
        send(ctx, to, body, bytes);
    }
}

/// Sends a stream message from this member.
pub(super) fn stream(
    ctx: &mut Context<'_>,
    know: Knowledge<'_>,
    to: SocketAddr,
    body: stream::Body<Vec<u8>>,
) {
    let Some(bytes) = stream::encode(member_to_wire(&know.own_word()), body) else {
        ctx.limit_reached(Limit::StreamBytes);
        return;
    };
    assert!(bytes.len() <= STREAM_BYTES_MAX, "a message that is sent fits into a stream message");
    ctx.metrics.streams_sent += 1;
    ctx.metrics.stream_bytes_sent += bytes.len() as u64;
    ctx.outputs.push(Output::Transmit(Transmit {
        to,
        channel: Channel::Stream,
        key: RingKeyId::CLEAR,
        bytes,
        stamp: None,
    }));
}
