//! What the engine has to know of a deed, which is anything done to a world from outside: how to record it and how to
//! let it go on. The engine may not name a deed; `action/`, above the engine, defines them all.

use std::fmt::Debug;

use crate::engine::ids::HostId;
use crate::engine::world::World;

/// A deed that can be done to a world.
pub trait Deed: Clone + Debug + PartialEq {
    /// The rest of a deed that waits in the queue, to go on at its time.
    type Step: Debug;

    /// The time of a step has come.
    fn go_on(world: &mut World<Self>, step: Self::Step);
    /// A supervisor waits for a write to be synced.
    fn syncing(world: &mut World<Self>, host: HostId);
    /// A supervisor's process ended.
    fn ended(world: &mut World<Self>, host: HostId);
}
