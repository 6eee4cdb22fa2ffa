//! The only source of chance in the core: a seeded stream that is the same on every machine and in every release.

use crate::model::mutant::mutated;
use alloc::vec::Vec;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A ChaCha8 stream with the few draws the core needs.
///
/// Ranges are reduced here (Lemire's multiplication) and not by a library, so that an upgrade cannot
/// change what a seed means.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of `seed`.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// An independent stream for one purpose, so that draws for one thing do not move those for another.
    #[must_use]
    pub fn fork(&self, label: u64) -> Self {
        let mut child = self.0.clone();
        child.set_stream(label.wrapping_add(1));
        child.set_word_pos(0);
        Self(child)
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in `0..bound`; `bound` must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no element");
        // The bias is below 2^-32 for every bound the core uses.
        let drawn = ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64;
        assert!(drawn < bound, "a draw lies in its range");
        drawn
    }

    /// A uniform index into a collection of `len` elements; `len` must not be zero.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A uniform number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "the range is turned round");
        let drawn = low.saturating_add(self.below((high - low).saturating_add(1)));
        assert!(low <= drawn && drawn <= high, "a draw lies in its range");
        drawn
    }

    /// True with probability `numerator / denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        assert!(denominator > 0, "a probability needs a denominator");
        self.below(denominator) < numerator
    }

    /// Fills `bytes` with uniform bits.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.index(i + 1);
            items.swap(i, j);
        }
    }

    /// Up to `count` distinct indexes below `len`, in random order.
    pub fn sample(&mut self, len: usize, count: usize) -> Vec<usize> {
        let mut picked: Vec<usize> = Vec::with_capacity(count.min(len));
        if count >= len {
            picked.extend(0..len);
            self.shuffle(&mut picked);
            assert!(picked.len() == len, "all are picked when more were asked for");
            return picked;
        }
        // Floyd's algorithm: no list of `len` elements for a handful of picks.
        for i in (len - count)..len {
            let candidate = self.index(mutated!(LastIsNeverPicked, i + 1, i));
            picked.push(if picked.contains(&candidate) { i } else { candidate });
        }
        self.shuffle(&mut picked);
        assert!(picked.len() == count, "so many are picked as were asked for");
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_stream() {
        let mut a = Rng::from_seed([7; 32]);
        let mut b = Rng::from_seed([7; 32]);
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn forks_differ_and_do_not_depend_on_earlier_draws() {
        let mut a = Rng::from_seed([7; 32]);
        let early = a.fork(1).next_u64();
        a.next_u64();
        assert_eq!(early, a.fork(1).next_u64());
        assert_ne!(early, a.fork(2).next_u64());
    }

    #[test]
    fn samples_are_distinct_and_in_range() {
        let mut rng = Rng::from_seed([1; 32]);
        for len in 0..20 {
            for count in 0..22 {
                let mut s = rng.sample(len, count);
                assert_eq!(s.len(), count.min(len));
                s.sort_unstable();
                s.dedup();
                assert_eq!(s.len(), count.min(len));
                assert!(s.iter().all(|i| *i < len));
            }
        }
    }

    #[test]
    fn every_element_is_picked_as_often() {
        let mut rng = Rng::from_seed([9; 32]);
        for (len, count) in [(5, 1), (5, 2), (5, 4), (3, 2)] {
            let mut times = alloc::vec![0; len];
            for _ in 0..2_000 {
                rng.sample(len, count).into_iter().for_each(|i| times[i] += 1);
            }
            let fair = 2_000 * count / len;
            assert!(
                times.iter().all(|n| (fair * 8 / 10..=fair * 12 / 10).contains(n)),
                "{len} {count}: {times:?}"
            );
        }
    }
}
