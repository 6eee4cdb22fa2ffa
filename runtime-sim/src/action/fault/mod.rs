//! What can go wrong beyond hosts that stop and links that are cut, one file for each fault.
//!
//! | file | what |
//! |---|---|
//! | `crash` | a crash between a write and its sync; crash after crash |
//! | `clone` | one identity on two hosts |
//! | `calm` | every fault ends |

mod calm;
mod clone;
mod crash;

use crate::action::apply::ActionError;
use crate::action::world::World;
use crate::action::{Burst, Capacity, Delay};

/// A step of a fault that waits in the queue.
#[derive(Clone, Copy, Debug)]
pub enum Step {
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
