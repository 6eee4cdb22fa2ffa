//! The plain loop: an input of the pool is changed, run, and joins the pool when it showed something new. Everything
//! follows from the seed and the first inputs, so a failure comes again with the same seed.

use std::collections::BTreeSet;

use annulus_core::Rng;

use crate::guarded::{self, Failure};
use crate::target::Target;

/// Changes of one input, at most.
const CHANGES_MAX: u64 = 6;
/// Inputs in the pool; beyond that a new one takes the place of another.
const POOL_MAX: usize = 4_096;

/// Of these, so many may be refused.
const REFUSED_MAX: usize = 64;

/// A loop at work.
#[derive(Debug)]
pub struct Session<'a> {
    target: &'a Target,
    rng: Rng,
    pool: Vec<Vec<u8>>,
    marks: BTreeSet<u64>,
    /// Inputs of the pool that were refused.
    refused: usize,
    first: usize,
    figures: Figures,
}

/// What a loop did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Inputs that were run.
    pub runs: u64,
    /// Of these, how many got past the decoder.
    pub accepted: u64,
    /// Outcomes that differ.
    pub outcomes: u64,
}

/// An input that fails.
#[derive(Clone, Debug)]
pub struct Found {
    /// The input.
    pub input: Vec<u8>,
    /// How.
    pub failure: Failure,
    /// Number of the run.
    pub run: u64,
}

impl<'a> Session<'a> {
    /// A loop that begins with these inputs.
    #[must_use]
    pub fn new(target: &'a Target, seed: u64, inputs: Vec<Vec<u8>>) -> Self {
        let mut key = [0x66; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let pool = if inputs.is_empty() { vec![Vec::new()] } else { inputs };
        let (rng, first) = (Rng::from_seed(key), pool.len());
        Self { target, rng, pool, marks: BTreeSet::new(), refused: 0, first, figures: Figures::default() }
    }

    /// The input that is run next: those of the beginning first, as they are.
    pub fn next_input(&mut self) -> Vec<u8> {
        let nth = usize::try_from(self.figures.runs).unwrap_or(usize::MAX);
        if nth < self.first {
            return self.pool[nth].clone();
        }
        let rng = &mut self.rng;
        // What was kept last is tried more often.
        let len = self.pool.len();
        let at = if rng.chance(1, 2) { rng.index(len) } else { len - 1 - rng.index(len.min(32)) };
        let mut input = self.pool[at].clone();
        let changes = if rng.chance(1, 2) { 1 } else { 1 + rng.below(CHANGES_MAX) };
        for _ in 0..changes {
            let other = rng.index(self.pool.len());
            (self.target.mutate)(rng, &mut input, &self.pool[other]);
        }
        input.truncate(self.target.bytes_max);
        input
    }

    /// Runs an input that [`Self::next_input`] gave.
    ///
    /// # Errors
    /// It fails; the loop can go on.
    pub fn run(&mut self, input: Vec<u8>) -> Result<(), Found> {
        let ended = guarded::run(self.target, &input);
        self.figures.runs += 1;
        match ended {
            Ok(seen) => {
                self.figures.accepted += u64::from(seen.accepted);
                if self.marks.insert(seen.mark) {
                    self.figures.outcomes += 1;
                    // What is refused in a new way may lead past the decoder; few of it do.
                    let is_wanted = seen.accepted || self.refused < REFUSED_MAX;
                    if self.figures.runs as usize > self.first && is_wanted {
                        self.refused += usize::from(!seen.accepted);
                        self.keep(input);
                    }
                }
                Ok(())
            }
            Err(failure) => Err(Found { input, failure, run: self.figures.runs }),
        }
    }

    fn keep(&mut self, input: Vec<u8>) {
        if self.pool.len() < POOL_MAX {
            self.pool.push(input);
        } else {
            let at = self.rng.index(self.pool.len());
            self.pool[at] = input;
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::bytes;
    use crate::target::Seen;

    fn picky(input: &[u8]) -> Seen {
        match input {
            [b'O', b'K', rest @ ..] => {
                assert!(!rest.starts_with(&[0xff]), "a planted fault");
                Seen::accepted("ok", rest.len())
            }
            _ => Seen::refused("not ok"),
        }
    }

    const PICKY: Target = Target {
        name: "picky",
        about: "wants two letters, and fails at a third byte",
        run: picky,
        mutate: bytes::mutate,
        seeds: Vec::new,
        tell: None,
        bytes_max: 64,
        memory_max: usize::MAX,
    };

    fn runs(seed: u64) -> (u64, Vec<u8>, Figures) {
        let mut session = Session::new(&PICKY, seed, vec![b"OK".to_vec()]);
        loop {
            let input = session.next_input();
            if let Err(found) = session.run(input) {
                return (found.run, found.input, session.figures());
            }
        }
    }

    #[test]
    fn a_planted_fault_is_found_and_found_again_with_the_same_seed() {
        let first = runs(5);
        assert!(first.1.starts_with(b"OK\xff"));
        assert_eq!(runs(5), first);
        assert_ne!(runs(6), first);
        assert!(
            first.2.accepted > 0 && first.2.accepted < first.2.runs,
            "some inputs are refused: {first:?}"
        );
    }
}
