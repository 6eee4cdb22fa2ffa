//! Decides which messages of a keyed ring are new. A seal proves that a message came from a program that has the key; its
//! number ([`Stamp`]) tells whether the message came before. It may not send, decode or name another feature; it is asked
//! by the node, which carries out the answers.
//!
//! | file | what |
//! |---|---|
//! | `window` | the numbers of one series that were had |
//! | `senders` | the members whose series are known, with their windows |
//! | `questions` | the members that were asked who they are, and the messages that wait for their answers |
//! | `recent` | how often an address is asked or answered |
//! | `dropped` | what was dropped, folded into few reports |
//!
//! # What is believed
//!
//! A message counts when its number lies in its sender's series and no message had it. One that was had is dropped: it costs
//! no state and no answer. Everything else is neither believed nor ignored for ever: an unknown sender, another start or
//! series than the known one, a number below the window, one that was used for another message. Such a message is held, and
//! the place that it came from is asked ([`crate::model::challenge`]) with 64 random bits. The answer says which series the
//! member is in and where its numbers stand, signed with the member's key; so only the member itself moves its window, up
//! or down. Then what was held is handled, if it is of that series and came from where the answer came.
//!
//! - *A recorder* repeats numbers that were had, or messages that no living member answers for.
//! - *An insider* that uses another's numbers up leads to one question in each period, and the answer sets the window back
//!   to where the member is.
//! - *A backup that was restored* goes on with a lower boot number after one question.
//! - *A receiver that starts again* knows no window and asks each sender once.
//! - *Two that run with one identity* prove two series in turn. The one at the lower address is believed, whichever came
//!   first, and the other one is not while that one is heard. That is reported to both, and each finds the other one by it.
//!
//! No clock of the wall takes part. A message names the member that it is for, where its sender has heard one from there
//! before, so that a recorder cannot bring to one member what was sent to another: such a message is asked about, too.
//! Without a name (a member that joins knows addresses alone) it counts as new where it is not late.

mod dropped;
mod questions;
mod recent;
mod senders;
mod window;

use alloc::vec::Vec;
use core::net::SocketAddr;

pub(crate) use dropped::Report;
pub(crate) use questions::Held;
pub(crate) use senders::Proved;

use crate::model::challenge::Answer;
use crate::model::channel::Channel;
use crate::model::event::StampFault;
use crate::model::id::MemberId;
use crate::model::limits::REPLAY_WINDOW;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::stamp::{Salt, Series, Stamp, StampSender, Standing};
use crate::model::time::Instant;
use dropped::Dropped;
use questions::Questions;
use recent::Recent;
use senders::Senders;
use window::Tag;

/// What is to be done with a message by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Messages of this ring have no numbers.
    Open,
    /// It is new. It counts as had once [`Replay::take`] is called.
    New,
    /// Drop it, for this reason.
    Drop(StampFault),
    /// Hold it and ask its sender, for this reason.
    Ask(StampFault),
}

/// The component.
#[derive(Debug)]
pub(crate) struct Replay {
    me: StampSender,
    /// Where this member's own numbers stand; none in an open ring.
    own: Option<Standing>,
    senders: Senders,
    questions: Questions,
    asked: Recent,
    answered: Recent,
    dropped: Dropped,
    rng: Rng,
    planted: Planted,
}

impl Replay {
    pub(crate) fn new(me: &MemberId, rng: Rng, planted: Planted) -> Self {
        Self {
            me: StampSender::of(me),
            own: None,
            senders: Senders::default(),
            questions: Questions::default(),
            asked: Recent::default(),
            answered: Recent::default(),
            dropped: Dropped::default(),
            rng,
            planted,
        }
    }

    /// Whether messages of this ring have numbers.
    pub(crate) const fn is_keyed(&self) -> bool {
        self.own.is_some()
    }

    /// Members whose windows are known.
    pub(crate) fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Numbers messages in this series from now on.
    pub(crate) fn begin_series(&mut self, series: Series) {
        assert!(self.own.is_none_or(|own| own.series != series), "no series is begun twice");
        assert!(Channel::ALL.into_iter().all(|c| series.salt(c).channel() == c), "a salt is of its channel");
        self.own = Some(Standing { series, datagrams: 0, streams: 0 });
        assert!(self.is_keyed(), "messages have numbers from now on");
    }

    /// Whether a member has proved that it speaks.
    #[cfg(test)]
    pub(crate) fn knows(&self, member: &MemberId) -> bool {
        self.senders.knows(StampSender::of(member))
    }

    /// Numbers messages from here on, as a copy does that runs beside this member.
    #[cfg(test)]
    pub(crate) fn go_on(&mut self, series: Series, next: u32) {
        self.own = Some(Standing { series, datagrams: next, streams: next });
    }

    /// The number of the next message.
    pub(crate) fn stamp(&mut self, channel: Channel) -> Option<Stamp> {
        let own = self.own.as_mut()?;
        let (salt, counter) = match channel {
            Channel::Datagram => (&mut own.series.datagrams, &mut own.datagrams),
            Channel::Stream => (&mut own.series.streams, &mut own.streams),
        };
        let stamp = Stamp { sender: self.me, boot: own.series.boot, salt: *salt, counter: *counter };
        *counter = counter.checked_add(1).unwrap_or_else(|| {
            // The last number is never used for a second message: the next series begins.
            *salt = Salt::new(channel, self.rng.next_u64());
            0
        });
        assert!(stamp.salt.channel() == channel, "each channel has its own numbers");
        Some(stamp)
    }

    /// What is to be done with a message, by its number alone.
    pub(crate) fn judge(
        &self,
        now: Instant,
        channel: Channel,
        stamp: Option<Stamp>,
        bytes: &[u8],
    ) -> Verdict {
        let Some(own) = self.own else { return Verdict::Open };
        let Some(stamp) = stamp else { return Verdict::Drop(StampFault::Missing) };
        if stamp.salt.channel() != channel {
            return Verdict::Drop(StampFault::OtherChannel);
        }
        if stamp.sender == self.me && (stamp.boot, stamp.salt) == (own.series.boot, own.series.salt(channel))
        {
            return Verdict::Drop(StampFault::Own);
        }
        let verdict = self.senders.judge(now, stamp, Tag::of(bytes));
        let is_blind = match verdict {
            Verdict::Drop(StampFault::Had) => self.planted.has(Bug::WindowOff),
            Verdict::Ask(StampFault::UnknownSender) => self.planted.has(Bug::StrangerBelieved),
            Verdict::Ask(StampFault::OtherSeries) => self.planted.has(Bug::OldLifeBelieved),
            Verdict::Open | Verdict::New | Verdict::Drop(_) | Verdict::Ask(_) => false,
        };
        if is_blind { Verdict::New } else { verdict }
    }

    /// Notes that this message had its number.
    pub(crate) fn take(&mut self, now: Instant, from: SocketAddr, stamp: Stamp, bytes: &[u8]) {
        self.senders.take(now, from, stamp, Tag::of(bytes));
    }

    /// For whom a message to this address is: the member that was last heard from there.
    pub(crate) fn receiver(&self, to: &SocketAddr) -> Option<StampSender> {
        self.senders.at(to).filter(|_| self.is_keyed())
    }

    /// Holds a message until its sender has answered. A message that no room is left for is lost, as the network loses one.
    pub(crate) fn hold(&mut self, now: Instant, held: Held, fault: StampFault) {
        assert!(self.is_keyed(), "in an open ring nothing is held");
        let question = Question { bits: self.bits(), fault };
        let sender = held.stamp.sender;
        self.questions.hold(now, held, question);
        assert!(self.questions.of(now, sender).is_some(), "a message waits for the answer to a question");
    }

    /// Asks a sender who it is, with nothing that waits for the answer.
    pub(crate) fn ask(&mut self, now: Instant, sender: StampSender) {
        let bits = self.bits();
        self.questions.begin(now, sender, bits);
        assert!(self.questions.of(now, sender).is_some(), "who is to be asked has a question");
    }

    fn bits(&mut self) -> u64 {
        let bits = self.rng.next_u64();
        if self.planted.has(Bug::ChallengeNotRandom) { 7 } else { bits }
    }

    /// The question for a sender at this address, unless it was asked there a moment ago.
    pub(crate) fn question(
        &mut self,
        now: Instant,
        sender: StampSender,
        to: SocketAddr,
        by: Channel,
    ) -> Option<u64> {
        let challenge = self.questions.of(now, sender)?;
        self.asked.may(now, to, by).then_some(challenge)
    }

    /// The answer to a question that came from there, unless one was given a moment ago; and a question in turn where the
    /// asker is not known.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        challenge: u64,
        (to, by): (SocketAddr, Channel),
        unknown: Option<StampSender>,
    ) -> Option<(Answer, Option<u64>)> {
        if !self.answered.may(now, to, by) {
            return None;
        }
        let asks = unknown.map(|sender| {
            let bits = self.bits();
            self.questions.begin(now, sender, bits);
            self.questions.of(now, sender).unwrap_or(bits)
        });
        assert!(asks.is_none() || unknown.is_some(), "an asker that is known is not asked in turn");
        Some((Answer { challenge, standing: self.own }, asks))
    }

    /// Whether this sender was asked just that.
    pub(crate) fn expects(&self, now: Instant, sender: StampSender, challenge: u64) -> bool {
        self.questions.of(now, sender) == Some(challenge)
    }

    /// A member of an open ring has answered, and its signature holds.
    pub(crate) fn close(&mut self, now: Instant, sender: StampSender) {
        let (held, _) = self.questions.settle(now, sender);
        assert!(held.is_empty() || self.is_keyed(), "in an open ring nothing is held");
        assert!(self.questions.of(now, sender).is_none(), "a question is answered once");
    }

    /// Where a member that is heard sends its datagrams from.
    pub(crate) fn place_of(&self, sender: StampSender) -> Option<SocketAddr> {
        self.senders.place_of(sender)
    }

    /// A member has answered, and its signature holds: what it says of its numbers, and what was held for it. The answer came
    /// from there, and `speaker` is where the member has its datagrams.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        sender: StampSender,
        (from, speaker): (SocketAddr, SocketAddr),
        standing: Standing,
    ) -> (Proved, Vec<Held>) {
        let (held, doubted) = self.questions.settle(now, sender);
        assert!(self.questions.of(now, sender).is_none(), "a question is answered once");
        assert!(held.iter().all(|held| held.stamp.sender == sender), "each sender answers for itself");
        if sender == self.me && self.own.is_some_and(|own| own.series == standing.series) {
            return (Proved::Known, Vec::new());
        }
        let proved = self.senders.prove(now, (sender, speaker), standing, doubted);
        if proved == Proved::Twice {
            return (proved, Vec::new());
        }
        let mut held: Vec<Held> = held;
        held.retain(|held| held.from.ip() == from.ip() && is_within(standing, held.stamp));
        held.sort_by_key(|held| held.stamp.counter);
        // What was sent after the answer and overtook it has a number of the window.
        for held in &held {
            self.senders.take(now, held.from, held.stamp, Tag::of(&held.bytes));
        }
        (proved, held)
    }

    /// Notes a message that was dropped: a report, where there was none about its like for a while.
    pub(crate) fn drop_message(
        &mut self,
        now: Instant,
        from: SocketAddr,
        (fault, may_be_late): (StampFault, bool),
    ) -> Option<Report> {
        self.dropped.note(now, from, fault, may_be_late)
    }

    /// Whether a message with this number may have been sent before its sender said where its numbers stand, and come after
    /// that: no message is known to have had the number.
    pub(crate) fn may_be_late(&self, stamp: Stamp) -> bool {
        self.senders.may_be_late(&stamp)
    }

    /// Senders that were asked in vain since the last call, by where the last message in their name came from.
    pub(crate) fn take_unanswered(&mut self) -> Vec<SocketAddr> {
        self.questions.take_unanswered()
    }
}

/// A question, and what led to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    bits: u64,
    fault: StampFault,
}

/// Whether a message was sent in this series, and not long before its sender answered.
fn is_within(standing: Standing, stamp: Stamp) -> bool {
    let channel = stamp.salt.channel();
    assert!(standing.series.salt(channel).channel() == channel, "a salt is of its channel");
    let (next, counter) = (u64::from(standing.next(channel)), u64::from(stamp.counter));
    (stamp.boot, stamp.salt) == (standing.series.boot, standing.series.salt(channel))
        && counter + REPLAY_WINDOW as u64 >= next
}
