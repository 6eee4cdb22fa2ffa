//! The numbers of one series that were had: a window below the highest. Beyond it nothing is remembered.
//!
//! Beside each number stands a tag of the message that had it. A message that was recorded has the tag of the first one; a
//! number that was used for something else has another, so that one who seals in a member's name cannot use its numbers up
//! unnoticed.
//!
//! A number is also too low when numbers above it came a while ago: nothing is on its way for so long, so that of what a
//! member sent to others before it died little is new to a receiver.

use alloc::boxed::Box;
use core::time::Duration;

use crate::model::digest::hash_bytes;
use crate::model::limits::REPLAY_WINDOW;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// A message is on its way for less than this, or it is late.
const LATE_MS: u64 = 4_000;

const _: () = assert!(REPLAY_WINDOW.is_power_of_two(), "a place follows from a number");

/// No message had the number.
const FREE: u8 = 0;
/// The number counts as had, by whichever message.
const ANY: u8 = u8::MAX;

/// What tells the messages of one number apart, as far as a byte can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    pub(super) fn of(message: &[u8]) -> Self {
        let tag = (hash_bytes(message) % u64::from(ANY - 1)) as u8 + 1;
        assert!(tag != FREE && tag != ANY, "a message has a tag of its own");
        Self(tag)
    }
}

/// What a window says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No message had it.
    Free,
    /// This message had it.
    Had,
    /// Another message had it.
    Other,
    /// It is too low to be remembered.
    Below,
}

/// One series of one sender and channel.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// One above the highest number that was had.
    next: u64,
    /// By the number's remainder; none while all below `next` count as had.
    tags: Option<Box<[u8; REPLAY_WINDOW]>>,
    /// When a number was last had.
    last: Instant,
    /// `next` as it was at two earlier times, the older one first.
    marks: [(Instant, u64); 2],
}

impl Window {
    /// Every number below `next` counts as had.
    pub(super) fn from(now: Instant, next: u32) -> Self {
        let next = u64::from(next);
        Self { next, tags: None, last: now, marks: [(now, next); 2] }
    }

    /// One above the highest number that was had.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    fn place(counter: u64) -> usize {
        (counter % REPLAY_WINDOW as u64) as usize
    }

    fn lowest(&self) -> u64 {
        self.next.saturating_sub(REPLAY_WINDOW as u64)
    }

    /// The lowest number that a message can have that is not late.
    fn in_time(&self, now: Instant) -> u64 {
        let is_past = |at: Instant| at + Duration::from_millis(LATE_MS) <= now;
        let [(_, older), (newer_at, newer)] = self.marks;
        let in_time = match () {
            () if is_past(self.last) => self.next,
            () if is_past(newer_at) => newer,
            () => older,
        };
        assert!(in_time <= self.next, "what has a higher number than any is not late");
        in_time
    }

    pub(super) fn find(&self, now: Instant, counter: u32, tag: Tag) -> Found {
        let counter = u64::from(counter);
        if counter >= self.next {
            return Found::Free;
        }
        if mutated!(BelowTheWindow, counter < self.lowest(), false) {
            return Found::Below;
        }
        match self.tags.as_ref().map_or(ANY, |tags| tags[Self::place(counter)]) {
            FREE if mutated!(LateIsNew, counter < self.in_time(now), false) => Found::Below,
            FREE => Found::Free,
            ANY => Found::Had,
            had if had == tag.0 => Found::Had,
            _ => Found::Other,
        }
    }

    /// Whether the number counts as had, and no message is known to have had it.
    pub(super) fn is_unseen(&self, counter: u32) -> bool {
        let counter = u64::from(counter);
        let is_in = self.lowest() <= counter && counter < self.next;
        is_in && self.tags.as_ref().is_none_or(|tags| tags[Self::place(counter)] == ANY)
    }

    /// Notes that this message had the number, which was free.
    pub(super) fn take(&mut self, now: Instant, counter: u32, tag: Tag) {
        assert!(self.find(now, counter, tag) == Found::Free, "a number is had once");
        let counter = u64::from(counter);
        let [_, newer] = self.marks;
        if newer.0 + Duration::from_millis(LATE_MS) <= now {
            self.marks = [newer, (now, self.next)];
            assert!(newer.1 <= self.next, "the highest number never falls");
        }
        self.last = now;
        // What lies between the highest so far and this one is free.
        let skipped = counter.saturating_sub(self.next).min(REPLAY_WINDOW as u64);
        assert!(skipped <= counter, "numbers are skipped from the first on");
        let tags = self.tags.get_or_insert_with(|| Box::new([ANY; REPLAY_WINDOW]));
        for free in (counter - skipped)..counter {
            tags[Self::place(free)] = mutated!(SkippedIsHad, FREE, ANY);
        }
        tags[Self::place(counter)] = tag.0;
        self.next = self.next.max(counter + 1);
        assert!(self.lowest() <= counter && counter < self.next, "what was just had is in the window");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    /// The same without a bound: each number that was had, with its message.
    #[derive(Default)]
    struct Model {
        from: u64,
        had: BTreeMap<u64, u8>,
    }

    impl Model {
        fn find(&self, counter: u32, tag: Tag) -> Found {
            let counter = u64::from(counter);
            let next = self.had.last_key_value().map_or(0, |(highest, _)| highest + 1).max(self.from);
            match self.had.get(&counter) {
                _ if counter + (REPLAY_WINDOW as u64) < next => Found::Below,
                Some(had) if *had == tag.0 => Found::Had,
                Some(_) => Found::Other,
                None if counter < self.from => Found::Had,
                None => Found::Free,
            }
        }
    }

    /// Numbers close to each other, far from each other, and at both ends.
    fn counters() -> impl Strategy<Value = u32> {
        prop_oneof![
            6 => 0..40_u32,
            6 => 1_000..1_100_u32,
            3 => 2_000..2_100_u32,
            2 => any::<u32>(),
            2 => u32::MAX - 40..=u32::MAX,
        ]
    }

    proptest! {
        #[test]
        fn a_window_is_a_set_as_far_as_it_reaches(
            from in prop_oneof![Just(0_u32), counters()],
            messages in prop::collection::vec((counters(), 0..3_u8), 0..120),
        ) {
            let mut window = Window::from(Instant::ZERO, from);
            let mut model = Model { from: u64::from(from), ..Model::default() };
            for (counter, message) in messages {
                let tag = Tag::of(&[message]);
                let found = window.find(Instant::ZERO, counter, tag);
                prop_assert_eq!(found, model.find(counter, tag), "number {}", counter);
                if found == Found::Free {
                    window.take(Instant::ZERO, counter, tag);
                    model.had.insert(u64::from(counter), tag.0);
                    prop_assert_eq!(window.find(Instant::ZERO, counter, tag), Found::Had);
                }
            }
        }

        #[test]
        fn in_whatever_order_messages_of_one_window_come_each_is_had_once(
            mut order in Just((0..200_u32).collect::<alloc::vec::Vec<_>>()).prop_shuffle(),
        ) {
            let mut window = Window::from(Instant::ZERO, 0);
            let tag = |n: u32| Tag::of(&n.to_le_bytes());
            for n in &order {
                prop_assert_eq!(window.find(Instant::ZERO, *n, tag(*n)), Found::Free);
                window.take(Instant::ZERO, *n, tag(*n));
            }
            order.reverse();
            for n in order {
                prop_assert_eq!(window.find(Instant::ZERO, n, tag(n)), Found::Had);
            }
        }
    }

    #[test]
    fn a_number_that_was_used_for_something_else_shows() {
        let mut window = Window::from(Instant::ZERO, 5);
        let tags = [Tag(1), Tag(2)];
        window.take(Instant::ZERO, 9, tags[0]);
        assert_eq!(
            [window.find(Instant::ZERO, 9, tags[0]), window.find(Instant::ZERO, 9, tags[1])],
            [Found::Had, Found::Other]
        );
        assert_eq!(
            [window.find(Instant::ZERO, 4, tags[0]), window.find(Instant::ZERO, 5, tags[0])],
            [Found::Had, Found::Free]
        );
        assert_eq!(window.next(), 10);
    }

    #[test]
    fn what_comes_long_after_higher_numbers_is_too_late() {
        let at = Instant::from_millis;
        let (mut window, tag) = (Window::from(at(0), 0), Tag(1));
        // Each second ten numbers, of which this receiver gets the last.
        for second in 1..=20_u32 {
            window.take(at(u64::from(second) * 1_000), second * 10, tag);
        }
        let find = |ms, counter| window.find(at(ms), counter, tag);
        assert_eq!([find(20_000, 199), find(20_000, 165)], [Found::Free; 2], "it may have been on its way");
        assert_eq!(find(20_000, 115), Found::Below, "nothing is for eight seconds");
        assert_eq!(find(20_000 + LATE_MS, 199), Found::Below, "its sender has been silent for too long");
        assert_eq!(find(20_000 + LATE_MS, 201), Found::Free, "what follows is new");
    }
}
