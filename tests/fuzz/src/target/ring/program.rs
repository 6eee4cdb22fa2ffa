//! What an attacker does, as bytes: two for the ring, then deeds of at least two bytes each. Every sequence of bytes is
//! a program, so that a change of bytes is a change of what is done, and a piece that is left out is a deed less.

use annulus_core::{Channel, Rng};

use crate::mutate::{bytes, protobuf};

/// Members of the ring.
pub(super) const MEMBERS: u32 = 3;
/// A host number that no member has: a stranger's address.
pub(super) const STRANGER: u32 = 40;
/// Deeds of one program.
const DEEDS_MAX: usize = 400;
/// Longest message that a program holds itself.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Which services the ring has.
    pub(super) services: u8,
    /// The seed of the ring.
    pub(super) seed: u8,
    pub(super) deeds: Vec<Deed>,
}

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Nothing, for so many times 20 ms.
    Wait(u8),
    /// A message that was overheard is changed and sent.
    Replay {
        /// To this member, from that address.
        to: u32,
        from: u32,
        /// Which one, counted from the latest.
        back: u8,
        /// How often it is changed, and by which chance.
        times: u8,
        chance: u16,
        /// Another message, whose parts it may get.
        other: u8,
    },
    /// A message of the program's own.
    Send { to: u32, from: u32, channel: Channel, bytes: Vec<u8> },
}

/// An address of the attacker's choice: a member's, or a stranger's.
fn from(byte: u8) -> u32 {
    match u32::from(byte >> 4) % (MEMBERS + 1) {
        MEMBERS => STRANGER + u32::from(byte & 3),
        member => member,
    }
}

impl Program {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (head, mut rest) = bytes.split_at(bytes.len().min(2));
        let (services, seed) = (head.first().copied().unwrap_or(0), head.get(1).copied().unwrap_or(0));
        let mut deeds = Vec::new();
        while deeds.len() < DEEDS_MAX
            && let Some(([kind, whom], behind)) = rest.split_first_chunk::<2>()
        {
            let (to, from) = (u32::from(whom & 0xf) % MEMBERS, from(*whom));
            rest = behind;
            deeds.push(match kind % 8 {
                0 => Deed::Wait(*whom),
                1 | 2 => {
                    let (len, behind) = rest.split_at(rest.len().min(2));
                    let len = usize::from(u16::from_be_bytes([
                        len.first().copied().unwrap_or(0),
                        len.get(1).copied().unwrap_or(0),
                    ]));
                    let (bytes, behind) = behind.split_at(behind.len().min(len.min(MESSAGE_BYTES_MAX)));
                    rest = behind;
                    let channel = if kind % 8 == 1 { Channel::Datagram } else { Channel::Stream };
                    Deed::Send { to, from, channel, bytes: bytes.to_vec() }
                }
                _ => {
                    let (args, behind) = rest.split_at(rest.len().min(5));
                    rest = behind;
                    let arg = |at: usize| args.get(at).copied().unwrap_or(0);
                    let chance = u16::from_be_bytes([arg(2), arg(3)]);
                    Deed::Replay { to, from, back: arg(0), times: arg(1), chance, other: arg(4) }
                }
            });
        }
        Self { services, seed, deeds }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.services, self.seed];
        let whom = |to: u32, from: u32| {
            let high = if from < MEMBERS { from } else { MEMBERS };
            let low =
                (0..16).find(|low| low % MEMBERS == to && (from < MEMBERS || STRANGER + (low & 3) == from));
            ((high as u8) << 4) | low.unwrap_or(to) as u8
        };
        for deed in &self.deeds {
            match deed {
                Deed::Wait(times) => bytes.extend([0, *times]),
                Deed::Send { to, from, channel, bytes: message } => {
                    let len = message.len().min(MESSAGE_BYTES_MAX);
                    let kind = match channel {
                        Channel::Datagram => 1,
                        Channel::Stream => 2,
                    };
                    bytes.extend([kind, whom(*to, *from)]);
                    bytes.extend((len as u16).to_be_bytes());
                    bytes.extend(&message[..len]);
                }
                Deed::Replay { to, from, back, times, chance, other } => {
                    bytes.extend([3, whom(*to, *from), *back, *times]);
                    bytes.extend(chance.to_be_bytes());
                    bytes.push(*other);
                }
            }
        }
        bytes
    }
}

/// A deed drawn by chance.
fn deed(rng: &mut Rng) -> Deed {
    let to = rng.below(u64::from(MEMBERS)) as u32;
    if rng.chance(1, 4) {
        return Deed::Wait(rng.next_u64() as u8 >> rng.below(6));
    }
    let from = match rng.below(u64::from(MEMBERS) + 1) as u32 {
        MEMBERS => STRANGER + rng.below(4) as u32,
        member => member,
    };
    let draw = rng.next_u64().to_le_bytes();
    Deed::Replay {
        to,
        from,
        back: draw[0],
        times: draw[1] & 7,
        chance: u16::from_le_bytes([draw[2], draw[3]]),
        other: draw[4],
    }
}

/// One change of a program: a deed is added, dropped, changed or taken from another one.
pub(super) fn mutate(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    let (mut program, theirs) = (Program::read(input), Program::read(other));
    let deeds = &mut program.deeds;
    let at = rng.index(deeds.len().max(1)).min(deeds.len());
    match rng.below(9) {
        0 => program.services = rng.next_u64() as u8,
        1 => program.seed = rng.next_u64() as u8,
        2 if !deeds.is_empty() => {
            deeds.remove(at);
        }
        3 if !theirs.deeds.is_empty() => {
            let first = rng.index(theirs.deeds.len());
            let len = 1 + rng.index((theirs.deeds.len() - first).min(16));
            deeds.splice(at..at, theirs.deeds[first..first + len].iter().cloned());
        }
        4 => {
            // The same message changed in many ways.
            let Deed::Replay { to, from, back, times, other, .. } = deed(rng) else { return };
            let first = rng.next_u64() as u16;
            let copies = 1 + rng.below(24) as u16;
            let copy = |n: u16| Deed::Replay { to, from, back, times, chance: first.wrapping_add(n), other };
            deeds.splice(at..at, (0..copies).map(copy));
        }
        5 | 6 => {
            for deed in deeds.iter_mut().skip(at) {
                if let Deed::Send { bytes, .. } = deed {
                    protobuf::mutate(rng, bytes, other);
                    break;
                }
            }
            deeds.insert(at, deed(rng));
        }
        7 => return bytes::mutate(rng, input, other),
        _ => deeds.insert(at, deed(rng)),
    }
    program.deeds.truncate(DEEDS_MAX);
    *input = program.write();
}

/// A few attacks to begin with: a stream of changed messages at each kind of ring.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed([0x52; 32]);
    let mut seeds = Vec::new();
    for services in 0..8 {
        let deeds = (0..24).map(|_| deed(&mut rng)).collect();
        seeds.push(Program { services, seed: services, deeds }.write());
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_as_it_was_written() {
        let mut rng = Rng::from_seed([1; 32]);
        for n in 0..200_u8 {
            let mut deeds: Vec<Deed> = (0..n % 40).map(|_| deed(&mut rng)).collect();
            deeds.push(Deed::Send {
                to: 2,
                from: STRANGER + 1,
                channel: Channel::Stream,
                bytes: vec![n; n as usize],
            });
            let program = Program { services: n, seed: n, deeds };
            assert_eq!(Program::read(&program.write()), program);
        }
    }

    #[test]
    fn all_bytes_are_a_program() {
        let mut rng = Rng::from_seed([2; 32]);
        for len in 0..300 {
            let mut bytes = vec![0; len];
            rng.fill(&mut bytes);
            let read = Program::read(&bytes);
            assert_eq!(Program::read(&read.write()), read, "{bytes:?}");
        }
    }
}
