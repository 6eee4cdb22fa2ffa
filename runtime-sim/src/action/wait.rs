//! An operator that waits until a version is in effect on every alive member of its group, as `--wait` does: it asks the
//! supervisor that took the version, again and again. It changes nothing.

use std::time::Duration;

use annulus_core::{Instant, MemberId, Node, Rumor, RumorKey};

use super::world::{Later, What, World};
use crate::engine::host::HostId;
use crate::engine::record::Recording;
use crate::engine::scene::not_applied;

/// The first pause between two looks; each further one is half as long again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// A version that an operator waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    host: HostId,
    key: RumorKey,
    version: u64,
    until: Instant,
    pause: Duration,
}

impl Waiting {
    /// From now on an operator waits for the version that was given to a host.
    pub(super) fn begin(world: &mut World, host: HostId, key: RumorKey, version: u64, time: Duration) {
        let until = world.now() + time;
        world.later(LOOK_AGAIN, Self { host, key, version, until, pause: LOOK_AGAIN });
    }
}

impl Later for Waiting {
    fn go_on(self: Box<Self>, world: &mut World) {
        // An operator whose supervisor has gone is told so, and waits no longer.
        let Some(node) = world.node(self.host) else { return };
        if is_overtaken(node, &self.key, self.version) {
            return;
        }
        if let Some(on) = in_effect(node, &self.key, self.version) {
            let on = on.iter().filter_map(|member| world.host_by_member(member)).collect();
            let Self { host, key, version, .. } = *self;
            world.note(Recording::Events, || What::Confirmed { host, key, version, on });
        } else if world.now() < self.until {
            let pause = (self.pause * 3 / 2).min(LOOK_AGAIN_MAX);
            let left = self.until.saturating_since(world.now());
            world.later(self.pause.min(left), Self { pause, ..*self });
        }
    }
}

/// Whether a later version, or another of the same number, has taken its place.
fn is_overtaken(node: &Node, key: &RumorKey, version: u64) -> bool {
    let Some(held) = node.rumor(key).and_then(Rumor::version) else { return false };
    let lost = held.losers().any(|loser| loser.writer == Some(node.id()));
    held.number > version || (held.number == version && lost)
}

/// The alive members of the group, if all of them run with the version by their own word.
fn in_effect(node: &Node, key: &RumorKey, version: u64) -> Option<Vec<MemberId>> {
    let none_is_missing = not_applied(node, key, version).is_some_and(|missing| missing.is_empty());
    let census = node.census();
    let group = census.group(key.group()?).filter(|_| none_is_missing)?;
    Some(group.alive().map(|member| member.member_id).collect())
}
