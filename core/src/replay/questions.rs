//! The senders that were asked who they are, and the messages that wait for their answers. Both have bounds: what finds no
//! room is lost, as the network loses messages, and asked about again when its sender speaks next.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Question;
use crate::model::channel::Channel;
use crate::model::event::StampFault;
use crate::model::limits::{ALL_HELD_BYTES_MAX, HELD_BYTES_MAX, HELD_MAX, QUESTIONS_MAX};
use crate::model::mutant::mutated;
use crate::model::stamp::{Stamp, StampSender};
use crate::model::time::Instant;

/// A question is answered within this time, or another one takes its place.
const ANSWER_MS: u64 = 5_000;
/// A message that waited longer is of no use: its sender has said the same again.
const HOLD_MS: u64 = 1_500;

const _: () = assert!(HOLD_MS < ANSWER_MS);

/// A message that waits for its sender's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) channel: Channel,
    pub(crate) from: SocketAddr,
    pub(crate) stamp: Stamp,
    pub(crate) bytes: Vec<u8>,
}

/// A sender that was asked.
#[derive(Debug)]
struct Asked {
    challenge: u64,
    since: Instant,
    /// The channels whose known numbers are in doubt.
    doubted: [bool; Channel::ALL.len()],
    held: Vec<(Instant, Held)>,
    /// Where the last message in its name came from.
    last_from: Option<SocketAddr>,
}

impl Asked {
    fn held_bytes(&self) -> usize {
        self.held.iter().map(|(_, held)| held.bytes.len()).sum()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: BTreeMap<StampSender, Asked>,
    held_bytes: usize,
    unanswered: Vec<SocketAddr>,
}

impl Questions {
    /// What this sender was asked; none when that is too long ago.
    pub(super) fn of(&self, now: Instant, sender: StampSender) -> Option<u64> {
        let asked = self.asked.get(&sender)?;
        (asked.since + Duration::from_millis(ANSWER_MS) > now).then_some(asked.challenge)
    }

    /// Asks this sender something, unless it has a question to answer already.
    pub(super) fn begin(&mut self, now: Instant, sender: StampSender, bits: u64) {
        if self.of(now, sender).is_some() {
            return;
        }
        self.forget(sender);
        if self.asked.len() >= QUESTIONS_MAX {
            let oldest = self.asked.iter().min_by_key(|(_, asked)| asked.since).map(|(sender, _)| *sender);
            oldest.into_iter().for_each(|oldest| self.forget(oldest));
        }
        let asked =
            Asked { challenge: bits, since: now, doubted: [false; 2], held: Vec::new(), last_from: None };
        self.asked.insert(sender, asked);
        assert!(self.asked.len() <= QUESTIONS_MAX, "questions have a limit");
    }

    fn forget(&mut self, sender: StampSender) {
        if let Some(asked) = self.asked.remove(&sender) {
            self.held_bytes -= asked.held_bytes();
            let has_room = self.unanswered.len() < HELD_MAX;
            self.unanswered.extend(asked.last_from.filter(|_| has_room));
            assert!(self.unanswered.len() <= HELD_MAX, "reports have a limit");
        }
    }

    /// Holds a message of a sender, which is asked this unless it has a question already.
    pub(super) fn hold(&mut self, now: Instant, held: Held, question: Question) {
        let sender = held.stamp.sender;
        self.begin(now, sender, question.bits);
        let before = self.held_bytes;
        let Some(asked) = self.asked.get_mut(&sender) else { return };
        asked.last_from = Some(held.from);
        if matches!(question.fault, StampFault::UsedTwice | StampFault::BelowWindow)
            && let Some(doubted) = asked.doubted.get_mut(usize::from(held.channel == Channel::Stream))
        {
            *doubted = true;
        }
        let others = before - asked.held_bytes();
        let is_too_old = |at: Instant| at + Duration::from_millis(HOLD_MS) <= now;
        asked.held.retain(|(at, old)| !is_too_old(*at) && old.stamp != held.stamp);
        let len = held.bytes.len();
        // What has a higher number was sent later: a recorder's messages make room for the member's.
        while !asked.held.is_empty()
            && (asked.held.len() >= HELD_MAX || asked.held_bytes() + len > HELD_BYTES_MAX)
        {
            let rank = |held: &Held| (held.stamp.boot, held.stamp.counter);
            let lowest = asked.held.iter().enumerate().min_by_key(|(_, (_, old))| rank(old));
            match lowest.map(|(at, (_, old))| (at, rank(old))) {
                Some((at, old)) if old < rank(&held) => drop(asked.held.swap_remove(at)),
                _ => break,
            }
        }
        let own = asked.held_bytes();
        let fits = asked.held.len() < HELD_MAX && own + len <= HELD_BYTES_MAX;
        if mutated!(HeldUnbounded, fits && others + own + len <= ALL_HELD_BYTES_MAX, true) {
            asked.held.push((now, held));
        }
        self.held_bytes = others + asked.held_bytes();
        assert!(mutated!(HeldUnbounded, asked.held.len() <= HELD_MAX, true), "so many messages wait");
        assert!(
            mutated!(HeldUnbounded, self.held_bytes <= ALL_HELD_BYTES_MAX, true),
            "what is held has a limit"
        );
    }

    /// A sender has answered: what was held for it, and the channels that were in doubt.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        sender: StampSender,
    ) -> (Vec<Held>, [bool; Channel::ALL.len()]) {
        let Some(asked) = self.asked.remove(&sender) else { return (Vec::new(), [false; 2]) };
        self.held_bytes -= asked.held_bytes();
        assert!(!self.asked.contains_key(&sender), "a question is answered once");
        let in_time = |at: Instant| at + Duration::from_millis(HOLD_MS) > now;
        let held = asked.held.into_iter().filter(|(at, _)| in_time(*at)).map(|(_, held)| held);
        (held.collect(), asked.doubted)
    }

    pub(super) fn take_unanswered(&mut self) -> Vec<SocketAddr> {
        core::mem::take(&mut self.unanswered)
    }
}
