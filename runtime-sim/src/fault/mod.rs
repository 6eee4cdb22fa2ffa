//! What can go wrong beyond hosts that stop and links that are cut, one file for each fault.
//!
//! | file | what |
//! |---|---|
//! | `calm` | every fault ends |

mod calm;

use crate::world::World;

/// A step of a fault that waits in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A host that left while everything was calm starts again.
    Revive(u32),
}

impl World {
    pub(crate) fn fault_goes_on(&mut self, step: Step) {
        match step {
            Step::Revive(host) => self.revive(host),
        }
    }
}
