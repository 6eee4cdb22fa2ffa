//! Recorded messages, drawn: whose, to whom, from where, and with which numbers.

use annulus_core::Rng;

use crate::action::{Action, HostId, Numbers, Replay, Taken};

/// Messages that a recorder sends again. Every draw is made whether it is used or not.
pub(super) fn draw(rng: &mut Rng, members: u32, host: HostId) -> Action {
    let of = HostId((host.0 + 1 + rng.index(members as usize - 1) as u32) % members);
    let elsewhere = HostId(rng.index(members as usize) as u32);
    let from = if rng.chance(1, 2) { of } else { elsewhere };
    let taken = Taken::ALL[rng.index(Taken::ALL.len())];
    // Most attackers have no key.
    let numbers = Numbers::ALL[rng.index(5).saturating_sub(2)];
    let count = rng.between(1, 80) as u32;
    Replay { host, of, from, count, taken, numbers }.into()
}
