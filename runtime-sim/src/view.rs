//! Whether the members of a ring see the same ring.

use annulus_core::{MemberId, MemberRecord, State};

use crate::action::HostId;
use crate::host::HostState;
use crate::world::World;

/// Hosts whose supervisors run and are not paused.
pub fn running(world: &World) -> impl Iterator<Item = HostId> {
    world.hosts().filter(|host| world.state(*host) == HostState::Running)
}

/// Whether `host` holds exactly `members`, sorted, to be alive.
#[must_use]
pub fn sees_alive(world: &World, host: HostId, members: &[MemberId]) -> bool {
    let Some(node) = world.node(host) else { return false };
    let alive = node.members().into_iter().filter(|m| m.state == State::Alive).map(|m| m.id);
    alive.eq(members.iter().copied())
}

/// The members that run, sorted.
#[must_use]
pub fn running_members(world: &World) -> Vec<MemberId> {
    let mut members: Vec<MemberId> = running(world).filter_map(|host| world.member_id(host)).collect();
    members.sort_unstable();
    members
}

/// Why the running members do not hold all of them to be alive; none when they do.
#[must_use]
pub fn accusation(world: &World) -> Option<String> {
    let members = running_members(world);
    for host in running(world) {
        let node = world.node(host)?;
        for member in &members {
            let state = node.member(member).map(|m| m.state);
            if state != Some(State::Alive) {
                let held = state.map_or("unknown", State::name);
                return Some(format!(
                    "{} holds {} to be {held}",
                    world.spec(host).name,
                    named(world, member)
                ));
            }
        }
    }
    None
}

/// Why the running members do not agree about everybody, the dead included; none when they do.
#[must_use]
pub fn disagreement(world: &World) -> Option<String> {
    let mut first: Option<(HostId, Vec<MemberRecord>)> = None;
    for host in running(world) {
        let mut view = world.node(host)?.members();
        // Whoever departed is on the way to being forgotten, and those who come later are not told of it.
        view.retain(|m| m.state != State::Departed);
        let name = &world.spec(host).name;
        if let Some(suspect) = view.iter().find(|m| m.state == State::Suspect) {
            return Some(format!("{name} still suspects {}", named(world, &suspect.id)));
        }
        let Some((other, theirs)) = &first else {
            first = Some((host, view));
            continue;
        };
        if let Some((mine, others)) = difference(&view, theirs) {
            let there = &world.spec(*other).name;
            return Some(format!(
                "{name} holds {} and {there} holds {}",
                told(world, mine),
                told(world, others)
            ));
        }
    }
    None
}

/// What a view says of a member: its record, or that there is none of this id.
type Held<'a> = Result<&'a MemberRecord, MemberId>;

/// The first record in which two sorted views differ, as each of them has it.
fn difference<'a>(a: &'a [MemberRecord], b: &'a [MemberRecord]) -> Option<(Held<'a>, Held<'a>)> {
    let essence = |m: &MemberRecord| (m.id, m.incarnation, m.state);
    for m in a {
        match b.iter().find(|o| o.id == m.id) {
            None => return Some((Ok(m), Err(m.id))),
            Some(other) if essence(other) != essence(m) => return Some((Ok(m), Ok(other))),
            Some(_) => {}
        }
    }
    let extra = b.iter().find(|o| !a.iter().any(|m| m.id == o.id))?;
    Some((Err(extra.id), Ok(extra)))
}

fn told(world: &World, record: Held<'_>) -> String {
    match record {
        Ok(m) => format!("{} to be {} in incarnation {}", named(world, &m.id), m.state, m.incarnation),
        Err(id) => format!("{} to be unknown", named(world, &id)),
    }
}

fn named(world: &World, member: &MemberId) -> String {
    match world.host_by_member(member) {
        Some(host) if world.member_id(host) == Some(*member) => world.spec(host).name.clone(),
        Some(host) => format!("{member}, once on {},", world.spec(host).name),
        None => member.to_string(),
    }
}
