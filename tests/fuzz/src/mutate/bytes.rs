//! Changes of bytes that know nothing of their meaning: flipped bits, pieces left out, doubled or taken from another
//! input, numbers at borders.

use annulus_core::Rng;

use super::border;

/// Longest piece that one change moves.
const PIECE_MAX: usize = 64;

/// A place in `bytes` and a length from there.
fn piece(rng: &mut Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let at = rng.index(bytes.len());
    let len = 1 + rng.index(PIECE_MAX.min(bytes.len() - at));
    at..at + len
}

/// One change.
pub fn mutate(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    if input.is_empty() {
        input.push(rng.next_u64() as u8);
        return;
    }
    match rng.below(8) {
        0 => {
            let at = rng.index(input.len());
            input[at] ^= 1 << rng.below(8);
        }
        1 => {
            let at = rng.index(input.len());
            input[at] = rng.next_u64() as u8;
        }
        2 => {
            let piece = piece(rng, input);
            input.drain(piece);
        }
        3 => {
            let piece = input[piece(rng, input)].to_vec();
            let at = rng.index(input.len() + 1);
            input.splice(at..at, piece);
        }
        4 if !other.is_empty() => {
            let taken = other[piece(rng, other)].to_vec();
            let place = piece(rng, input);
            input.splice(place, taken);
        }
        5 => {
            let at = rng.index(input.len());
            input.truncate(at);
        }
        _ => number(rng, input),
    }
}

/// A number at a border, in one of the usual widths and orders, takes the place of as many bytes.
fn number(rng: &mut Rng, input: &mut Vec<u8>) {
    let value = border(rng);
    let mut bytes = value.to_le_bytes()[..1 << rng.below(4)].to_vec();
    if rng.chance(1, 2) {
        bytes.reverse();
    }
    let at = rng.index(input.len());
    let end = (at + bytes.len()).min(input.len());
    input.splice(at..end, bytes);
}
