//! The rumors that this node still has to tell, in order of urgency. A rumor is hot until this node has told it often
//! enough; this module counts that and may not look into a rumor.
//!
//! This is SWIM's dissemination: each member tells each rumor `lambda * log N` times, to random members, most urgent
//! and least told first. The count is per rumor, not per listener as in Habitat, so it costs the same at any ring size.
//! A few contacts are owed every rumor besides: it stays hot until each of them was told, however often others were.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::model::limits::{DATAGRAM_BYTES_MIN, HOT_RUMORS_MAX};
use crate::model::mutant::mutated;
use crate::model::rumor::RumorKey;

/// The order in which rumors go out when not all fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// A refutation or a ban: lateness kills a healthy member or lets a banned one act.
    Urgent,
    /// A suspicion or a death.
    Death,
    /// What an operator gave and waits for.
    Operator,
    /// A member that joined or left.
    Life,
    /// All other rumors of known kinds.
    Normal,
    /// What only a later version understands: it takes the room that is left.
    Opaque,
}

/// The order in which rumors are told: urgency, then how often told, then age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Priority,
    told: u32,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: Rank,
    large: bool,
    /// Whether it has yet to be told to random members.
    waits: bool,
    /// The contacts that have yet to be told it, one bit for each.
    owed: u8,
}

impl Entry {
    /// Its place among those that a contact is owed.
    const fn place(&self) -> (bool, Priority, u64) {
        (self.large, self.rank.priority, self.rank.sequence)
    }
}

/// Rumors that a contact has yet to be told: small ones and large ones, each in order of urgency and age.
type Owed = BTreeMap<(bool, Priority, u64), RumorKey>;

/// A rumor that waits in line.
#[derive(Clone, Debug)]
struct Waiting {
    key: RumorKey,
    /// Its encoded size, once a message asked for it. A rumor that changes begins anew, so this stays true but for
    /// changes that are not worth telling.
    size_bytes: Option<usize>,
}

type Line = BTreeMap<Rank, Waiting>;

/// Hot rumors. Those too large for a datagram wait in a line of their own, for streams.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    entries: BTreeMap<RumorKey, Entry>,
    small: Line,
    large: Line,
    /// For each contact.
    owed: [Owed; HEAT_CONTACTS_MAX],
    sequence: u64,
}

/// Contacts that can be owed a rumor.
pub(crate) const HEAT_CONTACTS_MAX: usize = 4;

const _: () = assert!(HEAT_CONTACTS_MAX <= u8::BITS as usize, "each contact has a bit");

/// No rumor is smaller, so there is no use in looking on.
const RUMOR_BYTES_MIN: usize = 40;

/// Hot rumors that are looked at for one message, or as many of the smallest as fill a datagram where those are more.
const CANDIDATES_MAX: usize = 40;

const _: () =
    assert!(CANDIDATES_MAX * RUMOR_BYTES_MIN >= DATAGRAM_BYTES_MIN, "enough to fill the smallest datagram");

impl Heat {
    /// Makes a rumor hot, as if never told; `contacts` are the places of those that are owed it. True when another had to
    /// be dropped for it.
    pub(crate) fn start(
        &mut self,
        key: RumorKey,
        priority: Priority,
        large: bool,
        contacts: impl Iterator<Item = usize>,
    ) -> bool {
        self.stop(&key);
        let dropped = self.entries.len() >= HOT_RUMORS_MAX && self.drop_coolest();
        self.sequence += 1;
        let rank = Rank { priority, told: 0, sequence: self.sequence };
        self.line(large).insert(rank, Waiting { key: key.clone(), size_bytes: None });
        let mut owed = 0;
        for place in contacts {
            assert!(place < HEAT_CONTACTS_MAX, "a contact has a place");
            owed |= 1 << place;
            self.owed[place].insert((large, priority, self.sequence), key.clone());
        }
        self.entries.insert(key, Entry { rank, large, waits: true, owed });
        assert!(self.entries.len() <= HOT_RUMORS_MAX, "more rumors are hot than the limit");
        self.check();
        dropped
    }

    /// A hot rumor waits in one line at most.
    fn check(&self) {
        assert!(self.entries.len() >= self.small.len() + self.large.len(), "a hot rumor waits in one line");
    }

    /// Takes a rumor out of the line.
    pub(crate) fn stop(&mut self, key: &RumorKey) {
        let Some(entry) = self.entries.remove(key) else { return };
        if entry.waits {
            let waiting = self.line(entry.large).remove(&entry.rank);
            assert!(
                waiting.is_some_and(|waiting| waiting.key == *key),
                "a hot rumor waits where it is said to"
            );
        }
        for owed in
            self.owed.iter_mut().enumerate().filter_map(|(n, o)| (entry.owed & 1 << n != 0).then_some(o))
        {
            let removed = owed.remove(&entry.place());
            assert!(removed.is_some(), "what is owed is on the contact's list");
        }
    }

    /// Whether a contact is owed a rumor.
    pub(crate) fn owes(&self, contact: usize) -> bool {
        self.owed.get(contact).is_some_and(|owed| !owed.is_empty())
    }

    /// There is no such contact: nothing is owed to it.
    pub(crate) fn release(&mut self, contact: usize) {
        let Some(owed) = self.owed.get_mut(contact) else { return };
        for key in core::mem::take(owed).into_values() {
            self.settle(&key, contact);
        }
        assert!(!self.owes(contact), "nothing is owed to a contact that is not there");
    }

    /// Chooses rumors that a contact is owed, small or large ones, and counts them as told.
    pub(crate) fn select_owed(
        &mut self,
        contact: usize,
        large: bool,
        mut budget_bytes: usize,
        told_max: u32,
        mut size_of: impl FnMut(&RumorKey) -> Option<usize>,
    ) -> Vec<RumorKey> {
        let Some(owed) = self.owed.get(contact) else { return Vec::new() };
        assert!(told_max > 0, "every rumor is told");
        let candidates_max = CANDIDATES_MAX.max(if large { 0 } else { budget_bytes / RUMOR_BYTES_MIN });
        let so_large = (large, Priority::Urgent, 0)..=(large, Priority::Opaque, u64::MAX);
        let (mut chosen, mut gone) = (Vec::new(), Vec::new());
        for (_, key) in owed.range(so_large).take(candidates_max) {
            if budget_bytes < RUMOR_BYTES_MIN {
                break;
            }
            match size_of(key) {
                None => gone.push(key.clone()),
                Some(size) if size <= budget_bytes => {
                    budget_bytes -= size;
                    chosen.push(key.clone());
                }
                Some(_) => {}
            }
        }
        for key in &gone {
            self.stop(key);
        }
        assert!(chosen.len() + gone.len() <= candidates_max, "so many rumors are looked at");
        for key in &chosen {
            let Some(entry) = self.entries.get(key).copied() else { continue };
            self.owed[contact].remove(&entry.place());
            if entry.waits {
                self.count_told(entry.rank, large, told_max);
            }
            self.settle(key, contact);
        }
        assert!(self.owed[contact].len() <= self.entries.len(), "only hot rumors are owed");
        chosen
    }

    /// A contact is owed a rumor no longer.
    fn settle(&mut self, key: &RumorKey, contact: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.owed &= mutated!(SettledForAll, !(1 << contact), 0);
        if !entry.waits && entry.owed == 0 {
            self.entries.remove(key);
        }
        self.check();
    }

    /// Whether the rumor is still hot.
    pub(crate) fn is_hot(&self, key: &RumorKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Chooses small rumors for one datagram, in order of rank, skipping those that no longer fit, and
    /// counts them as told. `size_of` gives a rumor's encoded size, or none when it is gone; it is asked once for
    /// each rumor, so the caller still checks the rumors that it takes.
    pub(crate) fn select(
        &mut self,
        budget_bytes: usize,
        told_max: u32,
        size_of: impl FnMut(&RumorKey) -> Option<usize>,
    ) -> Vec<RumorKey> {
        self.select_from(false, budget_bytes, told_max, size_of)
    }

    /// The same for one stream message, from the line of large rumors.
    pub(crate) fn select_large(
        &mut self,
        budget_bytes: usize,
        told_max: u32,
        size_of: impl FnMut(&RumorKey) -> Option<usize>,
    ) -> Vec<RumorKey> {
        self.select_from(mutated!(LargeNeverTold, true, false), budget_bytes, told_max, size_of)
    }

    fn select_from(
        &mut self,
        large: bool,
        mut budget_bytes: usize,
        told_max: u32,
        mut size_of: impl FnMut(&RumorKey) -> Option<usize>,
    ) -> Vec<RumorKey> {
        if self.line(large).is_empty() {
            return Vec::new();
        }
        assert!(told_max > 0, "every rumor is told");
        let mut chosen = Vec::new();
        let mut gone = Vec::new();
        let candidates_max = CANDIDATES_MAX.max(if large { 0 } else { budget_bytes / RUMOR_BYTES_MIN });
        for (rank, waiting) in self.line(large).iter_mut().take(candidates_max) {
            if budget_bytes < RUMOR_BYTES_MIN {
                break;
            }
            if waiting.size_bytes.is_none() {
                waiting.size_bytes = size_of(&waiting.key);
            }
            match waiting.size_bytes {
                None => gone.push(waiting.key.clone()),
                Some(size) if size <= budget_bytes => {
                    budget_bytes -= mutated!(RoomNotCounted, size, 0);
                    chosen.push(*rank);
                }
                Some(_) => {}
            }
        }
        for key in &gone {
            self.stop(key);
        }
        assert!(chosen.len() + gone.len() <= CANDIDATES_MAX, "so many rumors are looked at");
        chosen.into_iter().filter_map(|rank| self.count_told(rank, large, told_max)).collect()
    }

    fn count_told(&mut self, mut rank: Rank, large: bool, told_max: u32) -> Option<RumorKey> {
        let waiting = self.line(large).remove(&rank)?;
        let key = waiting.key.clone();
        rank.told = mutated!(LatestFirst, rank.told + 1, 0);
        assert!(
            rank.told > 0 && rank.sequence <= self.sequence,
            "a rumor is told in the order in which it became hot"
        );
        if mutated!(ToldOnceMore, rank.told >= told_max, rank.told > told_max) {
            let is_owed = self.entries.get_mut(&key).is_some_and(|entry| {
                entry.waits = false;
                entry.owed != 0
            });
            if !is_owed {
                self.entries.remove(&key);
            }
        } else {
            self.line(large).insert(rank, waiting);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.rank = rank;
            }
        }
        self.check();
        Some(key)
    }

    fn line(&mut self, large: bool) -> &mut Line {
        if large { &mut self.large } else { &mut self.small }
    }

    fn drop_coolest(&mut self) -> bool {
        let large = self.small.is_empty();
        let line = self.line(large);
        let coolest = mutated!(HottestDropped, line.last_key_value(), line.first_key_value());
        let coolest = coolest.map(|(_, waiting)| waiting.key.clone());
        let last = |owed: &Owed| {
            let last = owed.iter().max_by_key(|((_, priority, sequence), _)| (*priority, *sequence));
            last.map(|(_, key)| key.clone())
        };
        let owed = || self.owed.iter().find_map(last);
        let coolest = coolest.or_else(owed);
        if let Some(key) = &coolest {
            self.stop(key);
        }
        assert!(coolest.is_some() || self.entries.is_empty(), "while rumors are hot, one can be dropped");
        coolest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::MemberId;
    use core::iter;

    fn key(n: u8) -> RumorKey {
        RumorKey::Member(MemberId::from_bytes([n; 16]))
    }

    #[test]
    fn urgent_first_then_least_told() {
        let mut heat = Heat::default();
        heat.start(key(1), Priority::Normal, false, iter::empty());
        heat.start(key(2), Priority::Urgent, false, iter::empty());
        heat.start(key(3), Priority::Normal, false, iter::empty());
        assert_eq!(heat.select(100, 9, |_| Some(70)), [key(2)]);
        heat.stop(&key(2));
        assert_eq!(heat.select(100, 9, |_| Some(70)), [key(1)]);
        assert_eq!(heat.select(100, 9, |_| Some(70)), [key(3)], "1 was told once, 3 never");
    }

    #[test]
    fn a_smaller_one_takes_the_room_that_is_left() {
        let mut heat = Heat::default();
        for n in 1..=3 {
            heat.start(key(n), Priority::Normal, false, iter::empty());
        }
        let sizes = |k: &RumorKey| Some(if *k == key(2) { 90 } else { 50 });
        assert_eq!(heat.select(100, 9, sizes), [key(1), key(3)]);
    }

    #[test]
    fn cold_after_enough_tellings_and_hot_again_after_a_change() {
        let mut heat = Heat::default();
        heat.start(key(1), Priority::Normal, false, iter::empty());
        for _ in 0..3 {
            assert_eq!(heat.select(100, 3, |_| Some(50)).len(), 1);
        }
        assert!(heat.is_empty());
        heat.start(key(1), Priority::Normal, false, iter::empty());
        assert!(heat.is_hot(&key(1)));
    }

    #[test]
    fn what_is_gone_is_dropped() {
        let mut heat = Heat::default();
        heat.start(key(1), Priority::Normal, false, iter::empty());
        assert!(heat.select(100, 3, |_| None).is_empty());
        assert!(heat.is_empty());
    }

    #[test]
    fn a_rumor_is_hot_until_each_contact_was_told_however_often_others_were() {
        let mut heat = Heat::default();
        heat.start(key(1), Priority::Normal, false, [0, 2].into_iter());
        for _ in 0..3 {
            assert_eq!(heat.select(100, 3, |_| Some(50)), [key(1)]);
        }
        assert!(heat.select(100, 3, |_| Some(50)).is_empty(), "others heard it often enough");
        assert!(heat.is_hot(&key(1)) && heat.owes(0) && !heat.owes(1) && heat.owes(2));
        assert!(heat.select_owed(0, true, 100, 3, |_| Some(50)).is_empty(), "it is none of the large ones");
        assert_eq!(heat.select_owed(0, false, 100, 3, |_| Some(50)), [key(1)]);
        assert!(heat.select_owed(0, false, 100, 3, |_| Some(50)).is_empty(), "it was told");
        assert!(heat.is_hot(&key(1)));
        heat.release(2);
        assert!(heat.is_empty());
    }

    #[test]
    fn what_does_not_fit_stays_owed_and_urgent_rumors_come_first() {
        let mut heat = Heat::default();
        heat.start(key(1), Priority::Normal, false, [0].into_iter());
        heat.start(key(2), Priority::Urgent, false, [0].into_iter());
        assert_eq!(heat.select_owed(0, false, 100, 1, |_| Some(70)), [key(2)]);
        assert!(!heat.is_hot(&key(2)), "it was told as often as a rumor is");
        heat.start(key(1), Priority::Normal, false, [0, 1].into_iter());
        assert_eq!(heat.select_owed(0, false, 100, 9, |_| Some(70)), [key(1)]);
        assert_eq!(heat.select_owed(1, false, 100, 9, |_| None), [], "it is gone");
        assert!(heat.is_empty() && !heat.owes(1));
    }

    #[test]
    fn at_the_limit_the_least_urgent_rumor_is_dropped() {
        let mut heat = Heat::default();
        let rumor = |n: usize| RumorKey::Opaque { subject: n as u64, number: 77 };
        heat.start(key(1), Priority::Urgent, false, iter::empty());
        for n in 0..HOT_RUMORS_MAX - 1 {
            assert!(!heat.start(rumor(n), Priority::Normal, false, [0].into_iter()), "{n} has room");
        }
        assert!(heat.start(key(2), Priority::Death, false, [0].into_iter()));
        assert!(heat.is_hot(&key(1)) && heat.is_hot(&key(2)) && heat.is_hot(&rumor(0)));
        assert!(!heat.is_hot(&rumor(HOT_RUMORS_MAX - 2)), "the last of the least urgent ones");
        assert_eq!(heat.len(), HOT_RUMORS_MAX);
    }
}
