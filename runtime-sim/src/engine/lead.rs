//! Groups with a leader: how a service of one is loaded, and which supervisor leads it.

use std::collections::BTreeMap;

use annulus_core::{
    ElectionId, ElectionPurpose, ElectionStatus, Instant, MemberId, Node, ServiceGroup, Topology,
    UpdateCondition,
};

use crate::engine::deed::Deed;
use crate::engine::ids::HostId;
use crate::engine::record::{Recording, StopReason, What};
use crate::engine::world::World;

/// How a service is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Whether its group has a leader.
    pub leader: bool,
    /// How large the group's electorate counts at least.
    pub quorum: Option<u32>,
    /// The number of its suitability hook; none: it has no such hook.
    pub suitability: Option<u64>,
    /// The name of its group; none: default.
    pub group: Option<String>,
    /// For one that takes newer builds at once: which ones count as newer; none: it takes none by itself.
    pub at_once: Option<UpdateCondition>,
}

impl Load {
    /// Options of a service whose group has a leader.
    #[must_use]
    pub const fn led() -> Self {
        Self { leader: true, quorum: None, suitability: None, group: None, at_once: None }
    }

    pub(crate) const fn topology(&self) -> Topology {
        if self.leader { Topology::Leader } else { Topology::Standalone }
    }
}

/// The leader of a group, as one node sees it.
pub(crate) fn leader_seen(node: &Node, group: &ServiceGroup) -> Option<MemberId> {
    let census = node.census();
    let group = census.group(group)?;
    let election = group.election(ElectionPurpose::Leader);
    election.leader.filter(|_| election.status == ElectionStatus::Finished)
}

/// The term and the end of the lease, by its own clock, that a host's supervisor held when the world last looked.
pub(crate) type Led = BTreeMap<(u32, ServiceGroup), (u64, Instant)>;

impl<D: Deed> World<D> {
    /// Records changes in the groups that a supervisor leads.
    pub(crate) fn note_leads(&mut self, index: u32, node: &Node) {
        let mut now: Vec<(ServiceGroup, u64, Instant)> = Vec::new();
        now.extend(node.leads().map(|(group, term, until)| (group.clone(), term, until)));
        let ended = |group: &ServiceGroup| now.iter().all(|(led, _, _)| led != group);
        let old: Vec<(ServiceGroup, u64)> = self
            .led
            .iter()
            .filter(|((host, group), _)| *host == index && ended(group))
            .map(|((_, group), (term, _))| (group.clone(), *term))
            .collect();
        let host = HostId(index);
        for (group, term) in old {
            self.led.remove(&(index, group.clone()));
            self.note(Recording::Events, || What::Leads { host, group, term, until: None });
        }
        for (group, term, local) in now {
            if self.led.insert((index, group.clone()), (term, local)) != Some((term, local)) {
                let until = Some(self.hosts[index as usize].world(local));
                self.note(Recording::Events, || What::Leads { host, group, term, until });
            }
        }
    }

    /// A clock that runs differently ends leases at other times, but none that has ended already.
    pub(crate) fn leads_by_new_clock(&mut self, index: u32) {
        let led: Vec<(ServiceGroup, u64, Instant)> = self
            .led
            .iter()
            .filter(|((host, _), _)| *host == index)
            .map(|((_, group), (term, local))| (group.clone(), *term, *local))
            .collect();
        for (group, term, local) in led {
            let until = self.hosts[index as usize].world(local);
            if until > self.now {
                let (host, until) = (HostId(index), Some(until));
                self.note(Recording::Events, || What::Leads { host, group, term, until });
            }
        }
    }

    /// A supervisor ended. A killed supervisor leaves its service running until the launcher, which holds the
    /// process, ends it with the lease; otherwise nothing is left.
    pub(crate) fn leads_no_longer(&mut self, index: u32, why: StopReason) {
        let led: Vec<(ServiceGroup, u64)> = self
            .led
            .iter()
            .filter(|((host, _), _)| *host == index)
            .map(|((_, group), (term, _))| (group.clone(), *term))
            .collect();
        for (group, term) in led {
            self.led.remove(&(index, group.clone()));
            if why != StopReason::Killed {
                let host = HostId(index);
                self.note(Recording::Events, || What::Leads { host, group, term, until: None });
            }
        }
    }

    pub(crate) fn set_suitability(&mut self, host: HostId, service: &str, says: Option<u64>) {
        if let Some(says) = says {
            self.hosts[host.0 as usize].rest.suitability.insert(service.to_owned(), says);
        }
    }

    /// The hosts whose supervisor, by its own clock, may act as the group's leader now. A paused supervisor counts
    /// too: its service goes on.
    pub(crate) fn acting(&self, group: &ServiceGroup) -> Vec<HostId> {
        let acts = |host: &HostId| self.acting_until(*host, group).is_some_and(|until| until > self.now());
        (0..self.hosts.len() as u32).map(HostId).filter(acts).collect()
    }

    /// Until when, by the world's clock, a host's supervisor acts as the leader; none when it does not.
    pub(crate) fn acting_until(&self, host: HostId, group: &ServiceGroup) -> Option<Instant> {
        let (node, election) = (self.node(host)?, ElectionId::leader(group.clone()));
        let view = node.elections().into_iter().find(|view| view.election == election)?;
        let until = view.acting_until?;
        let clock = self.hosts[host.0 as usize].clock.as_ref();
        Some(clock.map_or(until, |clock| clock.world(until)))
    }
}
