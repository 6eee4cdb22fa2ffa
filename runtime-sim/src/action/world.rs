//! The engine's world with this simulator's actions as its deeds: the names that every floor above uses.

use std::fmt::Debug;
use std::time::Duration;

use super::{Action, ActionError, calm, crash_at_sync};
use crate::engine;
use crate::engine::deed::Deed;
use crate::engine::host::HostId;
use crate::engine::record::Recording;
use crate::engine::world::Thing;

/// A simulated world to which actions are done.
pub type World = engine::world::World<Action>;
/// A record of it.
pub type Record = engine::record::Record<Action>;
/// The content of a record.
pub type What = engine::record::What<Action>;

const _: () = assert!(size_of::<Thing<Action>>() <= 64, "tens of thousands of these wait in large rings");

/// The rest of an action, to be done later; its room knows how.
pub trait Later: Debug {
    /// Its time has come.
    fn go_on(self: Box<Self>, world: &mut World);
}

impl Deed for Action {
    type Step = Box<dyn Later>;

    fn go_on(world: &mut World, step: Self::Step) {
        step.go_on(world);
    }

    fn syncing(world: &mut World, host: HostId) {
        crash_at_sync::syncing(world, host);
    }

    fn ended(world: &mut World, host: HostId) {
        calm::ended(world, host);
    }
}

impl World {
    /// Does an action to the world, now.
    ///
    /// # Errors
    /// The action is impossible, such as a second join; nothing changed then.
    pub fn apply(&mut self, action: &Action) -> Result<(), ActionError> {
        action.check(self)?;
        self.note(Recording::Events, || What::Action(action.clone()));
        self.calm = false;
        action.act(self)
    }

    /// Does an action if it is possible; a host that another fault has changed is left alone.
    pub(super) fn try_to(&mut self, action: &Action) {
        match self.apply(action) {
            Err(error) if !error.is_untimely() => panic!("{error}"),
            Ok(()) | Err(_) => {}
        }
    }

    /// Leaves the rest of an action for later.
    pub(super) fn later(&mut self, after: Duration, rest: impl Later + 'static) {
        let rest: Box<dyn Later> = Box::new(rest);
        self.queue.push(self.now + after, Thing::Deed(rest));
    }
}
