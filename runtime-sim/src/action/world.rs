//! The engine's world with this simulator's actions as its deeds: the names that every floor above uses.

use super::Action;
use super::fault::Step;
use crate::engine;
use crate::engine::deed::Deed;
use crate::engine::host::HostId;
use crate::engine::world::Thing;

/// A simulated world to which actions are done.
pub type World = engine::world::World<Action>;
/// Something that happened in it.
pub type Record = engine::record::Record<Action>;
/// What happened.
pub type What = engine::record::What<Action>;

const _: () = assert!(size_of::<Thing<Action>>() <= 64, "tens of thousands of these wait in large rings");

impl Deed for Action {
    type Step = Step;

    fn go_on(world: &mut World, step: Step) {
        world.fault_goes_on(step);
    }

    fn syncing(world: &mut World, host: HostId) {
        world.crash_if_due(host.0);
    }

    fn ended(world: &mut World, host: HostId) {
        world.stopped_while_calm(host.0);
    }
}
