//! Sets of hosts, and statements about links from one set to another.
//!
//! A partition of 10,000 hosts into halves concerns 50 million pairs; as two sets it is two small bitmaps.

use crate::engine::ids::HostId;

/// A set of hosts that may include hosts which do not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostSet {
    words: Vec<u64>,
    /// The bits of hosts beyond `words`: all ones or all zeroes.
    rest: u64,
}

impl HostSet {
    /// Every host.
    pub(crate) const fn all() -> Self {
        Self { words: Vec::new(), rest: u64::MAX }
    }

    /// These hosts.
    pub(crate) fn of(hosts: &[HostId]) -> Self {
        let mut set = Self { words: Vec::new(), rest: 0 };
        for host in hosts {
            let word = host.0 as usize / 64;
            if set.words.len() <= word {
                set.words.resize(word + 1, 0);
            }
            set.words[word] |= 1 << (host.0 % 64);
        }
        set
    }

    /// These hosts; every host when none is named.
    pub(crate) fn named(hosts: &[HostId]) -> Self {
        if hosts.is_empty() { Self::all() } else { Self::of(hosts) }
    }

    pub(crate) fn contains(&self, host: u32) -> bool {
        self.words.get(host as usize / 64).unwrap_or(&self.rest) >> (host % 64) & 1 == 1
    }

    fn is_empty(&self) -> bool {
        self.rest == 0 && self.words.iter().all(|w| *w == 0)
    }

    fn combine(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let len = self.words.len().max(other.words.len());
        let at = |set: &Self, i: usize| set.words.get(i).copied().unwrap_or(set.rest);
        Self {
            words: (0..len).map(|i| f(at(self, i), at(other, i))).collect(),
            rest: f(self.rest, other.rest),
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }
}

/// Statements about the links from every host of one set to every host of another. They never overlap.
#[derive(Clone, Debug)]
pub(crate) struct LinkMap<T> {
    rules: Vec<Rule<T>>,
}

#[derive(Clone, Debug)]
struct Rule<T> {
    from: HostSet,
    to: HostSet,
    value: T,
}

impl<T: Clone> LinkMap<T> {
    pub(crate) const fn new() -> Self {
        Self { rules: Vec::new() }
    }

    /// The statement about the link, if there is one.
    pub(crate) fn get(&self, from: u32, to: u32) -> Option<&T> {
        self.rules.iter().find(|r| r.from.contains(from) && r.to.contains(to)).map(|r| &r.value)
    }

    /// Says this about the links from `from` to `to`, in place of any earlier statement.
    pub(crate) fn set(&mut self, from: HostSet, to: HostSet, value: T) {
        self.unset(&from, &to);
        if !from.is_empty() && !to.is_empty() {
            self.rules.push(Rule { from, to, value });
        }
    }

    /// Says nothing about the links from `from` to `to` any longer.
    pub(crate) fn unset(&mut self, from: &HostSet, to: &HostSet) {
        let mut kept = Vec::with_capacity(self.rules.len());
        for rule in self.rules.drain(..) {
            // A x B without F x T is (A - F) x B together with (A and F) x (B - T).
            let outside = rule.from.difference(from);
            let inside = rule.from.intersection(from);
            let spared = rule.to.difference(to);
            if !outside.is_empty() {
                kept.push(Rule { from: outside, to: rule.to, value: rule.value.clone() });
            }
            if !inside.is_empty() && !spared.is_empty() {
                kept.push(Rule { from: inside, to: spared, value: rule.value });
            }
        }
        self.rules = kept;
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn hosts() -> impl Strategy<Value = Vec<HostId>> {
        proptest::collection::vec((0_u32..130).prop_map(HostId), 0..6)
    }

    proptest! {
        /// The map of sets says the same as a plain map of pairs.
        #[test]
        fn agrees_with_a_map_of_pairs(steps in proptest::collection::vec((hosts(), hosts(), proptest::option::of(0_u8..5)), 0..12)) {
            let mut map = LinkMap::new();
            let mut pairs = BTreeMap::new();
            for (from, to, value) in steps {
                let (set_from, set_to) = (HostSet::of(&from), HostSet::of(&to));
                for f in &from {
                    for t in &to {
                        match value {
                            Some(v) => pairs.insert((f.0, t.0), v),
                            None => pairs.remove(&(f.0, t.0)),
                        };
                    }
                }
                match value {
                    Some(v) => map.set(set_from, set_to, v),
                    None => map.unset(&set_from, &set_to),
                }
            }
            for f in 0..130 {
                for t in 0..130 {
                    prop_assert_eq!(map.get(f, t), pairs.get(&(f, t)));
                }
            }
        }
    }

    #[test]
    fn all_hosts_include_those_to_come() {
        let mut map = LinkMap::new();
        map.set(HostSet::all(), HostSet::of(&[HostId(3)]), 1);
        assert_eq!(map.get(9_999, 3), Some(&1));
        map.unset(&HostSet::of(&[HostId(5)]), &HostSet::all());
        assert_eq!((map.get(5, 3), map.get(6, 3)), (None, Some(&1)));
    }
}
