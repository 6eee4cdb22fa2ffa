//! What can go wrong beyond hosts that stop and links that are cut, one file for each fault.
//!
//! | file | what |
//! |---|---|
//! | `burst` | losses that come in bursts |
//! | `capacity` | links that carry so much and no more |
//! | `slow` | supervisors that handle everything late |
//! | `crash` | a crash between a write and its sync; crash after crash |
//! | `clone` | one identity on two hosts |
//! | `calm` | every fault ends |

mod burst;
mod calm;
mod capacity;
mod clone;
mod crash;
mod slow;

use std::time::Duration;

use annulus_core::{Instant, Rng};

use crate::action::{Burst, Capacity, Delay};
use crate::apply::ActionError;
use crate::record::DropReason;
use crate::world::World;

pub(crate) use slow::SlowHosts;

/// What a packet without payload weighs: headers.
pub(crate) const BARE_PACKET_BYTES: usize = 60;

/// A step of a fault that waits in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A host that left while everything was calm starts again.
    Revive(u32),
    /// The process of this number on a host was to lose power at its next sync, which is now.
    CrashAtSync { host: u32, generation: u32 },
    /// A host's crash loop goes on.
    Loop(crash::Loop),
}

impl World {
    pub(crate) fn fault_goes_on(&mut self, step: Step) {
        match step {
            Step::Revive(host) => self.revive(host),
            Step::CrashAtSync { host, generation } => self.crash_at_sync(host, generation),
            Step::Loop(step) => self.crash_loop_goes_on(step),
        }
    }
}

/// What is wrong with links beyond their quality.
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
        from: &[crate::action::HostId],
        to: &[crate::action::HostId],
        burst: Option<Burst>,
    ) {
        self.bursts.set(from, to, burst);
    }

    pub(crate) fn set_capacity(
        &mut self,
        from: &[crate::action::HostId],
        to: &[crate::action::HostId],
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

pub(crate) fn check_burst(burst: Option<&Burst>) -> Result<(), ActionError> {
    match burst {
        Some(burst) if burst.loss.denominator == 0 => Err(ActionError::Link("a ratio's denominator is zero")),
        Some(burst) if burst.good.is_zero() || burst.bad.is_zero() => {
            Err(ActionError::Link("a burst needs a good time and a bad time"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_capacity(capacity: Option<&Capacity>) -> Result<(), ActionError> {
    match capacity {
        Some(capacity) if capacity.bytes_per_s == 0 => {
            Err(ActionError::Link("it carries nothing; cut it instead"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_delay(delay: Option<&Delay>) -> Result<(), ActionError> {
    match delay {
        Some(delay) if delay.min > delay.max => {
            Err(ActionError::Host("the shortest delay exceeds the longest"))
        }
        _ => Ok(()),
    }
}

pub(crate) const fn check_rate(ppm: i32) -> Result<(), ActionError> {
    if ppm > -1_000_000 {
        Ok(())
    } else {
        Err(ActionError::Host("a clock cannot stand still or run backwards"))
    }
}
