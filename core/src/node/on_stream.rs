//! Handles stream messages: large rumors, digest exchanges, probes of members that only TCP reaches.

use core::net::SocketAddr;

use super::admission::{Arrived, Spoken};
use super::{Node, ctx, know, transmit};
use crate::membership::Contact;
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::error::DecodeError;
use crate::model::event::StampFault;
use crate::model::limits::DATAGRAM_BYTES_MIN;
use crate::model::member::{MemberRecord, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::Told;
use crate::model::stamp::Stamp;
use crate::replay::Verdict;
use crate::wire::stream::{self, Body, StreamMessage};
use crate::wire::swim;

impl Node {
    pub(super) fn on_stream(
        &mut self,
        (source, key): (SocketAddr, RingKeyId),
        bytes: &[u8],
        stamp: Option<Stamp>,
    ) {
        if !self.is_heard() {
            return;
        }
        self.metrics.stream_bytes_received += bytes.len() as u64;
        let Some(arrived) = self.arrive(((source, Channel::Stream), key), stamp, bytes) else { return };
        let read = stream::decode(bytes);
        if let Ok(message) = &read {
            self.heard_with((source, key), &message.from);
        }
        match read {
            Ok(message) if self.is_frame_heard(arrived, &message) => self.accept_stream(source, message),
            Ok(_) => {}
            Err(error) => self.reject(source, Channel::Stream, error),
        }
    }

    /// Whether a frame is handled as what it says: it is neither a question who speaks, nor an answer to one, and admitted.
    fn is_frame_heard(&mut self, arrived: Arrived<'_>, message: &StreamMessage<'_>) -> bool {
        let (mut from, source) = (message.from, arrived.source);
        let fault = match arrived.stamp {
            Some(_) if arrived.verdict == Verdict::Drop(StampFault::Own) => Some(StampFault::Own),
            Some(stamp) if !self.is_senders_own(stamp, &from.id) => Some(StampFault::OtherSender),
            _ => None,
        };
        if let Some(fault) = fault {
            self.drop_message(source.0, fault);
            return false;
        }
        if from.address == UNSPECIFIED {
            from.address = source.0.ip();
        }
        let reply_to = from.gossip_addr();
        match &message.body {
            Body::Challenge { challenge } => {
                self.on_challenge(&from.id, reply_to, arrived, *challenge);
                return false;
            }
            Body::Answer(answered) => {
                self.on_answer(&from, source, reply_to, answered);
                return false;
            }
            Body::Gossip { .. }
            | Body::SyncBegin { .. }
            | Body::SyncKeys { .. }
            | Body::SyncRecords { .. }
            | Body::Ping { .. }
            | Body::Ack { .. }
            | Body::RingKey { .. }
            | Body::Unknown => {}
        }
        let is_anothers = self.is_for_another(message.receiver);
        self.admit(arrived, Spoken { reply_to, is_anothers, can_wait: true })
    }

    pub(super) fn accept_stream(&mut self, source: SocketAddr, message: StreamMessage<'_>) {
        let StreamMessage { mut from, body, skipped, .. } = message;
        if from.id == self.me {
            return self.reject(source, Channel::Stream, DecodeError::OwnId);
        }
        self.skip(source, Channel::Stream, skipped);
        if from.address == UNSPECIFIED {
            from.address = source.ip();
        }
        assert!(from.id != self.me, "a member hears others only");
        self.metrics.streams_received += 1;
        if let Body::Ack { seq } = &body {
            self.membership.handle_introduction(ctx!(self), &from, *seq, true);
        }
        let reply_to = from.gossip_addr();
        from = self.at_proved_address(from, DATAGRAM_BYTES_MIN);
        match self.membership.handle_contact(ctx!(self), &from, true) {
            Contact::Member => {}
            Contact::Stranger => {
                if let Body::Gossip { rumors } = &body {
                    self.keep_for_later(rumors, &from, (source, Channel::Stream));
                }
                return self.answer_strange_stream(source, &from, &body);
            }
            Contact::Banned => {
                let to = SocketAddr::new(source.ip(), from.swim_port);
                return mutated!(BannedNotTold, self.tell_ban(&from, to, &swim::Body::Gossip, 0), ());
            }
        }
        match body {
            Body::Gossip { rumors } => {
                for told in &rumors {
                    let told = self.fill_in_address(told, &from);
                    self.hear_rumor(&told, &from.id, (source, Channel::Stream));
                }
            }
            Body::SyncBegin { buckets, records } => self.on_sync_begin(&from, reply_to, &buckets, records),
            Body::SyncKeys { buckets, hashes } => self.on_sync_keys(&from, reply_to, buckets, &hashes),
            Body::SyncRecords { rumors, want } => self.on_sync_records(&from, source, &rumors, &want),
            Body::Ping { seq } => transmit::stream(ctx!(self), know!(self), reply_to, Body::Ack { seq }),
            Body::Ack { seq } => self.membership.handle_probe_answer(ctx!(self), &from.id, seq),
            Body::RingKey { key, sealed } => self.keyring.handle_delivered(key, &sealed),
            Body::Challenge { .. } | Body::Answer(_) | Body::Unknown => {}
        }
    }

    /// A stranger is answered at the address that it connected from, and only to say who is here.
    fn answer_strange_stream(&mut self, source: SocketAddr, from: &MemberRecord, body: &Body<Told<'_>>) {
        if let Body::Ping { seq } = body {
            let to = SocketAddr::new(source.ip(), from.gossip_port);
            transmit::stream(ctx!(self), know!(self), to, Body::Ack { seq: *seq });
        }
    }
}
