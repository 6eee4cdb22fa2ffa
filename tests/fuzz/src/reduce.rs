//! The smallest input that still fails: pieces are left out, then bytes are made plain.

use std::cell::Cell;

/// Runs that a reduction may take.
const RUNS_MAX: usize = 4_000;

/// The smallest input found for which `fails` still holds; it does for `input`.
pub fn reduce(input: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let runs = Cell::new(0);
    let mut tried = |candidate: &[u8]| {
        runs.set(runs.get() + 1);
        runs.get() <= RUNS_MAX && fails(candidate)
    };
    loop {
        let before = best.clone();
        let mut piece = (best.len() / 2).max(1);
        loop {
            let mut at = 0;
            while at < best.len() {
                let end = (at + piece).min(best.len());
                let candidate = [&best[..at], &best[end..]].concat();
                if tried(&candidate) {
                    best = candidate;
                } else {
                    at = end;
                }
            }
            if piece == 1 {
                break;
            }
            piece /= 2;
        }
        for at in 0..best.len() {
            if best[at] != 0 {
                let mut candidate = best.clone();
                candidate[at] = 0;
                if tried(&candidate) {
                    best = candidate;
                }
            }
        }
        if best == before || runs.get() > RUNS_MAX {
            return best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let input: Vec<u8> = (0..200).collect();
        let reduced = reduce(&input, |bytes| bytes.contains(&77) && bytes.len() >= 3);
        assert_eq!(reduced.len(), 3);
        assert_eq!(reduced.iter().filter(|byte| **byte != 0).count(), 1, "{reduced:?}");
    }
}
