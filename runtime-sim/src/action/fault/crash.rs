//! Crashes at bad moments: between a write and the answer that it is kept, and again and again.

use std::time::Duration;

use super::Step;
use crate::action::world::World;
use crate::action::{Action, DiskAfter, HostId};
use crate::engine::world::Thing;

/// A host's crash loop.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    host: u32,
    /// Crashes to come.
    left: u32,
    up: Duration,
    down: Duration,
    /// What comes next.
    crash: bool,
}

impl World {
    /// A supervisor waits for a write: the moment for which a crash may have been meant.
    pub(crate) fn crash_if_due(&mut self, host: u32) {
        let there = &mut self.hosts[host as usize];
        if std::mem::take(&mut there.rest.crash_at_sync) {
            let generation = there.generation;
            // At once, but not in the middle of what the node is saying.
            self.queue.push(self.now, Thing::Deed(Step::CrashAtSync { host, generation }));
        }
    }

    pub(super) fn crash_at_sync(&mut self, host: u32, generation: u32) {
        if self.hosts[host as usize].generation == generation && !self.calm {
            self.try_to(&Action::Crash(HostId(host)));
        }
    }

    pub(crate) fn crash_loop(&mut self, host: u32, times: u32, up: Duration, down: Duration) {
        if times > 0 {
            let step = Loop { host, left: times, up, down, crash: true };
            self.queue.push(self.now + up, Thing::Deed(Step::Loop(step)));
        }
    }

    pub(super) fn crash_loop_goes_on(&mut self, step: Loop) {
        if self.calm {
            return;
        }
        let Loop { host, left, up, down, crash } = step;
        let (action, after, left) = if crash {
            (Action::Crash(HostId(host)), down, left)
        } else {
            (Action::Restart(HostId(host), DiskAfter::Kept), up, left - 1)
        };
        self.try_to(&action);
        if left > 0 {
            let next = Loop { left, crash: !crash, ..step };
            self.queue.push(self.now + after, Thing::Deed(Step::Loop(next)));
        }
    }

    /// Does what is possible; a host that something else has befallen is left alone.
    fn try_to(&mut self, action: &Action) {
        match self.apply(action) {
            Err(error) if !error.is_untimely() => panic!("{error}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::engine::host::HostState;

    #[test]
    fn a_loop_has_so_many_crashes_and_ends_running() {
        let mut world = testing::pair(1, testing::quality());
        let (up, down) = (Duration::from_millis(300), Duration::from_millis(200));
        let before = world.hosts[B.0 as usize].generation;
        world.apply(&Action::CrashLoop { host: B, times: 3, up, down }).expect("possible");
        world.run_until(world.now() + Duration::from_millis(400));
        assert_eq!(world.state(B), HostState::Crashed);
        world.run_until(world.now() + Duration::from_secs(60));
        assert_eq!(world.state(B), HostState::Running);
        assert_eq!(world.hosts[B.0 as usize].generation, before + 3);
    }

    #[test]
    fn a_crash_comes_between_a_ban_and_its_sync_and_the_ban_is_there_or_not() {
        let mut found = [0, 0];
        for seed in 0..40 {
            let mut world = testing::ring(seed, 3, testing::quality());
            world.run_until(annulus_core::Instant::from_millis(3_000));
            let member = world.member_id(B).expect("it runs");
            world.apply(&Action::CrashAtSync(A)).expect("possible");
            world.apply(&Action::Depart { by: A, host: B }).expect("possible");
            world.run_until(world.now() + Duration::from_millis(1));
            assert_eq!(world.state(A), HostState::Crashed);
            world.apply(&Action::Restart(A, DiskAfter::Kept)).expect("its disk is sound");
            found[usize::from(world.node(A).is_some_and(|node| node.is_banned(&member)))] += 1;
        }
        assert!(found.iter().all(|count| *count > 5), "{found:?}");
    }
}
