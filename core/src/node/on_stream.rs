//! Stream messages: large rumors, digest exchanges, probes of members that only TCP reaches.

use core::net::SocketAddr;

use super::{Node, ctx};
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::error::DecodeError;
use crate::model::io::{Output, Transmit};
use crate::model::limits::Limit;
use crate::model::member::UNSPECIFIED;
use crate::wire::convert::member_to_wire;
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

    fn accept_stream(&mut self, source: SocketAddr, message: StreamMessage) {
        let StreamMessage { mut from, body } = message;
        if from.id == self.me {
            return self.reject(source, Channel::Stream, DecodeError::OwnId);
        }
        if from.address == UNSPECIFIED {
            from.address = source.ip();
        }
        self.metrics.streams_received += 1;
        if !self.membership.contact(ctx!(self), &from, true) {
            return;
        }
        let reply_to = from.gossip_addr();
        match body {
            Body::Gossip { rumors } => {
                for rumor in &rumors {
                    let rumor = self.fill_in_address(rumor, &from);
                    self.hear_rumor(&rumor, &from.id);
                }
            }
            Body::SyncBegin { buckets, records } => self.on_sync_begin(&from, reply_to, &buckets, records),
            Body::SyncKeys { buckets, hashes } => self.on_sync_keys(&from, reply_to, buckets, &hashes),
            Body::SyncRecords { rumors, want } => self.on_sync_records(&from, reply_to, &rumors, &want),
            Body::Ping { seq } => self.send_stream(reply_to, &Body::Ack { seq }),
            Body::Ack { seq } => self.membership.probe_answered(ctx!(self), &from.id, seq),
        }
    }

    pub(super) fn send_stream(&mut self, to: SocketAddr, body: &Body) {
        let own = self.own_word();
        let Some(bytes) = stream::encode(member_to_wire(&own), body) else {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::StreamBytes);
            return;
        };
        self.metrics.streams_sent += 1;
        self.metrics.stream_bytes_sent += bytes.len() as u64;
        self.outputs.push(Output::Transmit(Transmit { to, channel: Channel::Stream, bytes }));
    }
}
