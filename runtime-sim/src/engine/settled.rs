//! Whether a ring has come to rest, by its processes and files: every wanted service runs with the configuration that
//! its member holds, and every member and every file name the same leader. It compares and changes nothing.

use std::collections::BTreeMap;

use annulus_core::{
    Demoted, DesiredState, MemberId, Node, Role, RumorKey, ServiceGroup, ServiceState, ServiceView, Topology,
};

use crate::engine::deed::Deed;
use crate::engine::ids::HostId;
use crate::engine::package::Package;
use crate::engine::view;
use crate::engine::world::World;

/// The first thing that is not as it should be once everything has settled; none when all is.
#[must_use]
pub fn unsettled<D: Deed>(world: &World<D>) -> Option<String> {
    let mut leaders: BTreeMap<ServiceGroup, (HostId, MemberId)> = BTreeMap::new();
    let wrong = view::running(world).find_map(|host| {
        let node = world.node(host)?;
        let services = node.services();
        let plain = services.iter().filter(|view| is_plain(world, host, view));
        plain
            .filter(|view| view.spec.desired == DesiredState::Up && !waits_for_a_bind(node, view))
            .find_map(|view| wrong(world, host, node, view, &mut leaders))
    });
    wrong.or_else(|| misled(world, &leaders))
}

/// A member that names another leader of a group than its members do, or none.
fn misled<D: Deed>(world: &World<D>, leaders: &BTreeMap<ServiceGroup, (HostId, MemberId)>) -> Option<String> {
    let misled = |host: HostId| {
        let node = world.node(host)?;
        let wrong = leaders
            .iter()
            .find(|(group, (_, leader))| crate::engine::lead::leader_seen(node, group) != Some(*leader));
        let (group, (first, _)) = wrong?;
        let (name, first) = (&world.spec(host).name, &world.spec(*first).name);
        Some(format!("{name} does not name the leader of {group} that {first} names"))
    };
    view::running(world).find_map(misled)
}

/// A service that is bound to a group that no alive member serves waits for it.
fn waits_for_a_bind(node: &Node, view: &ServiceView) -> bool {
    let census = node.census();
    let is_served = |bind: &String| {
        let group = bind.split(':').nth(1).and_then(|group| group.parse().ok());
        let group = group.as_ref().and_then(|group: &ServiceGroup| census.group(group));
        group.is_some_and(|group| group.alive().any(|member| member.initialized))
    };
    view.state == ServiceState::Waiting && !view.spec.binds.iter().all(is_served)
}

/// A package that goes wrong by itself comes to no rest.
fn is_plain<D: Deed>(world: &World<D>, host: HostId, view: &ServiceView) -> bool {
    let package = world.hosts[host.0 as usize].rest.packages.get(&view.spec.name());
    package.is_none_or(|package| {
        let Package { lives, failing, hanging, bind, health, .. } = package;
        lives.is_none() && failing.is_empty() && hanging.is_empty() && bind.is_none() && health.is_none()
    })
}

fn wrong<D: Deed>(
    world: &World<D>,
    host: HostId,
    node: &Node,
    view: &ServiceView,
    leaders: &mut BTreeMap<ServiceGroup, (HostId, MemberId)>,
) -> Option<String> {
    let (name, service) = (&world.spec(host).name, view.spec.name());
    let leader = match view.spec.topology {
        Topology::Standalone => None,
        // A group that cannot elect waits, and its services with it; members may still name a leader that is gone.
        Topology::Leader if world.acting(&view.group).is_empty() => return None,
        Topology::Leader => Some(crate::engine::lead::leader_seen(node, &view.group)?),
    };
    let rest = &world.hosts[host.0 as usize].rest;
    let only_leads = rest.packages.get(&service).is_some_and(|package| package.demoted == Demoted::Stop);
    if only_leads && view.state == ServiceState::Waiting && leader != Some(node.id()) {
        return None;
    }
    if view.state != ServiceState::Up || rest.guards.get(&service).is_none() {
        return Some(format!("{service} is wanted on {name} and is {}", view.state));
    }
    let Some(files) = rest.files.get(&service) else {
        return Some(format!("{service} runs on {name} without files"));
    };
    let held =
        node.rumor(&RumorKey::ServiceConfig(view.group.clone())).map_or(0, annulus_core::Rumor::number);
    if files.rendering.config != held {
        return Some(format!(
            "the files of {service} on {name} have version {} of the configuration; {name} holds version {held}",
            files.rendering.config
        ));
    }
    let leader = leader?;
    let (first, named) = *leaders.entry(view.group.clone()).or_insert((host, leader));
    let rendered = match &files.rendering.role {
        Some(Role::Leader { .. }) => Some(node.id()),
        Some(Role::Follower { leader, .. }) => Some(*leader),
        Some(Role::Waiting { .. }) | None => None,
    };
    if leader != named {
        return Some(format!(
            "{name} and {} name different leaders of {}",
            world.spec(first).name,
            view.group
        ));
    }
    if rendered != Some(leader) {
        return Some(format!("the files of {service} on {name} do not name the leader of {}", view.group));
    }
    None
}
