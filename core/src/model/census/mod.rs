//! Service groups as one table: a pure projection of membership and rumors.
//!
//! A census is built anew from what the node knows at one instant. It may hold no state of its own, so it cannot lag
//! behind a departure or keep a group that no member serves any longer (as Habitat's does).

#[cfg(test)]
mod tests;
mod versions;

pub use versions::{CensusVersion, CensusVersions};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::config::SysInfo;
use crate::model::election::{ElectionPurpose, ElectionStatus, ElectionView};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::ident::PackageIdent;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::rumor::{CensusEntry, ElectionRumor, Rumor, ServiceRumor};
use crate::model::service::{Health, ObstacleKind, SlowHook};

/// The service groups of the ring and their members, as one member sees them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Census {
    /// The member whose view this is.
    pub local: MemberId,
    /// The groups that at least one member serves, or that an operator gave something to.
    pub groups: BTreeMap<ServiceGroup, CensusGroup>,
}

/// One service group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CensusGroup {
    /// Its name.
    pub service_group: ServiceGroup,
    /// The highest update count that a member of the group has told.
    pub pkg_incarnation: u64,
    /// The members that serve it. Those that are suspect, confirmed dead or departed stay listed, with their state,
    /// until their statement is withdrawn or forgotten.
    pub population: BTreeMap<MemberId, CensusMember>,
    /// The configuration and files that operators gave it.
    pub versions: CensusVersions,
    /// The stages of its elections; elections that have not begun are left out.
    pub elections: BTreeMap<ElectionPurpose, CensusElection>,
}

/// One of a group's elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CensusElection {
    /// How far it has come.
    pub status: ElectionStatus,
    /// Its term; 0 before the first one.
    pub term: u64,
    /// The winner; the last one while a successor is sought.
    pub leader: Option<MemberId>,
}

impl Default for CensusElection {
    /// There has been none.
    fn default() -> Self {
        Self { status: ElectionStatus::None, term: 0, leader: None }
    }
}

/// One member as part of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CensusMember {
    /// Its id.
    pub member_id: MemberId,
    /// The package that it runs.
    pub pkg: PackageIdent,
    /// Which of the group's updates it has taken.
    pub pkg_incarnation: u64,
    /// Whether the service's process has been started.
    pub initialized: bool,
    /// Where it runs.
    pub sys: SysInfo,
    /// Its exported configuration, TOML text; bytes that are not UTF-8 are shown as U+FFFD.
    pub cfg: String,
    /// How its service is, by the owner's word.
    pub health: Health,
    /// Whether its service takes new work, by the owner's word.
    pub accepting: bool,
    /// Why its service is in maintenance; none when it is not.
    pub maintenance: Option<String>,
    /// The version of the group's configuration that its service runs with; 0 for none.
    pub config_incarnation: u64,
    /// Tells whether its service runs with the same configuration and files of the group as another one; 0 for none.
    pub versions_digest: u64,
    /// What keeps its service from taking in what the group was given, by kind.
    pub held_back: BTreeSet<ObstacleKind>,
    /// A hook of its service that takes its time.
    pub slow_hook: Option<SlowHook>,
    /// The member's state; none while its service is known and the member itself is not yet.
    pub state: Option<State>,
    /// Whether it asked to be probed for ever.
    pub permanent: bool,
}

impl Census {
    /// The census of the member `local`, from every member's record and every rumor that it knows, in any order.
    ///
    /// Withdrawn services are left out. A banned member is departed, also where its record says otherwise.
    #[must_use]
    pub fn build<'a>(
        local: MemberId,
        members: &[MemberRecord],
        rumors: impl IntoIterator<Item = &'a Rumor>,
    ) -> Self {
        let records: BTreeMap<MemberId, &MemberRecord> = members.iter().map(|m| (m.id, m)).collect();
        let mut banned = BTreeSet::new();
        let mut outcomes: Vec<&ElectionRumor> = Vec::new();
        let mut health: BTreeMap<(&ServiceGroup, MemberId), Health> = BTreeMap::new();
        let mut groups: BTreeMap<ServiceGroup, CensusGroup> = BTreeMap::new();
        for rumor in rumors {
            match rumor.census_entry() {
                CensusEntry::Runs(service) => {
                    let member = CensusMember::new(service, records.get(&service.member_id).copied());
                    let group = entry_of(&mut groups, &service.group);
                    group.pkg_incarnation = group.pkg_incarnation.max(service.pkg_incarnation);
                    group.population.insert(service.member_id, member);
                }
                CensusEntry::Fares(told) => {
                    health.insert((&told.group, told.member_id), told.health);
                }
                CensusEntry::Given { group, file, version, is_sealed } => {
                    entry_of(&mut groups, group).versions.add(file, version, is_sealed);
                }
                CensusEntry::Leads(outcome) => outcomes.push(outcome),
                CensusEntry::Banned(member) => {
                    banned.insert(*member);
                }
                CensusEntry::Nothing => {}
            }
        }
        for group in groups.values_mut() {
            for member in group.population.values_mut() {
                let told = health.get(&(&group.service_group, member.member_id));
                member.health = told.copied().unwrap_or_default();
            }
        }
        assert!(
            groups.iter().all(|(name, group)| *name == group.service_group),
            "a group stands under its name"
        );
        for outcome in outcomes {
            if let Some(group) = groups.get_mut(&outcome.election.group) {
                let status = if outcome.ended { ElectionStatus::Running } else { ElectionStatus::Finished };
                let election = CensusElection { status, term: outcome.term, leader: Some(outcome.leader) };
                group.elections.insert(outcome.election.purpose, election);
            }
        }
        for member in groups.values_mut().flat_map(|group| group.population.values_mut()) {
            if mutated!(BannedIsListed, banned.contains(&member.member_id), false) {
                member.state = Some(State::Departed);
            }
        }
        Self { local, groups }
    }

    /// Overlays this member's own view of the elections that it takes part in.
    pub(crate) fn overlay(&mut self, elections: &[ElectionView]) {
        for view in elections {
            if let Some(group) = self.groups.get_mut(&view.election.group) {
                let election = group.elections.entry(view.election.purpose).or_default();
                election.status = view.status;
                let before = election.term;
                election.term = election.term.max(view.term);
                assert!(election.term >= before, "a term never goes back");
                election.leader = view.leader.or(election.leader);
            }
        }
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, service_group: &ServiceGroup) -> Option<&CensusGroup> {
        self.groups.get(service_group)
    }
}

/// The entry of a group, which most of what is told is about a second time.
fn entry_of<'a>(
    groups: &'a mut BTreeMap<ServiceGroup, CensusGroup>,
    name: &ServiceGroup,
) -> &'a mut CensusGroup {
    groups.entry(name.clone()).or_insert_with(|| CensusGroup::new(name))
}

impl CensusGroup {
    /// A group of which nothing is known but its name.
    #[must_use]
    pub fn new(service_group: &ServiceGroup) -> Self {
        Self {
            service_group: service_group.clone(),
            pkg_incarnation: 0,
            population: BTreeMap::new(),
            versions: CensusVersions::default(),
            elections: BTreeMap::new(),
        }
    }

    /// How far the election with this purpose has come.
    #[must_use]
    pub fn election(&self, purpose: ElectionPurpose) -> CensusElection {
        self.elections.get(&purpose).copied().unwrap_or_default()
    }

    /// The members that are alive, in order of id.
    pub fn alive(&self) -> impl Iterator<Item = &CensusMember> {
        self.population.values().filter(|member| member.alive())
    }
}

impl CensusMember {
    fn new(service: &ServiceRumor, record: Option<&MemberRecord>) -> Self {
        Self {
            member_id: service.member_id,
            pkg: service.pkg.clone(),
            pkg_incarnation: service.pkg_incarnation,
            initialized: service.initialized,
            sys: service.sys.clone(),
            cfg: String::from_utf8_lossy(&service.cfg).into_owned(),
            health: Health::default(),
            accepting: service.accepting,
            maintenance: service.maintenance.clone(),
            config_incarnation: service.config_incarnation,
            versions_digest: service.versions_digest,
            held_back: service.held_back.clone(),
            slow_hook: service.slow_hook,
            state: record.map(|r| r.state),
            permanent: record.is_some_and(|r| r.permanent),
        }
    }

    /// Whether the member answers.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.state == Some(State::Alive)
    }

    /// Whether its service can be used: the member answers, and by its own word the service works and takes work.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.alive()
            && mutated!(UnstartedIsHealthy, self.initialized, true)
            && matches!(self.health, Health::Ok | Health::Warning)
    }

    /// Whether the member is suspect.
    #[must_use]
    pub fn suspect(&self) -> bool {
        self.state == Some(State::Suspect)
    }

    /// Whether the member is confirmed dead.
    #[must_use]
    pub fn confirmed(&self) -> bool {
        self.state == Some(State::Confirmed)
    }

    /// Whether the member left or was banned.
    #[must_use]
    pub fn departed(&self) -> bool {
        self.state == Some(State::Departed)
    }
}
