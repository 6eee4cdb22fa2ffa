//! Decides, by the number that it was sealed with, whether a message is heard; asks who speaks, and answers that.
//!
//! What `replay` says is carried out here: what was had is dropped, what is new is handed on, and what nobody has vouched for
//! yet waits. Steps of elections never wait: their senders repeat them, and an old one shall change nothing. In an open ring
//! messages have no numbers, and only questions are answered.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::trust::Source;
use super::{Node, ctx, know, transmit};
use crate::model::challenge::Answered;
use crate::model::channel::Channel;
use crate::model::context::{Context, Follows};
use crate::model::event::{EventKind, StampFault};
use crate::model::id::MemberId;
use crate::model::io::Transmit;
use crate::model::limits::STREAM_BYTES_MAX;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::MemberRumor;
use crate::model::stamp::{Series, Stamp, StampSender};
use crate::replay::{Held, Proved, Report, Verdict};
use crate::wire::{RECEIVER_BYTES_MAX, name_of, stream, swim, with_receiver};

/// A message that is to be admitted: all that its number is held against.
#[derive(Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) source: Source,
    pub(super) stamp: Option<Stamp>,
    pub(super) bytes: &'a [u8],
    pub(super) verdict: Verdict,
}

/// What a message is to the admission, whichever way it came.
#[derive(Clone, Copy)]
pub(super) struct Spoken {
    /// Where the sender is asked.
    pub(super) reply_to: SocketAddr,
    /// It names another receiver.
    pub(super) is_anothers: bool,
    /// It may wait for its sender's answer.
    pub(super) can_wait: bool,
}

impl Node {
    /// Numbers this member's messages in a series of its own from now on, as the runtime of a ring with a key asks at the
    /// start, before the first input, and whenever the host may have been put back to an earlier state. The series must never
    /// have been used.
    pub fn begin_series(&mut self, series: Series) {
        self.replay.begin_series(series);
    }

    /// The number for a message that this member's host sends beside the node.
    pub fn next_stamp(&mut self, channel: Channel) -> Option<Stamp> {
        self.replay.stamp(channel)
    }

    /// Gives a message that is on its way out its number, and the name of the member that it is for, as far as there is room.
    /// Steps of elections name their receivers themselves.
    pub(super) fn address(&mut self, transmit: &mut Transmit) {
        transmit.stamp = self.replay.stamp(transmit.channel);
        let Some(receiver) = self.replay.receiver(&transmit.to) else { return };
        let max = match transmit.channel {
            Channel::Datagram => self.config.datagram_bytes(),
            Channel::Stream => STREAM_BYTES_MAX,
        };
        if mutated!(ReceiverUnnamed, transmit.bytes.len() + RECEIVER_BYTES_MAX <= max, false) {
            transmit.bytes = with_receiver(&transmit.bytes, transmit.channel, receiver);
        }
        assert!(
            transmit.bytes.len() <= max || transmit.channel == Channel::Datagram,
            "a name takes no room that there is not"
        );
    }

    /// Looks at the number of a message that has arrived; none when it is not looked at any further.
    pub(super) fn arrive<'a>(
        &mut self,
        (source, key): (Source, RingKeyId),
        stamp: Option<Stamp>,
        bytes: &'a [u8],
    ) -> Option<Arrived<'a>> {
        // A member that has no key yet numbers nothing; where the clear is heard, it is heard as in an open ring.
        let is_clear = key.is_clear() && stamp.is_none() && self.keyring.hears_clear();
        let verdict = if is_clear {
            Verdict::Open
        } else {
            self.replay.judge(self.clock.now(), source.1, stamp, bytes)
        };
        match verdict {
            // Its own question may come back: that tells it where it met itself.
            Verdict::Drop(StampFault::Own) | Verdict::Open | Verdict::New | Verdict::Ask(_) => {}
            Verdict::Drop(fault) => {
                let may_be_late =
                    fault == StampFault::Had && stamp.is_some_and(|stamp| self.replay.may_be_late(stamp));
                self.drop_one(source.0, fault, may_be_late);
                return None;
            }
        }
        Some(Arrived { source, stamp, bytes, verdict })
    }

    /// Whether the member that speaks in a message sealed it.
    pub(super) fn is_senders_own(&self, stamp: Stamp, from: &MemberId) -> bool {
        stamp.sender == StampSender::of(from) || self.config.planted.has(Bug::StampOfAnotherBelieved)
    }

    /// Whether a message names another receiver than this member.
    pub(super) fn is_for_another(&self, receiver: u64) -> bool {
        receiver != 0 && receiver != name_of(StampSender::of(&self.me))
    }

    /// Whether a message that was read is heard now.
    pub(super) fn admit(&mut self, arrived: Arrived<'_>, spoken: Spoken) -> bool {
        let (Arrived { source, verdict, bytes, .. }, now) = (arrived, self.clock.now());
        let Some(stamp) = arrived.stamp.filter(|_| verdict != Verdict::Open) else { return true };
        let fault = match verdict {
            Verdict::Ask(fault) => fault,
            Verdict::New if spoken.is_anothers => StampFault::OtherReceiver,
            Verdict::New | Verdict::Open => {
                self.replay.take(now, source.0, stamp, bytes);
                return true;
            }
            Verdict::Drop(_) => return false,
        };
        // What was sent to another member is not for this one, also when its sender lives.
        let can_wait = spoken.can_wait && fault != StampFault::OtherReceiver;
        if mutated!(BallotsWait, can_wait, true) {
            let held = Held { channel: source.1, from: source.0, stamp, bytes: bytes.to_vec() };
            self.replay.hold(now, held, fault);
        } else {
            self.replay.ask(now, stamp.sender);
        }
        self.report_unanswered();
        self.ask_who_speaks(stamp.sender, spoken.reply_to, source.1, bytes.len());
        false
    }

    /// Asks a sender whether it speaks now. A question is never longer than the datagram that led to it: nobody is sent more
    /// by an invented source than came from there.
    fn ask_who_speaks(&mut self, sender: StampSender, to: SocketAddr, by: Channel, room: usize) {
        let Some(challenge) = self.replay.question(self.clock.now(), sender, to, by) else { return };
        match by {
            Channel::Datagram => {
                let body = swim::Body::Challenge { challenge };
                let sent = transmit::question(ctx!(self), &self.me, to, &body, room);
                assert!(sent || room < 64, "every message that is sent has room for a question");
            }
            Channel::Stream => {
                transmit::stream(ctx!(self), know!(self), to, stream::Body::Challenge { challenge })
            }
        }
    }

    /// Another member asks whether it is this one that speaks.
    pub(super) fn on_challenge(
        &mut self,
        from: &MemberId,
        to: SocketAddr,
        arrived: Arrived<'_>,
        challenge: u64,
    ) {
        let unknown =
            arrived.stamp.map(|stamp| stamp.sender).filter(|_| matches!(arrived.verdict, Verdict::Ask(_)));
        if matches!(arrived.verdict, Verdict::Drop(_)) {
            return;
        }
        if let (Verdict::New, Some(stamp)) = (arrived.verdict, arrived.stamp) {
            self.replay.take(self.clock.now(), arrived.source.0, stamp, arrived.bytes);
        }
        self.give_answer(from, (to, arrived.source.1), challenge, unknown);
    }

    fn give_answer(&mut self, to: &MemberId, way: Source, challenge: u64, unknown: Option<StampSender>) {
        let now = self.clock.now();
        let Some((answer, asks)) = self.replay.answer(now, challenge, way, unknown) else { return };
        assert!(answer.challenge == challenge, "an answer repeats its question");
        assert!(answer.standing.is_some() == self.replay.is_keyed(), "a number is told where there are any");
        let answered = Box::new(Answered { answer, vouch: answer.vouch(to, &*self.signer), asks });
        if self.replay.is_keyed() {
            self.elections.handle_asked(now);
        }
        match way.1 {
            Channel::Datagram => {
                let (from, body) = (know!(self).own_word(), swim::Body::Answer(answered));
                let (membership, rumors) = Default::default();
                transmit::datagram(ctx!(self), way.0, &from, &body, membership, rumors, 0);
            }
            Channel::Stream => {
                transmit::stream(ctx!(self), know!(self), way.0, stream::Body::Answer(answered))
            }
        }
    }

    /// A member that was asked answers. What waited for that is handled now.
    pub(super) fn on_answer(
        &mut self,
        from: &MemberRecord,
        source: Source,
        to: SocketAddr,
        answered: &Answered,
    ) {
        let (now, sender) = (self.clock.now(), StampSender::of(&from.id));
        if !self.replay.expects(now, sender, answered.answer.challenge) {
            return;
        }
        let is_its_key = self.signer.id_of(&answered.vouch.key) == from.id;
        let message = answered.answer.bytes(&self.me);
        if !is_its_key || self.check_signature(&message, &answered.vouch, source).is_err() {
            return self.drop_message(source.0, StampFault::Forged);
        }
        let Some(standing) = answered.answer.standing else {
            self.note_proved_address(from, source);
            return self.replay.close(now, sender);
        };
        let speaker = SocketAddr::new(source.0.ip(), from.swim_port);
        let (proved, held) = self.replay.settle(now, sender, (source.0, speaker), standing);
        self.metrics.senders_proved += 1;
        assert!(proved != Proved::Twice || held.is_empty(), "what is not believed is not handled");
        assert!(held.iter().all(|held| held.stamp.sender == sender), "what waited was of this sender");
        if proved == Proved::Twice {
            let ctx = ctx!(self);
            ctx.event(Follows::Input, EventKind::IdentityRunsTwice { member: from.id, address: speaker });
            return self.tell_twins(from, speaker);
        }
        // The one that is not heard moves no member.
        self.note_proved_address(from, source);
        for held in held {
            self.hear_held(&held);
        }
        if let Some(challenge) = answered.asks {
            self.give_answer(&from.id, (to, source.1), challenge, None);
        }
    }

    /// Two that run with one identity are told where the other one is: each asks there who that is, and both learn of it. In
    /// a ring with a key the one that is not heard gets no word of the ring otherwise, and the other one none of it.
    fn tell_twins(&mut self, other: &MemberRecord, unheard: SocketAddr) {
        let Some(known) = self.membership.table().get(&other.id).copied() else { return };
        let Some(heard) = self.replay.place_of(StampSender::of(&other.id)).filter(|at| *at != unheard) else {
            return;
        };
        assert!(self.replay.is_keyed(), "only where messages have numbers two series are told apart");
        let own = know!(self).own_word();
        for (to, at) in [(heard, unheard), (unheard, heard)] {
            // What is older than it knows of itself would tell it nothing.
            let incarnation = known.incarnation.max(other.incarnation);
            let (address, swim_port) = (at.ip(), at.port());
            let told = MemberRecord { state: State::Alive, incarnation, address, swim_port, ..known };
            let membership = vec![MemberRumor::new(told).to_wire()];
            transmit::datagram(ctx!(self), to, &own, &swim::Body::Gossip, membership, Vec::new(), 0);
        }
    }

    fn hear_held(&mut self, held: &Held) {
        let source = (held.from, held.channel);
        assert!(held.stamp.salt.channel() == held.channel, "a message waits on its channel");
        match held.channel {
            Channel::Datagram => {
                if let Ok(datagram) = swim::decode_news(&held.bytes, |rumor| self.rumors.knows(rumor)) {
                    self.accept_datagram(held.from, datagram, held.bytes.len());
                }
            }
            Channel::Stream => {
                if let Ok(message) = stream::decode(&held.bytes) {
                    self.accept_stream(source.0, message);
                }
            }
        }
    }

    /// Counts a message that is not heard; the first of its like is reported, and the rest together.
    pub(super) fn drop_message(&mut self, from: SocketAddr, fault: StampFault) {
        self.drop_one(from, fault, false);
    }

    fn drop_one(&mut self, from: SocketAddr, fault: StampFault, may_be_late: bool) {
        if fault == StampFault::Had {
            self.metrics.replays_dropped += 1;
        } else {
            self.metrics.stamps_refused += 1;
        }
        let now = self.clock.now();
        if let Some(Report { times }) = self.replay.drop_message(now, from, (fault, may_be_late)) {
            let ctx = ctx!(self);
            ctx.event(Follows::Input, EventKind::MessageDropped { from, fault, times });
        }
    }

    fn report_unanswered(&mut self) {
        for from in self.replay.take_unanswered() {
            self.drop_message(from, StampFault::Unanswered);
        }
    }
}
