//! Whether the members of a ring share one view: of each other, of bans and of services. It compares nodes and
//! changes none.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{Authority, MemberId, Node, Rumor, RumorKey, ServiceGroup, ServiceState, State};

use crate::engine::deed::Deed;
use crate::engine::host::HostState;
use crate::engine::ids::HostId;
use crate::engine::world::World;

/// Hosts whose supervisors run and are not paused.
pub fn running<D: Deed>(world: &World<D>) -> impl Iterator<Item = HostId> {
    world.hosts().filter(|host| world.state(*host) == HostState::Running)
}

/// Whether `host` holds exactly `members`, sorted, to be alive.
#[must_use]
pub fn sees_alive<D: Deed>(world: &World<D>, host: HostId, members: &[MemberId]) -> bool {
    let Some(node) = world.node(host) else { return false };
    let alive = node.members().into_iter().filter(|m| m.state == State::Alive).map(|m| m.id);
    alive.eq(members.iter().copied())
}

/// The members that run, sorted.
#[must_use]
pub fn running_members<D: Deed>(world: &World<D>) -> Vec<MemberId> {
    let mut members: Vec<MemberId> = running(world).filter_map(|host| world.member_id(host)).collect();
    members.sort_unstable();
    members
}

/// Why the running members do not share one view; none when they do. In one view each member holds every running
/// member, and no other, alive in its own incarnation; none is suspected; all know the same bans and the same running
/// services. Memories of the dead are not compared: members forget them at different times, and late joiners are not
/// told.
#[must_use]
pub fn difference<D: Deed>(world: &World<D>) -> Option<String> {
    let nodes: Vec<(HostId, &Node)> = running(world).filter_map(|h| Some((h, world.node(h)?))).collect();
    // Counting finds most differences, and costs next to nothing.
    let miscounted = |(_, node): &&(HostId, &Node)| {
        node.count(State::Alive) != nodes.len() || node.count(State::Suspect) > 0
    };
    if let Some((host, node)) = nodes.iter().find(miscounted) {
        return Some(membership(world, &nodes, *host, node).unwrap_or_else(|| {
            format!(
                "{} holds {} members alive although {} run",
                world.spec(*host).name,
                node.count(State::Alive),
                nodes.len()
            )
        }));
    }
    nodes
        .iter()
        .find_map(|(host, node)| membership(world, &nodes, *host, node))
        .or_else(|| rumors(world, &nodes))
}

/// The mistake in one node's list of members.
fn membership<D: Deed>(
    world: &World<D>,
    nodes: &[(HostId, &Node)],
    host: HostId,
    node: &Node,
) -> Option<String> {
    let name = &world.spec(host).name;
    let mut alive = 0;
    for (other, theirs) in nodes {
        let held = node.member(&theirs.id());
        match held {
            Some(m) if m.state == State::Alive && m.incarnation == theirs.incarnation() => alive += 1,
            Some(m) => {
                return Some(format!(
                    "{name} holds {} to be {} in incarnation {}; it runs in incarnation {}",
                    world.spec(*other).name,
                    m.state,
                    m.incarnation,
                    theirs.incarnation()
                ));
            }
            None => return Some(format!("{name} does not know {}", world.spec(*other).name)),
        }
    }
    if alive == node.count(State::Alive) && node.count(State::Suspect) == 0 {
        return None;
    }
    let ghost = node
        .members()
        .into_iter()
        .find(|m| m.state <= State::Suspect && nodes.iter().all(|(_, other)| other.id() != m.id))?;
    Some(format!("{name} holds {} to be {}, which does not run", named(world, &ghost.id), ghost.state))
}

/// Bans, and rumors of running members' services, in which two nodes differ.
fn rumors<D: Deed>(world: &World<D>, nodes: &[(HostId, &Node)]) -> Option<String> {
    let runs: BTreeSet<MemberId> = nodes.iter().map(|(_, node)| node.id()).collect();
    let counts = |rumor: &&Rumor| {
        let is_compared = match rumor.authority() {
            Authority::Operator(_) | Authority::Ban(_) | Authority::Key(_) | Authority::Unknown(_) => true,
            Authority::Owner(member) => runs.contains(member),
            Authority::Itself(statement) => runs.contains(&statement.member_id),
            Authority::Voters(_) | Authority::Members(_) => false,
        };
        is_compared && !rumor.is_tombstone()
    };
    let stale = nodes.iter().find_map(|(host, node)| Some((host, not_served(node)?)));
    if let Some((host, group)) = stale {
        let name = &world.spec(*host).name;
        return Some(format!("{name} has told the ring that it serves {group} and does not"));
    }
    let (first, rest) = nodes.split_first()?;
    for (host, node) in rest {
        // Nodes tell their rumors in order of key.
        if !first.1.rumors().filter(counts).eq(node.rumors().filter(counts)) {
            let of = |node: &Node| -> BTreeMap<RumorKey, Rumor> {
                node.rumors().filter(counts).map(|rumor| (rumor.key(), rumor.clone())).collect()
            };
            let (mine, theirs) = (of(node), of(first.1));
            let key = mine
                .iter()
                .find(|(key, rumor)| theirs.get(key) != Some(rumor))
                .or_else(|| theirs.iter().find(|(key, _)| !mine.contains_key(key)))
                .map(|(key, _)| format!("{key:?}"))
                .unwrap_or_default();
            let (a, b) = (&world.spec(first.0).name, &world.spec(*host).name);
            return Some(format!("{a} and {b} do not know the same of {key}"));
        }
    }
    None
}

/// A group that a node tells the ring it serves although no service of its own is up in it.
fn not_served(node: &Node) -> Option<String> {
    let services = node.services();
    let idle = |state| matches!(state, ServiceState::Loaded | ServiceState::Down | ServiceState::Failed);
    let serves = |group: &ServiceGroup| services.iter().any(|s| s.group == *group && !idle(s.state));
    node.rumors().find_map(|rumor| match rumor {
        Rumor::Service(s) if s.member_id == node.id() && !s.tombstone && !serves(&s.group) => {
            Some(s.group.to_string())
        }
        _ => None,
    })
}

fn named<D: Deed>(world: &World<D>, member: &MemberId) -> String {
    match world.host_by_member(member) {
        Some(host) if world.member_id(host) == Some(*member) => world.spec(host).name.clone(),
        Some(host) => format!("{member}, once on {},", world.spec(host).name),
        None => member.to_string(),
    }
}
