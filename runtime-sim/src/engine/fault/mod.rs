//! Faults of links that last for a while, one file for each; actions switch them on and off.
//!
//! | file | what |
//! |---|---|
//! | `burst` | losses that come in bursts |
//! | `capacity` | links that carry so much and no more |

mod burst;
mod capacity;

use std::time::Duration;

use annulus_core::{Instant, Rng};

use crate::engine::link::{Burst, Capacity};
use crate::engine::record::DropReason;

/// The weight of a packet without payload: headers.
pub(crate) const BARE_PACKET_BYTES: usize = 60;

/// The faults of links beyond their quality.
#[derive(Debug)]
pub(crate) struct LinkFaults {
    bursts: burst::Bursts,
    capacity: capacity::Capacities,
}

impl LinkFaults {
    pub(crate) const fn new(rng: Rng) -> Self {
        Self { bursts: burst::Bursts::new(rng), capacity: capacity::Capacities::new() }
    }

    pub(crate) fn set_burst(
        &mut self,
        from: &[crate::engine::ids::HostId],
        to: &[crate::engine::ids::HostId],
        burst: Option<Burst>,
    ) {
        self.bursts.set(from, to, burst);
    }

    pub(crate) fn set_capacity(
        &mut self,
        from: &[crate::engine::ids::HostId],
        to: &[crate::engine::ids::HostId],
        capacity: Option<Capacity>,
    ) {
        self.capacity.set(from, to, capacity);
    }

    /// Whether a burst takes a packet that leaves now.
    pub(crate) fn burst_loses(&mut self, now: Instant, from: u32, to: u32) -> bool {
        self.bursts.loses(now, from, to)
    }

    /// How long a packet that leaves now waits for those before it.
    pub(crate) fn queued(
        &mut self,
        now: Instant,
        from: u32,
        to: u32,
        bytes: usize,
    ) -> Result<Duration, DropReason> {
        self.capacity.queued(now, from, to, bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.bursts.clear();
        self.capacity.clear();
    }
}
