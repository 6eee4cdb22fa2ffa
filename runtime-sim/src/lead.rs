//! Groups with a leader: how a service of one is loaded, and who leads it.

use annulus_core::{ElectionStatus, Instant, MemberId, Node, ServiceGroup, ServiceName, Topology};

use crate::action::HostId;
use crate::world::World;

/// How a service is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Whether its group has a leader.
    pub leader: bool,
    /// How large the group's electorate counts at least.
    pub quorum: Option<u32>,
    /// What its suitability hook says; without one it says nothing.
    pub suitability: Option<u64>,
}

impl Load {
    /// One of a group with a leader.
    #[must_use]
    pub const fn led() -> Self {
        Self { leader: true, quorum: None, suitability: None }
    }

    pub(crate) const fn topology(self) -> Topology {
        if self.leader { Topology::Leader } else { Topology::Standalone }
    }
}

/// The group that services of this name form where the scenario names no other.
pub(crate) fn group_of(service: &ServiceName) -> Option<ServiceGroup> {
    ServiceGroup::new(service.as_str(), "default", None).ok()
}

/// Who leads a group, as one node sees it.
pub(crate) fn leader_seen(node: &Node, service: &ServiceName) -> Option<MemberId> {
    let group = group_of(service)?;
    let census = node.census();
    let group = census.group(&group)?;
    group.leader.filter(|_| group.election == ElectionStatus::Finished)
}

impl World {
    pub(crate) fn set_suitability(&mut self, host: HostId, service: &str, says: Option<u64>) {
        if let Some(says) = says {
            self.hosts[host.0 as usize].rest.suitability.insert(service.to_owned(), says);
        }
    }

    /// The hosts whose supervisor, by its own clock, may act as the group's leader now; also one that is paused, and
    /// whose service goes on.
    pub(crate) fn acting(&self, service: &ServiceName) -> Vec<HostId> {
        let acts = |host: &HostId| self.acting_until(*host, service).is_some_and(|until| until > self.now());
        (0..self.hosts.len() as u32).map(HostId).filter(acts).collect()
    }

    /// Until when, by the world's clock, a host's supervisor acts as the leader; none when it does not.
    pub(crate) fn acting_until(&self, host: HostId, service: &ServiceName) -> Option<Instant> {
        let (node, group) = (self.node(host)?, group_of(service)?);
        let view = node.elections().into_iter().find(|view| view.group == group)?;
        let until = view.acting_until?;
        let clock = self.hosts[host.0 as usize].clock.as_ref();
        Some(clock.map_or(until, |clock| clock.world(until)))
    }
}
