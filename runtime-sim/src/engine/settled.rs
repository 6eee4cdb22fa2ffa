//! Whether a ring has come to rest, by its processes and files: every wanted service runs with the configuration that
//! its member holds, and every member and every file name the same leader. It compares and changes nothing.

use std::collections::BTreeMap;

use annulus_core::{
    DesiredState, MemberId, Node, Role, RumorKey, ServiceGroup, ServiceState, ServiceView, Topology,
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
    view::running(world).find_map(|host| {
        let node = world.node(host)?;
        let services = node.services();
        let plain = services.iter().filter(|view| is_plain(world, host, view));
        plain
            .filter(|view| view.spec.desired == DesiredState::Up)
            .find_map(|view| wrong(world, host, node, view, &mut leaders))
    })
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
        // A group that cannot elect waits, and its services with it.
        Topology::Leader => Some(crate::engine::lead::leader_seen(node, &view.group)?),
    };
    let rest = &world.hosts[host.0 as usize].rest;
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
