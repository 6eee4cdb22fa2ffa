//! Handles a datagram: decodes it, notes the contact, and hands its parts to the components that they concern. A banned
//! sender is not heard.

use alloc::borrow::Cow;
use alloc::string::ToString as _;
use core::net::SocketAddr;

use super::admission::{Arrived, Spoken};
use super::{Node, ctx};
use crate::membership::Contact;
use crate::model::channel::Channel;
use crate::model::context::{Context, Follows};
use crate::model::error::DecodeError;
use crate::model::event::{EventKind, StampFault};
use crate::model::id::MemberId;
use crate::model::member::MemberRecord;
use crate::model::member::UNSPECIFIED;
use crate::model::mutant::mutated;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{MemberRumor, Rumor, Told};
use crate::model::stamp::Stamp;
use crate::replay::Verdict;
use crate::wire::swim::{self, Body, Datagram};

impl Node {
    pub(super) fn on_datagram(
        &mut self,
        (source, key): (SocketAddr, RingKeyId),
        bytes: &[u8],
        stamp: Option<Stamp>,
    ) {
        if !self.is_heard() {
            return;
        }
        self.metrics.datagram_bytes_received += bytes.len() as u64;
        let Some(arrived) = self.arrive(((source, Channel::Datagram), key), stamp, bytes) else { return };
        self.keyring.handle_heard(source, key);
        match swim::decode_news(bytes, |rumor| self.rumors.knows(rumor)) {
            Ok(datagram) if self.is_for_its_parts(arrived, &datagram) => {
                self.accept_datagram(source, datagram, bytes.len())
            }
            Ok(_) => {}
            Err(error) => self.reject(source, Channel::Datagram, error),
        }
    }

    /// Whether the parts of a datagram are to be handled: it is neither a question who speaks, nor an answer to one, and
    /// admitted.
    fn is_for_its_parts(&mut self, arrived: Arrived<'_>, datagram: &Datagram<'_>) -> bool {
        let (from, source) = (&datagram.from, arrived.source);
        if arrived.verdict == Verdict::Drop(StampFault::Own) {
            self.membership.handle_echo(&datagram.body);
            self.drop_message(source.0, StampFault::Own);
            return false;
        }
        if arrived.stamp.is_some_and(|stamp| !self.is_sealed_by(stamp, &from.id, &datagram.body)) {
            self.drop_message(source.0, StampFault::OtherSender);
            return false;
        }
        match &datagram.body {
            Body::Challenge { challenge } => {
                self.count_received(&datagram.body);
                self.on_challenge(&from.id, source.0, arrived, *challenge);
                return false;
            }
            Body::Answer(answered) => {
                self.count_received(&datagram.body);
                self.on_answer(from, source, source.0, answered);
                return false;
            }
            Body::Ping { .. }
            | Body::Ack { .. }
            | Body::PingReq { .. }
            | Body::Nack { .. }
            | Body::Gossip
            | Body::Ballot(_)
            | Body::Unknown => {}
        }
        let spoken = Spoken {
            reply_to: source.0,
            is_anothers: self.is_for_another(datagram.receiver),
            can_wait: !matches!(datagram.body, Body::Ballot(_)),
        };
        self.admit(arrived, spoken)
    }

    /// Whether the member that speaks has sealed the message, or a helper that passes an answer on to this member.
    fn is_sealed_by(&self, stamp: Stamp, from: &MemberId, body: &Body) -> bool {
        let is_relayed = matches!(body, Body::Ack { forward_to: Some(to), .. } if to.id == self.me);
        is_relayed || self.is_senders_own(stamp, from)
    }

    pub(super) fn accept_datagram(&mut self, source: SocketAddr, datagram: Datagram<'_>, bytes: usize) {
        let Datagram { mut from, body, rumors, known, digest, ballot, skipped, .. } = datagram;
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
        if let Body::Ack { seq, .. } = &body {
            self.membership.handle_introduction(ctx!(self), &from, *seq, is_first_hand);
        }
        if is_first_hand {
            from = self.at_proved_address(from, bytes);
        }
        match self.membership.handle_contact(ctx!(self), &from, is_first_hand) {
            Contact::Member => {}
            Contact::Stranger => {
                self.keep_for_later(&rumors, &from, (source, Channel::Datagram));
                return self.membership.answer_stranger(&from, source, &body, bytes);
            }
            Contact::Banned => {
                return mutated!(BannedNotTold, self.tell_ban(&from, source, &body, bytes), ());
            }
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
            | Body::Challenge { .. }
            | Body::Answer(_)
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
            Body::Challenge { .. } => &mut counts.challenge,
            Body::Answer(_) => &mut counts.answer,
            Body::Unknown => &mut counts.unknown,
        } += 1;
    }
}
