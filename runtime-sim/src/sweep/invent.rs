//! Invented members and false addresses, drawn.

use annulus_core::{Channel, Instant, Rng};

use crate::action::{Action, HostId, Invent, Spoof};

/// Members that do not exist are told to a host, or a member is said to be elsewhere. Every draw is made whether it is used or not.
pub(super) fn draw(rng: &mut Rng, members: u32, host: HostId, at: Instant) -> Action {
    let by = HostId((host.0 + 1 + rng.index(members as usize - 1) as u32) % members);
    let count = [3, 60, 900][rng.index(3)];
    let channel = Channel::ALL[rng.index(Channel::ALL.len())];
    let speaking = rng.chance(1, 2);
    // Two entries tell of others, unless they are a quarter of a minute apart to the millisecond.
    let first = u32::try_from(at.as_millis() % 15_000 * 1_000).unwrap_or_default();
    if rng.chance(1, 2) {
        let of = HostId((by.0 + 1 + rng.index(members as usize - 1) as u32) % members);
        return Spoof { host, of, from: by, channel }.into();
    }
    Invent { host, by, count, first, channel, speaking }.into()
}
