//! What insiders drive to its limit, and what operators put right, drawn.

use std::time::Duration;

use annulus_core::{Instant, Rng, ServiceGroup};

use super::draw::SERVICES;
use super::election::{SECOND, SERVICE};
use crate::action::{Action, Depart, DiskAfter, HostId, Overreach, Overreached, Reset, ResetGroup, Restart};

fn group(rng: &mut Rng) -> ServiceGroup {
    let services = [SERVICES[0], SERVICES[1], SERVICES[2], SERVICE, SECOND];
    format!("{}.default", services[rng.index(services.len())]).parse().expect("a service group")
}

/// A ban, which an operator lifts at another member, and the start of the supervisor that ended by it; or a group that is put
/// right. Every draw is made whether it is used or not.
pub(super) fn draw(
    rng: &mut Rng,
    host: HostId,
    [by, other]: [HostId; 2],
    (from, to): (Instant, Instant),
) -> Vec<(Instant, Action)> {
    let group = group(rng);
    let (later, is_early) = (Duration::from_millis(rng.between(20, 5_000)), rng.chance(1, 4));
    if rng.chance(1, 3) {
        return vec![(from, ResetGroup { host: other, group }.into())];
    }
    let start: Action = Restart { host, disk: DiskAfter::Kept }.into();
    let mut steps = vec![(from, Depart { by, host }.into()), (to, Reset { by: other, host }.into())];
    if is_early {
        // It asks the ring, and hears that it is banned still.
        steps.push((from + to.saturating_since(from) / 2, start.clone()));
    }
    steps.push((to + later, start));
    steps
}

/// A number at its limit. Bans are not among them: what they do, the orders of operators do as well.
pub(super) fn overreach(rng: &mut Rng, members: u32, host: HostId) -> Action {
    let mut another = |than: HostId| HostId((than.0 + 1 + rng.index(members as usize - 1) as u32) % members);
    let by = another(host);
    let of = another(by);
    let kinds = [Overreached::Incarnation, Overreached::Config, Overreached::Term];
    let what = kinds[rng.index(kinds.len())];
    let group = group(rng);
    Overreach { host, by, of, group, what }.into()
}
