//! A ring of three whole nodes, with an attacker on their network who knows no key: it overhears their messages, changes
//! them, and sends them to any member from any address. Sixty seconds after its last message the ring has to be whole:
//! one view, every service as wanted, one leader that all name.
//!
//! An input is a program (see `program`): the services of the ring, then what the attacker does and when.

mod insider;
mod program;
mod world;

use annulus_core::Channel;

use super::{MIB, Seen, Target};
use program::Program;

pub(super) const TARGET: Target = Target {
    name: "ring",
    about: "whole nodes in a ring of three, fed with changed messages of their own; whole 60 s later",
    run,
    mutate: program::mutate,
    seeds,
    tell: Some(tell),
    bytes_max: 16 * 1024,
    memory_max: 96 * MIB,
};

/// The same ring with a member in it that says whatever it likes.
pub(super) const INSIDER: Target = Target {
    name: "insider",
    about: "whole nodes and an insider, who drives every number and list to its limit; whole 60 s after it is gone",
    run: insider::run,
    mutate: insider::mutate,
    seeds: insider::seeds,
    tell: Some(insider::tell),
    bytes_max: 4 * 1024,
    memory_max: 128 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let program = Program::read(bytes);
    if program.deeds.is_empty() {
        return Seen::refused("nothing is done");
    }
    let (kind, injected, understood) = world::perform(&program, None);
    // Past the decoder is a program of which the nodes understood a message.
    Seen { accepted: understood > 0, ..Seen::accepted(&kind, injected) }
}

/// Tells what the attacker sends and what the members make of it.
fn tell(bytes: &[u8], say: &mut dyn FnMut(String)) {
    world::perform(&Program::read(bytes), Some(say));
}

fn seeds() -> Vec<Vec<u8>> {
    program::seeds()
}

/// Messages that members of such a ring send each other, one of each kind and a few more.
pub(super) fn traffic(channel: Channel) -> Vec<Vec<u8>> {
    world::traffic(channel)
}

/// The rows of the disks of such rings.
pub(super) fn disks() -> Vec<Vec<annulus_core::Write>> {
    world::disks()
}
