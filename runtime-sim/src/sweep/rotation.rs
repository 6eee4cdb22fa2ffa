//! Rotations, drawn: a newer key of the ring is put on a host and offered there, sometimes on two hosts at once.

use annulus_core::{Instant, Rng};

use crate::action::{Action, HostId, PutKey, UseKey};

/// A ring that rotates has at most so many keys beside its first one.
const KEYS: u64 = 3;

/// One rotation: never by force, which cuts off the members that are away. Every draw is made whether it is used or not.
pub(super) fn draw(
    rng: &mut Rng,
    host: HostId,
    other: HostId,
    (from, to): (Instant, Instant),
) -> Vec<(Instant, Action)> {
    let (revision, later) = (2 + rng.below(KEYS), 2 + rng.below(KEYS));
    let is_twice = rng.chance(1, 3);
    let rotate = |at: Instant, host: HostId, revision: u64| {
        let offered = UseKey { host, revision, force: false, grace: UseKey::GRACE };
        [(at, PutKey { host, revision }.into()), (at, offered.into())]
    };
    let mut steps = rotate(from, host, revision).to_vec();
    if is_twice {
        // An operator on another host, perhaps beyond a cut, that does not know of the first.
        steps.extend(rotate(to, other, later));
    }
    steps
}
