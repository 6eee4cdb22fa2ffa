//! The trace hash: a fingerprint of everything that happened in a run, in order.
//!
//! Two runs of one seed must have the same one, on every machine. It is always on, so it has to be cheap.

use annulus_core::Instant;

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd1b5_4a32_d192_ed03;

/// A running fingerprint. It need not be cryptographic: no adversary chooses its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceHash(u64);

/// The kinds of occurrence that are folded in, so that two kinds with equal contents differ.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Wake = 1,
    Datagram,
    Stream,
    Refused,
    Command,
    Effect,
    Transmit,
    Drop,
    Event,
    Start,
    Stop,
}

impl TraceHash {
    pub(crate) const fn new() -> Self {
        Self(K1)
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Two words. A multiplication to 128 bits, folded: each half depends on all bits of both factors.
    pub(crate) fn pair(&mut self, a: u64, b: u64) {
        let product = u128::from(self.0 ^ a ^ K1) * u128::from(self.0.rotate_left(32) ^ b ^ K2);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ K1;
    }

    /// Folds in that an occurrence of this kind took place at a host.
    pub(crate) fn happening(&mut self, at: Instant, host: u32, kind: Kind, number: u64) {
        self.pair(at.as_nanos(), u64::from(host) << 8 | kind as u64);
        self.pair(number, 0);
    }

    /// Bytes, and how many.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            let (a, b) = chunk.split_at(8);
            self.pair(word(a), word(b));
        }
        let (a, b) = chunks.remainder().split_at(chunks.remainder().len().min(8));
        self.pair(word(a), word(b));
        self.pair(bytes.len() as u64, 1);
    }
}

/// Up to eight bytes as a number, the same on every machine.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(bytes: &[u8]) -> u64 {
        let mut hash = TraceHash::new();
        hash.bytes(bytes);
        hash.value()
    }

    proptest! {
        #[test]
        fn every_byte_and_the_length_count(bytes in proptest::collection::vec(any::<u8>(), 1..80), at: prop::sample::Index, bit in 0..8) {
            let mut other = bytes.clone();
            other[at.index(bytes.len())] ^= 1_u8 << bit;
            prop_assert_ne!(of(&bytes), of(&other));
            other.clone_from(&bytes);
            other.push(0);
            prop_assert_ne!(of(&bytes), of(&other));
        }
    }

    #[test]
    fn order_counts_and_short_inputs_do_not_collide() {
        let all: BTreeSet<u64> = (0..=u16::MAX).map(|n| of(&n.to_le_bytes())).collect();
        assert_eq!(all.len(), 65_536);
        let (mut ab, mut ba) = (TraceHash::new(), TraceHash::new());
        ab.pair(1, 2);
        ab.pair(3, 4);
        ba.pair(3, 4);
        ba.pair(1, 2);
        assert_ne!(ab, ba);
    }
}
