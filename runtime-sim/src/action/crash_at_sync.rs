//! The action `crash_at_sync`: a host loses power between a write and the answer that it is kept.

use std::time::Duration;

use serde::Deserialize;

use super::ActionError;
use super::crash::Crash;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::{Later, World};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The host loses power the next time that its supervisor waits for a write to be synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashAtSync {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    crash_at_sync: SpannedNames,
}

impl Room for CrashAtSync {
    type Form = Form;

    const WORD: Word = Word {
        key: "crash_at_sync",
        beside: "",
        example: "crash_at_sync = \"bob\"",
        doc: "a host loses power the next time that its supervisor waits for its disk",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.crash_at_sync, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} will lose power while it next waits for its disk.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("crash-at-sync", self.host)
    }

    fn counted(&self) -> &'static str {
        "crash at sync"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "crash at its next sync", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.hosts[self.host.0 as usize].rest.crash_at_sync = true;
        Ok(())
    }
}

/// A supervisor waits for a write: the moment that a crash may have been meant for.
pub(super) fn syncing(world: &mut World, host: HostId) {
    let there = &mut world.hosts[host.0 as usize];
    if std::mem::take(&mut there.rest.crash_at_sync) {
        let generation = there.generation;
        // The crash happens at once, but not in the middle of the node's outputs.
        world.later(Duration::ZERO, Due { host, generation });
    }
}

/// The process of this number on a host is to lose power, now.
#[derive(Debug)]
struct Due {
    host: HostId,
    generation: u32,
}

impl Later for Due {
    fn go_on(self: Box<Self>, world: &mut World) {
        let Self { host, generation } = *self;
        if world.hosts[host.0 as usize].generation == generation && !world.calm {
            world.try_to(&Crash { host }.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::Instant;

    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::{Depart, DiskAfter, HostState, Restart};

    #[test]
    fn a_crash_comes_between_a_ban_and_its_sync_and_the_ban_is_there_or_not() {
        let mut found = [0, 0];
        for seed in 0..40 {
            let mut world = testing::ring(seed, 3, testing::quality());
            world.run_until(Instant::from_millis(3_000));
            let member = world.member_id(B).expect("it runs");
            world.apply(&CrashAtSync { host: A }.into()).expect("possible");
            world.apply(&Depart { by: A, host: B }.into()).expect("possible");
            world.run_until(world.now() + Duration::from_millis(1));
            assert_eq!(world.state(A), HostState::Crashed);
            world.apply(&Restart { host: A, disk: DiskAfter::Kept }.into()).expect("its disk is sound");
            found[usize::from(world.node(A).is_some_and(|node| node.is_banned(&member)))] += 1;
        }
        assert!(found.iter().all(|count| *count > 5), "{found:?}");
    }
}
