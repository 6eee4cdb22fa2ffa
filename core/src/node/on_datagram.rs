//! Handles a datagram: decodes it, notes the contact, and hands its parts to the components that they concern. A banned
//! sender is not heard.

use alloc::borrow::Cow;
use alloc::string::ToString as _;
use core::net::SocketAddr;

use super::{Node, ctx};
use crate::model::channel::Channel;
use crate::model::context::{Context, Follows};
use crate::model::error::DecodeError;
use crate::model::event::EventKind;
use crate::model::member::MemberRecord;
use crate::model::member::UNSPECIFIED;
use crate::model::mutant::mutated;
use crate::model::rumor::{MemberRumor, Rumor, Told};
use crate::wire::swim::{self, Body, Datagram};

impl Node {
    pub(super) fn on_datagram(&mut self, source: SocketAddr, bytes: &[u8]) {
        if !self.is_heard() {
            return;
        }
        self.metrics.datagram_bytes_received += bytes.len() as u64;
        match swim::decode_news(bytes, |rumor| self.rumors.knows(rumor)) {
            Ok(datagram) => self.accept_datagram(source, datagram),
            Err(error) => self.reject(source, Channel::Datagram, error),
        }
    }

    fn accept_datagram(&mut self, source: SocketAddr, datagram: Datagram<'_>) {
        let Datagram { mut from, body, rumors, known, digest, ballot, skipped } = datagram;
        if from.id == self.me {
            let speaker = SocketAddr::new(source.ip(), from.swim_port);
            if !self.membership.handle_own_voice(ctx!(self), speaker, source, &body) {
                self.reject(source, Channel::Datagram, DecodeError::OwnId);
            }
            return;
        }
        self.skip(source, Channel::Datagram, skipped);
        // An ack that a helper passed on comes from the helper's address and holds the member's own.
        let is_relayed = matches!(&body, Body::Ack { forward_to: Some(to), .. } if to.id == self.me);
        // An unreadable body may have been passed on too: it proves that its sender lives, not at which address.
        let is_first_hand = mutated!(RelayedIsFirstHand, !is_relayed, true) && body != Body::Unknown;
        if from.address == UNSPECIFIED {
            if is_relayed {
                return self.reject(source, Channel::Datagram, DecodeError::Missing("address"));
            }
            from.address = source.ip();
        }
        assert!(from.id != self.me, "a member hears others only");
        self.count_received(&body);
        if !self.membership.handle_contact(ctx!(self), &from, is_first_hand) {
            return;
        }
        self.metrics.rumors_ignored += u64::from(known);
        for told in &rumors {
            let told = self.fill_in_address(told, &from);
            self.hear_rumor(&told, &from.id, (source, Channel::Datagram));
        }
        if let Body::Ack { seq, forward_to: None } = &body {
            self.hear_told(&from.id, *seq);
        }
        match body {
            Body::Ballot(message) => {
                let said = ballot.unwrap_or_default();
                if self.is_ballot_authentic(&from.id, &message.election, said, (source, Channel::Datagram)) {
                    self.elections.handle_message(ctx!(self), from.id, *message);
                }
            }
            Body::Ping { .. }
            | Body::Ack { .. }
            | Body::PingReq { .. }
            | Body::Nack { .. }
            | Body::Gossip
            | Body::Unknown => self.membership.handle_message(ctx!(self), &from, source, body),
        }
        if digest != 0 {
            self.compare(&from, digest);
        }
    }

    /// A member that does not know its own address leaves it to the members that hear it directly.
    pub(super) fn fill_in_address<'t, 'b>(
        &self,
        told: &'t Told<'b>,
        from: &MemberRecord,
    ) -> Cow<'t, Told<'b>> {
        let Rumor::Member(m) = told.rumor() else { return Cow::Borrowed(told) };
        let own = m.record.id == from.id && m.record.address == UNSPECIFIED;
        // A loopback address of another member is on the sender's own host.
        let beside =
            mutated!(LoopbackBelieved, m.record.address.is_loopback(), false) && !from.address.is_loopback();
        if !own && !beside {
            return Cow::Borrowed(told);
        }
        let record = MemberRecord { address: from.address, ..m.record };
        Cow::Owned(Rumor::Member(MemberRumor { record, ..*m }).into())
    }

    pub(super) fn reject(&mut self, from: SocketAddr, channel: Channel, error: DecodeError) {
        self.metrics.decode_errors += 1;
        self.metrics.messages_sealed += u64::from(error == DecodeError::Encrypted);
        let ctx = ctx!(self);
        ctx.event(Follows::Input, EventKind::DecodeFailed { from, channel, error: error.to_string() });
    }

    /// Reports the parts of a message that were left out, once for the message.
    pub(super) fn skip(&mut self, from: SocketAddr, channel: Channel, parts: u32) {
        if parts == 0 {
            return;
        }
        self.metrics.parts_skipped += u64::from(parts);
        let ctx = ctx!(self);
        let error = DecodeError::Skipped { parts }.to_string();
        ctx.event(Follows::Input, EventKind::DecodeFailed { from, channel, error });
    }

    pub(super) fn on_refused(&mut self, to: SocketAddr) {
        if self.is_heard() {
            self.membership.handle_refused(ctx!(self), to);
        }
    }

    fn count_received(&mut self, body: &Body) {
        let counts = &mut self.metrics.datagrams_received;
        *match body {
            Body::Ping { .. } => &mut counts.ping,
            Body::Ack { .. } => &mut counts.ack,
            Body::PingReq { .. } => &mut counts.ping_req,
            Body::Nack { .. } => &mut counts.nack,
            Body::Gossip => &mut counts.gossip,
            Body::Ballot(_) => &mut counts.ballot,
            Body::Unknown => &mut counts.unknown,
        } += 1;
    }
}
