//! Changes of an input. Each takes a second input, whose parts it may take over.

pub mod bytes;
pub mod protobuf;
pub mod text;

use annulus_core::Rng;

/// Changes `input` in one way; `other` is another input of the same target.
pub type Mutation = fn(&mut Rng, input: &mut Vec<u8>, other: &[u8]);

/// Numbers at which code goes wrong: ends of types, limits of the core and their neighbours.
pub const BORDERS: [u64; 26] = [
    0,
    1,
    2,
    16,
    24,
    25,
    26,
    63,
    64,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 45,
    (1 << 62) - 1,
    1 << 62,
    (1 << 62) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// One of [`BORDERS`].
pub fn border(rng: &mut Rng) -> u64 {
    BORDERS[rng.index(BORDERS.len())]
}
