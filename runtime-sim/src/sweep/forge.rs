//! Forged statements, drawn: what is said to whom, in whose name, by which host, and what vouches for it.

use annulus_core::{Channel, Rng};

use crate::action::{Action, Forge, Forged, HostId, Vouching};

/// A statement in another member's name. Every draw is made whether it is used or not.
pub(super) fn draw(rng: &mut Rng, members: u32, host: HostId) -> Action {
    let mut other = |than: HostId| HostId((than.0 + 1 + rng.index(members as usize - 1) as u32) % members);
    let by = other(host);
    let author = other(by);
    let what = Forged::ALL[rng.index(Forged::ALL.len())];
    let vouching = Vouching::ALL[rng.index(Vouching::ALL.len())];
    let channel = Channel::ALL[rng.index(Channel::ALL.len())];
    // A ban in the forger's own name is no forgery: each member may ban, and a stranger may join.
    let is_own_right = what == Forged::Ban && matches!(vouching, Vouching::OwnKey | Vouching::StrangersKey);
    let vouching = if is_own_right { Vouching::Nothing } else { vouching };
    Forge { host, by, author, what, vouching, channel }.into()
}
