//! Handles stream messages: large rumors, digest exchanges, probes of members that only TCP reaches.

use core::net::SocketAddr;

use super::{Node, ctx, know, transmit};
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::error::DecodeError;
use crate::model::member::UNSPECIFIED;
use crate::wire::stream::{self, Body, StreamMessage};

impl Node {
    pub(super) fn on_stream(&mut self, source: SocketAddr, bytes: &[u8]) {
        if !self.is_heard() {
            return;
        }
        self.metrics.stream_bytes_received += bytes.len() as u64;
        match stream::decode(bytes) {
            Ok(message) => self.accept_stream(source, message),
            Err(error) => self.reject(source, Channel::Stream, error),
        }
    }

    fn accept_stream(&mut self, source: SocketAddr, message: StreamMessage<'_>) {
        let StreamMessage { mut from, body, skipped } = message;
        if from.id == self.me {
            return self.reject(source, Channel::Stream, DecodeError::OwnId);
        }
        self.skip(source, Channel::Stream, skipped);
        if from.address == UNSPECIFIED {
            from.address = source.ip();
        }
        assert!(from.id != self.me, "a member hears others only");
        self.metrics.streams_received += 1;
        if !self.membership.handle_contact(ctx!(self), &from, true) {
            return;
        }
        let reply_to = from.gossip_addr();
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
            Body::Unknown => {}
        }
    }
}
