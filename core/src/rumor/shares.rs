//! Counts what each author has in the room that all share, so that one that gives without end leaves room for the others'.
//! It may not decide what is kept.
//!
//! An author is a public key. Keys cost nothing: one that is no member's has no share of its own, and all of those together
//! have a bound, so that an insider gains nothing by keys that it makes up. What was taken back (an empty version) takes no
//! room, and gives way where something else needs it.

use alloc::collections::BTreeMap;

use crate::model::identity::PublicKey;
use crate::model::rumor::RumorKind;

/// What one rumor takes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) kind: RumorKind,
    /// Whose word is held for it.
    pub(super) by: Option<PublicKey>,
    /// Its bytes, where it is a version; else none are counted.
    pub(super) bytes: usize,
}

/// The room that is taken. What has no author is counted in the whole alone.
#[derive(Debug, Default)]
pub(super) struct Shares {
    of: BTreeMap<(RumorKind, PublicKey), usize>,
    all: BTreeMap<RumorKind, usize>,
    bytes_of: BTreeMap<PublicKey, usize>,
    bytes: usize,
}

impl Shares {
    /// How many of a kind this author gave.
    pub(super) fn of(&self, kind: RumorKind, by: &PublicKey) -> usize {
        self.of.get(&(kind, *by)).copied().unwrap_or(0)
    }

    /// How many of a kind there are that were not taken back.
    pub(super) fn all(&self, kind: RumorKind) -> usize {
        self.all.get(&kind).copied().unwrap_or(0)
    }

    /// The bytes of the versions that this author gave.
    pub(super) fn bytes_of(&self, by: &PublicKey) -> usize {
        self.bytes_of.get(by).copied().unwrap_or(0)
    }

    /// The bytes of all versions.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn count_in(&mut self, taken: Taken) {
        *self.all.entry(taken.kind).or_default() += 1;
        self.bytes += taken.bytes;
        if let Some(by) = taken.by {
            *self.of.entry((taken.kind, by)).or_default() += 1;
            *self.bytes_of.entry(by).or_default() += taken.bytes;
        }
        assert!(self.all(taken.kind) > 0, "what was counted in is there");
    }

    pub(super) fn count_out(&mut self, taken: Taken) {
        assert!(self.all(taken.kind) > 0 && self.bytes >= taken.bytes, "what is taken out was counted in");
        reduce(&mut self.all, &taken.kind, 1);
        self.bytes -= taken.bytes;
        if let Some(by) = taken.by {
            reduce(&mut self.of, &(taken.kind, by), 1);
            // An author without any rumor has no bytes, and is not remembered.
            reduce(&mut self.bytes_of, &by, taken.bytes);
        }
        assert!(self.of.len() >= self.bytes_of.len() || self.of.is_empty(), "bytes are of something");
    }
}

fn reduce<K: Ord>(of: &mut BTreeMap<K, usize>, key: &K, by: usize) {
    if let Some(held) = of.get_mut(key) {
        assert!(*held >= by, "no more is taken out than was put in");
        *held -= by;
        if *held == 0 {
            of.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_again_and_leaves_no_memory() {
        let mut shares = Shares::default();
        let taken = |by: u8, bytes| Taken {
            kind: RumorKind::ServiceConfig,
            by: (by > 0).then_some(PublicKey([by; 32])),
            bytes,
        };
        let all = [taken(1, 10), taken(1, 20), taken(2, 5), taken(0, 7)];
        all.iter().for_each(|taken| shares.count_in(*taken));
        let one = PublicKey([1; 32]);
        assert_eq!((shares.of(RumorKind::ServiceConfig, &one), shares.bytes_of(&one)), (2, 30));
        assert_eq!((shares.all(RumorKind::ServiceConfig), shares.bytes()), (4, 42));
        all.iter().for_each(|taken| shares.count_out(*taken));
        assert!(shares.of.is_empty() && shares.all.is_empty() && shares.bytes_of.is_empty());
        assert_eq!(shares.bytes(), 0);
    }
}
