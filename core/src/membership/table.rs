//! All known members in one dense table: 48 bytes for a member, 5 for its place in the index. It holds and counts
//! records; `hear` and `detect` decide how they change.
//!
//! It is dense because a simulator holds members times members of these. Only the table is walked, never the index, so
//! its order follows from the inputs alone.

use alloc::vec::Vec;

use super::index::Index;
use crate::model::digest::{Digest, hash_member, mix};
use crate::model::id::MemberId;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;

/// Members in order of arrival (a forgotten one's place is taken by the last).
#[derive(Debug, Default)]
pub(crate) struct MemberTable {
    records: Vec<MemberRecord>,
    index: Index,
    counts: [usize; State::ALL.len()],
    digest: Digest,
}

impl MemberTable {
    pub(crate) fn with_capacity(members: usize) -> Self {
        Self { records: Vec::with_capacity(members), index: Index::with_capacity(members), ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many members are in this state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    pub(crate) fn get(&self, id: &MemberId) -> Option<&MemberRecord> {
        self.slot_of(id).and_then(|slot| self.records.get(slot))
    }

    /// The member at a place of the table, for random choice.
    pub(crate) fn at(&self, slot: usize) -> Option<&MemberRecord> {
        self.records.get(slot)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &MemberRecord> {
        self.records.iter()
    }

    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }

    fn slot_of(&self, id: &MemberId) -> Option<usize> {
        self.index.find(hash_member(id), |slot| self.records.get(slot).is_some_and(|r| r.id == *id))
    }

    /// Puts in a member or replaces its record; returns the place of a new one.
    pub(crate) fn put(&mut self, record: MemberRecord) -> Option<usize> {
        if let Some(slot) = self.slot_of(&record.id) {
            let held = self.records[slot];
            assert!(held.id == record.id, "a member keeps its place");
            self.uncount(&held);
            self.records[slot] = record;
            self.count_in(&record);
            return None;
        }
        let slot = self.records.len();
        if slot == self.records.capacity() {
            // Doubling would waste up to half of the largest thing in a simulation.
            self.records.reserve_exact(slot / 16 + 8);
        }
        self.records.push(record);
        self.count_in(&record);
        self.index.insert(hash_member(&record.id), slot, hashes(&self.records));
        self.check();
        Some(slot)
    }

    /// Every member is counted in one state.
    fn check(&self) {
        assert!(self.counts.iter().sum::<usize>() == self.records.len(), "every member is in one state");
        let departed = self.count(State::Departed);
        let digested = self.digest.records() as usize;
        assert!(digested + departed == self.records.len(), "digests leave out those that departed");
    }

    /// Forgets a member.
    pub(crate) fn remove(&mut self, id: &MemberId) -> Option<MemberRecord> {
        let slot = self.slot_of(id)?;
        let last = self.records.len() - 1;
        let was_there = self.index.remove(hash_member(id), slot, hashes(&self.records));
        assert!(was_there, "every member is in the index");
        if slot != last {
            let moved = hash_member(&self.records[last].id);
            self.index.remove(moved, last, hashes(&self.records));
            self.index.insert(moved, slot, hashes(&self.records));
        }
        let removed = self.records.swap_remove(slot);
        assert!(removed.id == *id, "the member that is forgotten is the one");
        self.uncount(&removed);
        self.check();
        Some(removed)
    }

    fn count_in(&mut self, record: &MemberRecord) {
        self.counts[record.state as usize] += 1;
        if let Some((key, version)) = digested(record) {
            self.digest.add(key, version);
        }
    }

    fn uncount(&mut self, record: &MemberRecord) {
        assert!(self.count(record.state) > 0, "a member that is counted out was counted in");
        self.counts[record.state as usize] -= 1;
        if let Some((key, version)) = digested(record) {
            self.digest.remove(key, version);
        }
    }
}

/// The hash of the member at a place.
fn hashes(records: &[MemberRecord]) -> impl Fn(usize) -> u64 {
    move |slot| records.get(slot).map_or(0, |r| hash_member(&r.id))
}

/// A member's part in digests: key and version. Suspicions pass and departed members are on their way to being
/// forgotten, so neither makes a difference that a digest exchange would have to repair.
pub(crate) fn digested(record: &MemberRecord) -> Option<(u64, u64)> {
    let confirmed = match record.state {
        State::Alive => 0,
        State::Suspect => mutated!(SuspicionInDigest, 0, 1),
        State::Confirmed => 1,
        State::Departed => return None,
    };
    Some((hash_member(&record.id), mix(record.incarnation.0.wrapping_mul(2).wrapping_add(confirmed))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Incarnation;
    use alloc::collections::BTreeMap;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;

    fn record(id: u8, incarnation: u64, state: State) -> MemberRecord {
        MemberRecord {
            id: MemberId::from_bytes([id; 16]),
            incarnation: Incarnation(incarnation),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            swim_port: 1,
            gossip_port: 1,
            state,
            permanent: false,
        }
    }

    proptest! {
        /// After any inserts and removals the table agrees with a plain map, and its digest depends on its records
        /// alone.
        #[test]
        fn behaves_like_a_map(ops in proptest::collection::vec((0_u8..20, 0_u64..4, 0_usize..5), 0..200)) {
            let mut table = MemberTable::default();
            let mut model = BTreeMap::new();
            for (id, incarnation, action) in ops {
                if let Some(state) = State::ALL.get(action) {
                    let r = record(id, incarnation, *state);
                    table.put(r);
                    model.insert(r.id, r);
                } else {
                    let id = MemberId::from_bytes([id; 16]);
                    prop_assert_eq!(table.remove(&id), model.remove(&id));
                }
            }
            prop_assert_eq!(table.len(), model.len());
            let mut fresh = MemberTable::default();
            for (id, r) in &model {
                prop_assert_eq!(table.get(id), Some(r));
                fresh.put(*r);
            }
            prop_assert_eq!(table.digest(), fresh.digest());
            for state in State::ALL {
                prop_assert_eq!(table.count(state), model.values().filter(|r| r.state == state).count());
            }
        }
    }

    /// It passes, and each member has it at its own time.
    #[test]
    fn a_suspicion_is_no_difference_and_a_death_is_one() {
        let of = |state| {
            let mut table = MemberTable::default();
            table.put(record(1, 1, state));
            table.digest().clone()
        };
        assert_eq!(of(State::Alive), of(State::Suspect));
        assert_ne!(of(State::Alive), of(State::Confirmed));
        assert_eq!(of(State::Departed), MemberTable::default().digest().clone());
    }
}
