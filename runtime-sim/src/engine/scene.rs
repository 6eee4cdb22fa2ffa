//! A ring as the questions of an expectation see it: a simulated world, or a ring that runs elsewhere. A scene may
//! look at every host at once, which no member can; it may not change one.

use annulus_core::{
    Incarnation, Instant, MemberId, Node, PackageIdent, Rumor, RumorKey, ServiceGroup, ServiceName,
    ServiceState, State,
};

use crate::engine::deed::Deed;
use crate::engine::host::HostState;
use crate::engine::ids::HostId;
use crate::engine::rendering::Rendering;
use crate::engine::world::World;

/// A ring in which every host can be looked at, at once.
pub trait Scene {
    /// Time since the beginning.
    fn now(&self) -> Instant;
    /// A host's name.
    fn name(&self, host: HostId) -> &str;
    /// Whether a supervisor runs on a host.
    fn state(&self, host: HostId) -> HostState;
    /// The member that runs, or last ran, on a host.
    fn member_id(&self, host: HostId) -> Option<MemberId>;
    /// The host that a member runs on, or last ran on.
    fn host_by_member(&self, member: &MemberId) -> Option<HostId>;
    /// The identity of the supervisor on a host; none while it has no process.
    fn identity(&self, host: HostId) -> Option<(MemberId, Incarnation)>;
    /// The state that the supervisor at `by` holds of a member; none when it does not know it.
    fn held(&self, by: HostId, of: &MemberId) -> Option<State>;
    /// How many members the supervisor at `by` holds in this state, or in any.
    fn count(&self, by: HostId, state: Option<State>) -> usize;
    /// How a service fares on a host; none when it is not loaded there.
    fn service(&self, host: HostId, service: &ServiceName) -> Option<ServiceState>;
    /// Whether the supervisor at `by` was told that a service of this name runs at `member`.
    fn knows_service(&self, by: HostId, member: &MemberId, service: &ServiceName) -> bool;
    /// The group of a service that is loaded on a host; none also where the scene cannot look into that supervisor.
    fn group_of(&self, _host: HostId, _service: &ServiceName) -> Option<ServiceGroup> {
        None
    }
    /// The build of a service's process on a host; none also where the scene cannot look at processes.
    fn build(&self, _host: HostId, _service: &ServiceName) -> Option<PackageIdent> {
        None
    }
    /// The hosts that act as the leader of a group.
    fn acting(&self, _group: &ServiceGroup) -> Vec<HostId> {
        Vec::new()
    }
    /// The hosts on which a process of the group's service runs whose files say that it leads.
    fn told_to_lead(&self, _group: &ServiceGroup) -> Vec<HostId> {
        Vec::new()
    }
    /// What the templates of a service on a host were given when they were last written.
    fn rendering(&self, _host: HostId, _service: &ServiceName) -> Option<&Rendering> {
        None
    }
    /// The leader of a group, as the supervisor at `by` knows.
    fn leader_seen(&self, _by: HostId, _group: &ServiceGroup) -> Option<MemberId> {
        None
    }
    /// Number and content's hash of the version that the supervisor at `by` holds of a group's configuration or file;
    /// none also where the scene cannot look into that supervisor.
    fn version(&self, _by: HostId, _key: &RumorKey) -> Option<(u64, u64)> {
        None
    }
    /// The revision of the ring's key that the supervisor on a host speaks with.
    fn ring_key(&self, _host: HostId) -> Option<u64> {
        None
    }
    /// How many rumors the supervisor at `by` holds that it does not understand; none also where the scene cannot look
    /// into that supervisor.
    fn opaque(&self, _by: HostId) -> usize {
        0
    }
    /// The alive members of a group that do not run with what its operators gave it, as the supervisor at `by` knows
    /// from their own word; none where it holds another version than this one.
    fn not_applied(&self, _by: HostId, _key: &RumorKey, _version: u64) -> Option<Vec<MemberId>> {
        None
    }
    /// Requests that load balancers have sent, and those of them that were lost.
    fn requests(&self) -> (u64, u64) {
        (0, 0)
    }
    /// The first process or file that is not as it should be once everything has settled; none when all are.
    fn unsettled(&self) -> Option<String> {
        Some(String::from("processes and files cannot be looked at here: run the scenario in the simulator"))
    }
    /// Why the running hosts among these do not share one view; none when they do.
    fn difference(&self, hosts: &[HostId]) -> Option<String> {
        let runs = |host: &&HostId| self.state(**host) == HostState::Running;
        for by in hosts.iter().filter(runs) {
            for of in hosts.iter().filter(runs).filter(|of| *of != by) {
                let held = self.member_id(*of).and_then(|member| self.held(*by, &member));
                if held != Some(State::Alive) {
                    let held = held.map_or("unknown", State::name);
                    return Some(format!("{} holds {} to be {held}", self.name(*by), self.name(*of)));
                }
            }
        }
        None
    }
}

impl<D: Deed> Scene for World<D> {
    fn now(&self) -> Instant {
        self.now()
    }

    fn name(&self, host: HostId) -> &str {
        &self.spec(host).name
    }

    fn state(&self, host: HostId) -> HostState {
        self.state(host)
    }

    fn member_id(&self, host: HostId) -> Option<MemberId> {
        self.member_id(host)
    }

    fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.host_by_member(member)
    }

    fn identity(&self, host: HostId) -> Option<(MemberId, Incarnation)> {
        self.node(host).map(|node| (node.id(), node.incarnation()))
    }

    fn held(&self, by: HostId, of: &MemberId) -> Option<State> {
        self.node(by)?.member(of).map(|record| record.state)
    }

    fn count(&self, by: HostId, state: Option<State>) -> usize {
        let members = self.node(by).map(Node::members).unwrap_or_default();
        members.iter().filter(|record| state.is_none_or(|state| state == record.state)).count()
    }

    fn service(&self, host: HostId, service: &ServiceName) -> Option<ServiceState> {
        self.node(host)?.service(service).map(|view| view.state)
    }

    fn knows_service(&self, by: HostId, member: &MemberId, service: &ServiceName) -> bool {
        self.node(by).is_some_and(|node| node.rumors().any(|rumor| runs_at(rumor, member, service)))
    }

    fn group_of(&self, host: HostId, service: &ServiceName) -> Option<ServiceGroup> {
        self.node(host)?.service(service).map(|view| view.group.clone())
    }

    fn build(&self, host: HostId, service: &ServiceName) -> Option<PackageIdent> {
        self.hosts[host.0 as usize].rest.guards.get(service).map(|guard| guard.ident.clone())
    }

    fn acting(&self, group: &ServiceGroup) -> Vec<HostId> {
        self.acting(group)
    }

    fn told_to_lead(&self, group: &ServiceGroup) -> Vec<HostId> {
        let leads = |host: &HostId| {
            let rest = &self.hosts[host.0 as usize].rest;
            group.service().parse().is_ok_and(|service| {
                let told = rest.files.get(&service).map(|files| &files.rendering);
                let is_told = told.is_some_and(|told| told.group == *group && told.leads().is_some());
                is_told && rest.guards.get(&service).is_some()
            })
        };
        self.hosts().filter(leads).collect()
    }

    fn rendering(&self, host: HostId, service: &ServiceName) -> Option<&Rendering> {
        self.hosts[host.0 as usize].rest.files.get(service).map(|files| &files.rendering)
    }

    fn leader_seen(&self, by: HostId, group: &ServiceGroup) -> Option<MemberId> {
        crate::engine::lead::leader_seen(self.node(by)?, group)
    }

    fn not_applied(&self, by: HostId, key: &RumorKey, version: u64) -> Option<Vec<MemberId>> {
        not_applied(self.node(by)?, key, version)
    }

    fn ring_key(&self, host: HostId) -> Option<u64> {
        self.node(host)?.ring_keys().map(|keys| keys.speaks.revision)
    }

    fn opaque(&self, by: HostId) -> usize {
        let held = self.node(by).into_iter().flat_map(Node::rumors);
        held.filter(|rumor| matches!(rumor, Rumor::Opaque(_))).count()
    }

    fn version(&self, by: HostId, key: &RumorKey) -> Option<(u64, u64)> {
        held_version(self.node(by)?, key)
    }

    fn requests(&self) -> (u64, u64) {
        self.requests()
    }

    fn unsettled(&self) -> Option<String> {
        crate::engine::settled::unsettled(self)
    }

    fn difference(&self, _: &[HostId]) -> Option<String> {
        crate::engine::view::difference(self)
    }
}

/// Number and content's hash of the version that a node holds of a group's configuration or file.
pub(crate) fn held_version(node: &Node, key: &RumorKey) -> Option<(u64, u64)> {
    let version = node.rumor(key).and_then(Rumor::version);
    version.map(|version| (version.number, version.hash()))
}

/// The alive members of a group that do not run with its current versions, by their own word, as a node knows it.
pub(crate) fn not_applied(node: &Node, key: &RumorKey, version: u64) -> Option<Vec<MemberId>> {
    let group = key.group().filter(|_| held_version(node, key).is_some_and(|(held, _)| held == version))?;
    let (census, digest) = (node.census(), node.versions_digest(group));
    let alive = census.group(group)?.alive();
    Some(alive.filter(|member| member.versions_digest != digest).map(|member| member.member_id).collect())
}

/// Whether a rumor says that a service of this name runs at `member`.
pub(crate) fn runs_at(rumor: &Rumor, member: &MemberId, service: &ServiceName) -> bool {
    match rumor {
        Rumor::Service(told) => {
            told.member_id == *member
                && told.group.service() == service.as_str()
                && !told.tombstone
                && told.initialized
        }
        _ => false,
    }
}
