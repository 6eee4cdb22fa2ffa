//! Digests of the records that a node holds: one number for each of 64 buckets of keys, kept up to date as records
//! change.
//!
//! Two nodes that hold the same have the same digests, so finding out that nothing differs costs the same at 3 members
//! and at 10,000. The numbers are sums (exclusive or) of hashes: any order of changes leads to the same digest. They
//! find differences; they must not serve as a defence against an attacker, which is the purpose of a ring key.

use crate::model::id::MemberId;
use crate::model::mutant::mutated;

/// Digests per node: one for each bucket of keys.
pub(crate) const BUCKETS: usize = 64;

/// A number that differs, but for chance, when two values do. Only for comparisons within one process.
pub(crate) fn hash_of(value: &impl core::hash::Hash) -> u64 {
    use core::hash::Hasher;
    struct Fold(u64);
    impl Hasher for Fold {
        fn write(&mut self, bytes: &[u8]) {
            self.0 = mix(self.0 ^ hash_bytes(bytes));
        }
        fn finish(&self) -> u64 {
            self.0
        }
    }
    let mut fold = Fold(0);
    value.hash(&mut fold);
    fold.finish()
}

/// Digests of one set of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    buckets: [u64; BUCKETS],
    records: u32,
    /// All buckets together.
    hash: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], records: 0, hash: 0 }
    }
}

impl Digest {
    /// Takes in a record.
    pub(crate) fn add(&mut self, key: u64, version: u64) {
        self.toggle(key, version);
        self.records = self.records.saturating_add(1);
    }

    /// Takes out a record that was taken in before.
    pub(crate) fn remove(&mut self, key: u64, version: u64) {
        self.toggle(key, version);
        assert!(self.records > 0, "a record is taken out of the digest that was never taken in");
        self.records -= 1;
    }

    fn toggle(&mut self, key: u64, version: u64) {
        let record = mix(key ^ mix(version));
        self.buckets[bucket_of(key)] ^= record;
        self.hash ^= record;
    }

    /// The digests of this set and another one that shares no key with it.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (mine, theirs) in union.buckets.iter_mut().zip(other.buckets) {
            *mine ^= theirs;
        }
        union.hash ^= other.hash;
        union.records = mutated!(RecordsOfOneHalf, self.records.saturating_add(other.records), self.records);
        assert!(union.records >= self.records, "a union holds the records of both parts");
        union
    }

    pub(crate) const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// One number for all of it.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn records(&self) -> u32 {
        self.records
    }

    /// One bit for each bucket in which the two differ.
    pub(crate) fn differences(&self, other: &[u64; BUCKETS]) -> u64 {
        let pairs = self.buckets.iter().zip(other).enumerate();
        pairs.fold(0, |mask, (i, (mine, theirs))| if mine == theirs { mask } else { mask | (1 << i) })
    }
}

/// Which bucket a key hash belongs to.
pub(crate) const fn bucket_of(key: u64) -> usize {
    let bucket = (key >> 58) as usize;
    assert!(bucket < BUCKETS, "a key belongs to a bucket");
    bucket
}

/// The finalizer of splitmix64: every input bit moves every output bit.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Hashes a member's key.
pub(crate) fn hash_member(id: &MemberId) -> u64 {
    let bytes = u128::from_le_bytes(*id.as_bytes());
    mix((bytes as u64) ^ mix((bytes >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15))
}

/// Hashes any bytes.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let hash = 0x243f_6a88_85a3_08d3 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0_u8; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(hash ^ u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_the_digest_of_all_records_in_whatever_order_they_came() {
        let of = |records: &[u64]| {
            let mut digest = Digest::default();
            records.iter().for_each(|n| digest.add(mix(*n), mix(n + 1_000)));
            digest
        };
        let (few, many) = (of(&[1, 2]), of(&[3, 4, 5, 6]));
        assert_eq!(few.union(&many), of(&[6, 2, 4, 1, 3, 5]));
        assert_eq!(many.union(&few), few.union(&many));
        assert_eq!(few.union(&many).records(), 6);
        let mut less = few.union(&many);
        less.remove(mix(4), mix(1_004));
        let buckets = less.differences(many.union(&few).buckets());
        assert_eq!(buckets, 1 << bucket_of(mix(4)), "the bucket of what one side lacks");
    }
}
