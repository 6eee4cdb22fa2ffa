//! The event queue of a world: entries ordered by time, then by the order in which they were made. It knows nothing
//! of their content.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use annulus_core::Instant;

/// 24 bytes: the content of an entry lies elsewhere, so that the heaps move little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Instant,
    seq: u64,
    what: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then(self.seq.cmp(&other.seq))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The kind of entry that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This host's wake-up may have come.
    Wake(u32),
    /// The pending thing in this slot.
    Slot(u32),
}

/// The event queue and the content of its entries.
///
/// Wake-ups, one or two for each host, have a heap of their own: the few packets on the way between hosts then sort
/// in a small heap even when there are 10,000 hosts.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    seq: u64,
    wakes: BinaryHeap<Reverse<Entry>>,
    things: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            seq: 0,
            wakes: BinaryHeap::new(),
            things: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Adds an entry that is due at `at`.
    pub(crate) fn push(&mut self, at: Instant, thing: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 things are pending")
        });
        self.slots[slot as usize] = Some(thing);
        let entry = self.entry(at, slot);
        self.things.push(Reverse(entry));
    }

    /// A wake-up of `host` at `at`.
    pub(crate) fn push_wake(&mut self, at: Instant, host: u32) {
        let entry = self.entry(at, host);
        self.wakes.push(Reverse(entry));
    }

    fn entry(&mut self, at: Instant, what: u32) -> Entry {
        self.seq += 1;
        Entry { at, seq: self.seq, what }
    }

    /// The next thing that is due at `limit` or before.
    pub(crate) fn pop_until(&mut self, limit: Instant) -> Option<(Instant, Due)> {
        let wake_first = match (self.wakes.peek(), self.things.peek()) {
            (Some(Reverse(wake)), Some(Reverse(thing))) => wake < thing,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let heap = if wake_first { &mut self.wakes } else { &mut self.things };
        if heap.peek()?.0.at > limit {
            return None;
        }
        let Reverse(entry) = heap.pop()?;
        Some((entry.at, if wake_first { Due::Wake(entry.what) } else { Due::Slot(entry.what) }))
    }

    /// Takes out the thing that `Due::Slot` named.
    pub(crate) fn take(&mut self, slot: u32) -> T {
        self.free.push(slot);
        self.slots[slot as usize].take().expect("a slot is freed once")
    }

    /// Entries that wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wakes.len() + self.things.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_out_by_time_then_by_order_of_entry(steps in proptest::collection::vec((0_u64..8, any::<bool>()), 0..60)) {
            let mut queue = Queue::new();
            for (i, (at, wake)) in steps.iter().enumerate() {
                let at = Instant::from_nanos(*at);
                if *wake { queue.push_wake(at, i as u32) } else { queue.push(at, i as u32) }
            }
            let mut last = None;
            let mut count = 0;
            while let Some((at, due)) = queue.pop_until(Instant::FAR_FUTURE) {
                let order = match due { Due::Wake(i) => i, Due::Slot(slot) => queue.take(slot) };
                prop_assert!(last < Some((at, order)));
                last = Some((at, order));
                count += 1;
            }
            prop_assert_eq!(count, steps.len());
            prop_assert_eq!(queue.len(), 0);
        }
    }
}
