//! What a trace knows of groups, services and hosts, for the explanations of them and for errors that list what there is.

use annulus_core::{ElectionPurpose, EventId, EventKind};

use super::load::{Event, Nanos, Trace};

impl Trace {
    /// Whether the group elects a leader in this trace.
    pub(super) fn elects(&self, group: &str) -> bool {
        self.groups_with_leader().iter().any(|known| known == group)
    }

    /// The groups that elect a leader.
    pub(super) fn groups_with_leader(&self) -> Vec<String> {
        let of = |event: &Event| match &event.kind {
            EventKind::Election { election, .. } if election.purpose == ElectionPurpose::Leader => {
                Some(election.group.to_string())
            }
            _ => None,
        };
        let mut groups: Vec<String> = self.events.iter().filter_map(of).collect();
        let asked = self.packets.values().filter_map(|packet| packet.ballot.as_ref());
        groups.extend(asked.map(|ballot| ballot.group.clone()).filter(|group| !group.contains(' ')));
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The services that were ever loaded on a host.
    pub(super) fn services_of(&self, host: &str) -> Vec<String> {
        let of = |event: &&Event| event.host == host;
        let service = |event: &Event| match &event.kind {
            EventKind::ServiceChanged { service, .. } => Some(service.as_str().to_owned()),
            _ => None,
        };
        self.events.iter().filter(of).filter_map(service).collect()
    }

    /// The groups that were given a configuration.
    pub(super) fn configured_groups(&self) -> Vec<String> {
        let of = |key: &annulus_core::RumorKey| match key.name() {
            "service_config" => key.group().map(ToString::to_string),
            _ => None,
        };
        self.holds.iter().filter_map(|hold| of(&hold.key)).collect()
    }

    /// The hosts whose supervisor runs at a time.
    pub(super) fn running(&self, t: Nanos) -> Vec<&str> {
        let mut hosts: Vec<&str> =
            self.starts.iter().filter(|(at, _, _)| *at <= t).map(|(_, host, _)| host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|host| self.down(host, t).is_none());
        hosts
    }

    /// The actions that stop packets to a host at a time.
    pub(super) fn cuts_to(&self, host: &str, t: Nanos) -> Vec<usize> {
        let others = self.running(t);
        let others = others.iter().filter(|other| **other != host);
        let mut cuts: Vec<usize> =
            others.filter_map(|other| self.cut(other, host, t)).map(|(index, _)| index).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The event of the same process with this number.
    pub(super) fn event_of(&self, of: &Event, id: EventId) -> Option<&Event> {
        self.events.iter().find(|e| e.host == of.host && e.life == of.life && e.id == id)
    }
}
