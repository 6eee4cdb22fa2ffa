//! Elections hear of changes that concern them, and of no others.

use alloc::format;
use alloc::vec::Vec;

use super::{PORT, UnixTime};
use crate::model::config::Config;
use crate::model::id::ServiceGroup;
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::io::{Effect, EffectResult, Input, Output};
use crate::model::service::{Health, ServiceSpec, Topology};
use crate::model::time::Instant;
use crate::node::Node;
use crate::service::ServiceEvent;
use crate::store::snapshot::Snapshot;

/// A node that has begun to run this many services, each in a group with a leader.
fn node(services: usize) -> Node {
    let spec = |n: usize| {
        let ident = format!("core/s{n:03}").parse().expect("a valid ident");
        ServiceSpec { topology: Topology::Leader, ..ServiceSpec::new(ident) }
    };
    let snapshot = Snapshot {
        services: (0..services).map(spec).collect(),
        ..Snapshot::new(KeyedHash::new([1; 32]).id())
    };
    let (now, wall) = (Instant::ZERO, UnixTime::default());
    let mut node = Node::new(Config::new(PORT), super::signer(), Some(snapshot), [7; 32], now, wall);
    let Some(Output::Effect(id, Effect::Persist { .. })) = node.poll_output() else { panic!("its identity") };
    while node.poll_output().is_some() {}
    node.handle_input(now, wall, Input::EffectDone(id, EffectResult::Persisted));
    while node.poll_output().is_some() {}
    assert_eq!(node.services().len(), services);
    node
}

#[test]
fn an_event_of_one_service_concerns_the_elections_of_its_group_alone() {
    const SERVICES: usize = 100;
    let mut node = node(SERVICES);
    let groups: Vec<ServiceGroup> = node.services().into_iter().map(|view| view.group).collect();
    assert!(node.election.due().is_empty(), "no election is due when an input ends");
    let mut heard = 0;
    for group in &groups {
        let event = ServiceEvent::Health { group: group.clone(), health: Health::Ok };
        node.on_service_event(event);
        assert_eq!(node.election.due().keys().collect::<Vec<_>>(), [group]);
        heard += node.election.due().len();
        node.refresh_elections();
        while node.poll_output().is_some() {}
    }
    assert_eq!(heard, SERVICES, "one election for each event, where it was every election for each");
}

#[test]
fn one_service_is_found_by_its_name_and_its_group() {
    let node = node(3);
    let view = node.service(&"s001".parse().expect("a valid name")).expect("it is loaded");
    assert_eq!(view, node.services()[1]);
    assert_eq!(node.services.name_in(&view.group).map(|name| name.as_str()), Some("s001"));
    assert_eq!(node.services.name_in(&view.group), Some(&view.spec.name()));
    let elsewhere: ServiceGroup = "s001.other".parse().expect("a valid group");
    assert_eq!(node.services.name_in(&elsewhere), None, "the group counts, not only the service");
    assert_eq!(node.service(&"s009".parse().expect("a valid name")), None);
}
