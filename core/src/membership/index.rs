//! The index of the member table: it finds a member's place by hash, with open addressing in 4 bytes a place. It may
//! only be asked for a member, never walked, so its order cannot reach a decision.
//!
//! A simulator holds one of these for each member of each member, so its size counts: it grows by an eighth at a
//! time where a table of powers of two would stand half empty. Each entry
//! carries a tag of its member's hash, so that a search looks at hardly any record but the right one.

use alloc::vec;
use alloc::vec::Vec;

use crate::model::limits::MEMBERS_MAX;

/// Bits of an entry that say which place of the table it means; the others are the tag.
const SLOT_BITS: u32 = 17;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// An empty entry: the table never has this slot.
const EMPTY: u32 = u32::MAX;

const _: () =
    assert!(MEMBERS_MAX < SLOT_MASK as usize, "every place fits, and one is left to mean no member");

/// Maps hashes to places of a table that the caller holds.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<u32>,
    len: usize,
}

impl Index {
    pub(super) fn with_capacity(members: usize) -> Self {
        Self { entries: vec![EMPTY; entries_for(members)], len: 0 }
    }

    /// The place with this hash that `is` accepts.
    pub(super) fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        let entry = self.position(hash, is)?;
        self.entries.get(entry).map(|entry| slot_of(*entry))
    }

    /// Adds a place that is not in it. `hash_of` knows the hashes of those that are.
    pub(super) fn insert(&mut self, hash: u64, slot: usize, hash_of: impl Fn(usize) -> u64) {
        assert!(slot < SLOT_MASK as usize, "a table within its limit has no such place");
        if self.entries.len() < entries_for(self.len + 1) {
            // An eighth more than needed, or each new member would move all the others.
            let entries = entries_for(self.len + 1 + self.len / 8 + 8);
            let before = core::mem::replace(&mut self.entries, vec![EMPTY; entries]);
            for entry in before.into_iter().filter(|entry| *entry != EMPTY) {
                self.place(hash_of(slot_of(entry)), entry);
            }
        }
        self.place(hash, entry_for(hash, slot));
        self.len += 1;
        assert!(self.len < self.entries.len(), "an entry stays empty: a search ends there");
    }

    /// Takes out the place with this hash; true when it was there.
    pub(super) fn remove(&mut self, hash: u64, slot: usize, hash_of: impl Fn(usize) -> u64) -> bool {
        let Some(mut gap) = self.position(hash, |other| other == slot) else { return false };
        // Entries behind it move up, unless that would put them before the point at which their search begins.
        let mut at = gap;
        loop {
            at = self.after(at);
            let entry = self.entries[at];
            if entry == EMPTY {
                break;
            }
            let home = self.home(hash_of(slot_of(entry)));
            if self.distance(home, at) >= self.distance(gap, at) {
                self.entries[gap] = entry;
                gap = at;
            }
        }
        self.entries[gap] = EMPTY;
        assert!(self.len > 0, "a member that is taken out was put in");
        self.len -= 1;
        true
    }

    fn position(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let entry = self.entries[at];
            if entry == EMPTY {
                return None;
            }
            if entry & !SLOT_MASK == tag_of(hash) && is(slot_of(entry)) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// There is always an empty entry: a search and a placing end there.
    fn place(&mut self, hash: u64, entry: u32) {
        let mut at = self.home(hash);
        while self.entries[at] != EMPTY {
            at = self.after(at);
        }
        self.entries[at] = entry;
    }

    /// Where the search for a hash begins: the hash as a fraction of the whole.
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.entries.len() as u128) >> 64) as usize
    }

    const fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    /// Steps from one entry on to another.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if from <= to { to - from } else { to + self.entries.len() - from }
    }
}

/// Entries for so many members: one in seven stays empty, so that searches stay short.
const fn entries_for(members: usize) -> usize {
    members + members / 6 + 1
}

const fn slot_of(entry: u32) -> usize {
    (entry & SLOT_MASK) as usize
}

/// The low bits of the hash, because the high ones say where the search begins.
const fn tag_of(hash: u64) -> u32 {
    (hash as u32) << SLOT_BITS
}

const fn entry_for(hash: u64, slot: usize) -> u32 {
    tag_of(hash) | slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    /// Hashes that collide: many members want few places.
    fn hash(slot: usize) -> u64 {
        (slot as u64 % 5) << 61 | (slot as u64 % 3)
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in_and_not_taken_out(
            ops in proptest::collection::vec((0_usize..60, any::<bool>()), 0..300),
            capacity in 0_usize..40,
        ) {
            let mut index = Index::with_capacity(capacity);
            let mut model = BTreeMap::new();
            for (slot, put) in ops {
                if !put {
                    prop_assert_eq!(index.remove(hash(slot), slot, hash), model.remove(&slot).is_some());
                } else if model.insert(slot, ()).is_none() {
                    index.insert(hash(slot), slot, hash);
                }
                for slot in 0..60 {
                    let found = index.find(hash(slot), |other| other == slot);
                    prop_assert_eq!(found, model.contains_key(&slot).then_some(slot));
                }
            }
        }
    }
}
