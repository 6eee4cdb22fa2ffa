//! The members whose series are known. A member comes in by its signed answer alone, and only by that its window moves
//! otherwise than message by message.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

use super::Verdict;
use super::window::{Found, Tag, Window};
use crate::model::channel::Channel;
use crate::model::event::StampFault;
use crate::model::limits::REPLAY_SENDERS_MAX;
use crate::model::mutant::mutated;
use crate::model::stamp::{Series, Stamp, StampSender, Standing};
use crate::model::time::Instant;

/// A series that was heard within this time is live: another one of the same member that was left for it runs beside it.
const LIVE_MS: u64 = 30_000;

const _: () = assert!(LIVE_MS > 10_000, "a member is heard more often than that");

/// What an answer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proved {
    /// The member was not known, or is in another series now.
    Begun,
    /// It is in the series that was known.
    Known,
    /// It is in a series that it had left for another one, which is live, at a lower address: two run with its identity, and
    /// this one is not heard. All members decide that alike.
    Twice,
}

/// A member.
#[derive(Clone, Debug)]
struct Known {
    series: Series,
    datagrams: Window,
    streams: Window,
    /// When it was last heard, by a message that was new.
    heard: Instant,
    /// The series before.
    former: Option<Series>,
    /// Where its datagrams come from.
    at: Option<SocketAddr>,
}

impl Known {
    fn from(now: Instant, standing: Standing, former: Option<Series>) -> Self {
        let Standing { series, datagrams, streams } = standing;
        assert!(former != Some(series), "a series follows another one");
        let (datagrams, streams) = (Window::from(now, datagrams), Window::from(now, streams));
        Self { series, datagrams, streams, heard: now, former, at: None }
    }

    fn window(&self, channel: Channel) -> &Window {
        match channel {
            Channel::Datagram => &self.datagrams,
            Channel::Stream => &self.streams,
        }
    }

    fn window_mut(&mut self, channel: Channel) -> &mut Window {
        match channel {
            Channel::Datagram => &mut self.datagrams,
            Channel::Stream => &mut self.streams,
        }
    }

    fn is_in(&self, stamp: &Stamp) -> bool {
        (stamp.boot, stamp.salt) == (self.series.boot, self.series.salt(stamp.salt.channel()))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Senders {
    known: BTreeMap<StampSender, Known>,
    /// The sender that was last heard from an address.
    by_address: BTreeMap<SocketAddr, StampSender>,
}

impl Senders {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn judge(&self, now: Instant, stamp: Stamp, tag: Tag) -> Verdict {
        let Some(known) = self.known.get(&stamp.sender) else {
            return Verdict::Ask(StampFault::UnknownSender);
        };
        if !known.is_in(&stamp) {
            return Verdict::Ask(StampFault::OtherSeries);
        }
        match known.window(stamp.salt.channel()).find(now, stamp.counter, tag) {
            Found::Free => Verdict::New,
            Found::Had => Verdict::Drop(StampFault::Had),
            Found::Other => {
                mutated!(UsedUpIgnored, Verdict::Ask(StampFault::UsedTwice), Verdict::Drop(StampFault::Had))
            }
            Found::Below => Verdict::Ask(StampFault::BelowWindow),
        }
    }

    /// Whether a number counts as had, and no message is known to have had it.
    pub(super) fn may_be_late(&self, stamp: &Stamp) -> bool {
        let known = self.known.get(&stamp.sender).filter(|known| known.is_in(stamp));
        known.is_some_and(|known| known.window(stamp.salt.channel()).is_unseen(stamp.counter))
    }

    #[cfg(test)]
    pub(super) fn knows(&self, sender: StampSender) -> bool {
        self.known.contains_key(&sender)
    }

    /// The sender that was last heard from there.
    pub(super) fn at(&self, address: &SocketAddr) -> Option<StampSender> {
        self.by_address.get(address).copied()
    }

    /// Where this sender's datagrams come from.
    pub(super) fn place_of(&self, sender: StampSender) -> Option<SocketAddr> {
        self.known.get(&sender)?.at
    }

    /// Notes that this message, from there, had its number. One whose number is not free (a planted defect let it in) leaves
    /// no trace.
    pub(super) fn take(&mut self, now: Instant, from: SocketAddr, stamp: Stamp, tag: Tag) {
        let Some(known) = self.known.get_mut(&stamp.sender).filter(|known| known.is_in(&stamp)) else {
            return;
        };
        let window = known.window_mut(stamp.salt.channel());
        if window.find(now, stamp.counter, tag) == Found::Free {
            window.take(now, stamp.counter, tag);
            known.heard = now;
            if stamp.salt.channel() == Channel::Datagram && known.at != Some(from) {
                let before = known.at.replace(from);
                self.leave(before, stamp.sender);
                self.by_address.insert(from, stamp.sender);
            }
            assert!(self.by_address.len() <= self.known.len(), "a known sender has one address");
        }
    }

    /// A member says, signed, in which series it is, and speaks from there. `doubted` are the channels whose messages led to the question.
    pub(super) fn prove(
        &mut self,
        now: Instant,
        (sender, speaker): (StampSender, SocketAddr),
        standing: Standing,
        doubted: [bool; Channel::ALL.len()],
    ) -> Proved {
        let Some(known) = self.known.get_mut(&sender) else {
            self.make_room();
            self.known.insert(sender, Known::from(now, standing, None));
            assert!(self.known.len() <= REPLAY_SENDERS_MAX, "known senders have a limit");
            return Proved::Begun;
        };
        if known.series != standing.series {
            let is_live = known.heard + Duration::from_millis(LIVE_MS) > now;
            let goes_before = known.at.is_some_and(|at| speaker < at);
            if is_live && known.former == Some(standing.series) && !goes_before {
                return Proved::Twice;
            }
            let (former, at) = (Some(known.series), known.at);
            *known = Known { at, ..Known::from(now, standing, former) };
            return Proved::Begun;
        }
        for (channel, is_doubted) in Channel::ALL.into_iter().zip(doubted) {
            // Where its numbers were used by another, the window is ahead of it.
            let next = standing.next(channel);
            if is_doubted && known.window(channel).next() > u64::from(next) {
                *known.window_mut(channel) = Window::from(now, next);
            }
        }
        known.heard = now;
        assert!(known.former != Some(known.series), "a series follows another one");
        Proved::Known
    }

    /// A sender is at this address no more, unless another one is there already.
    fn leave(&mut self, address: Option<SocketAddr>, sender: StampSender) {
        if let Some(address) = address.filter(|address| self.at(address) == Some(sender)) {
            self.by_address.remove(&address);
            assert!(self.at(&address).is_none(), "the place that was left is free");
        }
    }

    /// The one that was silent the longest makes room. It loses its window and nothing else.
    fn make_room(&mut self) {
        if self.known.len() >= REPLAY_SENDERS_MAX {
            let silent = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(sender, _)| *sender);
            if let Some(silent) = silent {
                let at = self.known.remove(&silent).and_then(|known| known.at);
                self.leave(at, silent);
            }
        }
        assert!(self.known.len() < REPLAY_SENDERS_MAX, "known senders have a limit");
    }
}
