//! Small worlds for the tests of this crate.

use std::time::Duration;

use crate::action::world::World;
use crate::action::{Action, Join};
use crate::engine::host::{HostId, HostSpec};
use crate::engine::link::{LinkQuality, Ratio};

pub(crate) const A: HostId = HostId(0);
pub(crate) const B: HostId = HostId(1);

/// One to two milliseconds, nothing lost.
pub(crate) fn quality() -> LinkQuality {
    LinkQuality {
        latency_min: Duration::from_millis(1),
        latency_max: Duration::from_millis(2),
        loss: Ratio::ZERO,
        duplicate: Ratio::ZERO,
        reorder: Ratio::ZERO,
    }
}

/// Two hosts that have run for a while and know nothing of each other.
pub(crate) fn pair(seed: u64, quality: LinkQuality) -> World {
    let mut world = World::new(seed, quality);
    for name in ["a", "b"] {
        let host = world.add_host(HostSpec::new(name));
        world.apply(&Action::Join(Join { host })).expect("a new host can join");
    }
    world.run_until(annulus_core::Instant::from_millis(3_000));
    world
}

/// Hosts that join through the first one.
pub(crate) fn ring(seed: u64, members: u32, quality: LinkQuality) -> World {
    let mut world = World::new(seed, quality);
    for n in 0..members {
        let mut spec = HostSpec::new(format!("m{n}"));
        if n > 0 {
            spec.peers = vec![A];
        }
        let host = world.add_host(spec);
        world.apply(&Action::Join(Join { host })).expect("a new host can join");
    }
    world
}
