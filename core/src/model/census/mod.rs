//! Service groups as one table: a pure projection of membership and rumors.
//!
//! A census is built anew from what the node knows at one instant. It holds no state of its own, so it cannot
//! lag behind a departure or keep a group that nobody serves any longer (as Habitat's does).

mod versions;

pub use versions::{CensusVersion, CensusVersions};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::config::SysInfo;
use crate::model::election::{ElectionStatus, ElectionView};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::ident::PackageIdent;
use crate::model::member::{MemberRecord, State};
use crate::model::rumor::{ElectionRumor, Rumor, ServiceConfig, ServiceFile, ServiceRumor};
use crate::model::service::Health;

/// Who serves what, as one member sees it.
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
    /// Who serves it. Members that are suspect, confirmed dead or departed stay listed, with their state, until
    /// their statement is withdrawn or forgotten.
    pub population: BTreeMap<MemberId, CensusMember>,
    /// What operators gave it.
    pub versions: CensusVersions,
    /// How far the election of its leader has come.
    pub election: ElectionStatus,
    /// Its election's term; 0 before the first one.
    pub term: u64,
    /// Who leads it; the last leader while a successor is sought.
    pub leader: Option<MemberId>,
}

/// One member as part of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CensusMember {
    /// Who.
    pub member_id: MemberId,
    /// What it runs.
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
    /// What the member is held to be; none while its service is known and the member itself is not yet.
    pub state: Option<State>,
    /// Whether it asked to be probed for ever.
    pub permanent: bool,
}

impl Census {
    /// The census of what `local` knows: every member's record and every rumor, in any order.
    ///
    /// Withdrawn services are left out. A banned member is departed, whatever its record says.
    #[must_use]
    pub fn build<'a>(
        local: MemberId,
        members: &[MemberRecord],
        rumors: impl IntoIterator<Item = &'a Rumor>,
    ) -> Self {
        let records: BTreeMap<MemberId, &MemberRecord> = members.iter().map(|m| (m.id, m)).collect();
        let mut banned = BTreeSet::new();
        let mut outcomes: Vec<&ElectionRumor> = Vec::new();
        let mut health: BTreeMap<(ServiceGroup, MemberId), Health> = BTreeMap::new();
        let mut groups: BTreeMap<ServiceGroup, CensusGroup> = BTreeMap::new();
        for rumor in rumors {
            match rumor {
                Rumor::Service(service) if !service.tombstone => {
                    let member = CensusMember::new(service, records.get(&service.member_id).copied());
                    let new = || CensusGroup::new(&service.group);
                    let group = groups.entry(service.group.clone()).or_insert_with(new);
                    group.pkg_incarnation = group.pkg_incarnation.max(service.pkg_incarnation);
                    group.population.insert(service.member_id, member);
                }
                Rumor::Departure(departure) => {
                    banned.insert(departure.member_id);
                }
                Rumor::Election(outcome) => outcomes.push(outcome),
                Rumor::ServiceHealth(told) if !told.tombstone => {
                    health.insert((told.group.clone(), told.member_id), told.health);
                }
                Rumor::ServiceConfig(ServiceConfig { group, .. })
                | Rumor::ServiceFile(ServiceFile { group, .. }) => {
                    let new = || CensusGroup::new(group);
                    groups.entry(group.clone()).or_insert_with(new).versions.add(rumor);
                }
                Rumor::Service(_) | Rumor::ServiceHealth(_) | Rumor::Member(_) => {}
            }
        }
        for group in groups.values_mut() {
            for member in group.population.values_mut() {
                let told = health.get(&(group.service_group.clone(), member.member_id));
                member.health = told.copied().unwrap_or_default();
            }
        }
        for outcome in outcomes {
            if let Some(group) = groups.get_mut(&outcome.group) {
                group.election =
                    if outcome.ended { ElectionStatus::Running } else { ElectionStatus::Finished };
                group.term = outcome.term;
                group.leader = Some(outcome.leader);
            }
        }
        for member in groups.values_mut().flat_map(|group| group.population.values_mut()) {
            if banned.contains(&member.member_id) {
                member.state = Some(State::Departed);
            }
        }
        Self { local, groups }
    }

    /// What this member knows at first hand of the elections that it takes part in.
    pub(crate) fn overlay(&mut self, elections: &[ElectionView]) {
        for view in elections {
            if let Some(group) = self.groups.get_mut(&view.group) {
                group.election = view.status;
                group.term = group.term.max(view.term);
                group.leader = view.leader.or(group.leader);
            }
        }
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, service_group: &ServiceGroup) -> Option<&CensusGroup> {
        self.groups.get(service_group)
    }
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
            election: ElectionStatus::None,
            term: 0,
            leader: None,
        }
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
        self.alive() && self.initialized && matches!(self.health, Health::Ok | Health::Warning)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Incarnation;
    use crate::model::rumor::{Departure, ServiceHealth, Version};
    use core::net::{IpAddr, Ipv4Addr};

    fn id(n: u8) -> MemberId {
        MemberId::from_bytes([n; 16])
    }

    fn record(n: u8, state: State) -> MemberRecord {
        MemberRecord {
            id: id(n),
            incarnation: Incarnation(1),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)),
            swim_port: 9638,
            gossip_port: 9638,
            state,
            permanent: n == 1,
        }
    }

    fn service(n: u8, group: &str) -> ServiceRumor {
        let group: ServiceGroup = group.parse().expect("valid");
        ServiceRumor {
            member_id: id(n),
            pkg: alloc::format!("core/{}/1.0/20260101000000", group.service()).parse().expect("valid"),
            group,
            incarnation: Incarnation(1),
            initialized: true,
            cfg: b"port = 80\n".to_vec(),
            sys: SysInfo { hostname: alloc::format!("host{n}"), ..SysInfo::default() },
            pkg_incarnation: u64::from(n),
            electorate_min: 0,
            tombstone: false,
            accepting: true,
            maintenance: None,
            config_incarnation: 0,
            versions_digest: 0,
        }
    }

    fn group(name: &str) -> ServiceGroup {
        name.parse().expect("valid")
    }

    #[test]
    fn groups_hold_their_members_with_their_states() {
        let members: Vec<MemberRecord> =
            State::ALL.into_iter().zip(1..).map(|(state, n)| record(n, state)).collect();
        let mut rumors: Vec<Rumor> = (1..=5).map(|n| Rumor::Service(service(n, "web.default"))).collect();
        rumors.push(Rumor::Service(service(2, "db.prod@acme")));
        let census = Census::build(id(1), &members, &rumors);

        let names: Vec<&str> = census.groups.keys().map(ServiceGroup::as_str).collect();
        assert_eq!(names, ["db.prod@acme", "web.default"]);
        let web = census.group(&group("web.default")).expect("served");
        let states: Vec<Option<State>> = web.population.values().map(|m| m.state).collect();
        assert_eq!(states[..4], State::ALL.map(Some));
        assert_eq!(states[4], None, "its service is known before the member is");
        assert_eq!(web.alive().map(|m| m.member_id).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(web.pkg_incarnation, 5);

        let first = &web.population[&id(1)];
        assert!(first.alive() && first.permanent && first.initialized);
        assert_eq!((first.cfg.as_str(), first.sys.hostname.as_str()), ("port = 80\n", "host1"));
        let flags: Vec<[bool; 4]> =
            web.population.values().map(|m| [m.alive(), m.suspect(), m.confirmed(), m.departed()]).collect();
        assert!(flags[..4].iter().enumerate().all(|(i, f)| f[i] && f.iter().filter(|x| **x).count() == 1));
        assert_eq!(flags[4], [false; 4]);
    }

    #[test]
    fn withdrawn_services_leave_and_empty_groups_vanish() {
        let gone = |n| Rumor::Service(ServiceRumor { tombstone: true, ..service(n, "web.default") });
        let members = [record(1, State::Alive), record(2, State::Alive)];
        let census = Census::build(id(1), &members, &[gone(1), Rumor::Service(service(2, "web.default"))]);
        let web = census.group(&group("web.default")).expect("served");
        assert_eq!(web.population.keys().copied().collect::<Vec<_>>(), [id(2)]);
        assert!(Census::build(id(1), &members, &[gone(1), gone(2)]).groups.is_empty());
    }

    proptest::proptest! {
        /// Services look at the groups that concern them and at nothing else; they must see what everybody sees.
        #[test]
        fn a_group_looked_at_alone_is_the_group_of_the_whole_census(
            told in proptest::collection::vec((0_usize..3, 1_u8..6, 0_u64..3, proptest::prelude::any::<(bool, bool)>()), 0..24),
            states in proptest::collection::vec(0..State::ALL.len(), 4),
            banned in proptest::collection::vec(1_u8..6, 0..3),
        ) {
            const GROUPS: [&str; 3] = ["web.default", "web.prod", "db.default"];
            let members: Vec<MemberRecord> =
                states.iter().zip(1_u8..).map(|(state, n)| record(n, State::ALL[*state])).collect();
            let bans = banned.iter().map(|n| Rumor::Departure(Departure { member_id: id(*n) }));
            let rumors: Vec<Rumor> = told
                .iter()
                .map(|(at, n, incarnation, (health, tombstone))| {
                    let (group, incarnation) = (group(GROUPS[*at]), Incarnation(*incarnation));
                    if *health {
                        let health = Health::ALL[usize::from(*n) % Health::ALL.len()];
                        let (member_id, tombstone) = (id(*n), *tombstone);
                        Rumor::ServiceHealth(ServiceHealth { member_id, group, incarnation, health, tombstone })
                    } else {
                        let service = ServiceRumor { incarnation, tombstone: *tombstone, ..service(*n, GROUPS[*at]) };
                        Rumor::Service(service)
                    }
                })
                .chain(bans)
                .collect();
            let whole = Census::build(id(1), &members, &rumors);
            for name in GROUPS {
                let about = |rumor: &&Rumor| rumor.key().group().is_none_or(|of| *of == group(name));
                let alone = Census::build(id(1), &members, rumors.iter().filter(about));
                proptest::prop_assert_eq!(alone.group(&group(name)), whole.group(&group(name)));
                proptest::prop_assert!(alone.groups.len() <= 1);
            }
        }
    }

    #[test]
    fn what_operators_gave_is_shown_without_its_contents() {
        let (group, name) = (group("db.prod"), "users.acl".parse().expect("valid"));
        let mut config =
            ServiceConfig { group: group.clone(), version: Version::new(3, b"a = 1".to_vec(), Some(id(1))) };
        let other = Version::new(3, b"a = 2".to_vec(), Some(id(2)));
        config.merge(&ServiceConfig { group: group.clone(), version: other });
        let file = Version::new(7, b"user default on".to_vec(), None);
        let file = ServiceFile { group: group.clone(), name, version: file };
        let rumors = [Rumor::ServiceConfig(config.clone()), Rumor::ServiceFile(file)];
        let census = Census::build(id(1), &[], &rumors);
        let db = census.group(&group).expect("nobody has to serve it");
        assert!(db.population.is_empty());
        let shown = db.versions.config.as_ref().expect("given");
        assert_eq!((shown.incarnation, shown.bytes, shown.writer), (3, 5, config.version.writer));
        let loser = if shown.writer == Some(id(1)) { id(2) } else { id(1) };
        assert_eq!(shown.losers, [loser]);
        let files: Vec<(&str, u64)> =
            db.versions.files.iter().map(|(name, v)| (name.as_str(), v.incarnation)).collect();
        assert_eq!(files, [("users.acl", 7)]);
    }

    #[test]
    fn a_ban_outweighs_the_record_wherever_it_stands() {
        let members = [record(1, State::Alive), record(2, State::Alive)];
        let served = Rumor::Service(service(2, "web.default"));
        let ban = Rumor::Departure(Departure { member_id: id(2) });
        for rumors in [[&served, &ban], [&ban, &served]] {
            let census = Census::build(id(1), &members, rumors);
            let web = census.group(&group("web.default")).expect("served");
            assert!(web.population[&id(2)].departed());
        }
    }

    #[test]
    fn configuration_that_is_not_text_is_shown_all_the_same() {
        let odd = ServiceRumor { cfg: b"a\xff".to_vec(), ..service(1, "web.default") };
        let census = Census::build(id(1), &[], &[Rumor::Service(odd)]);
        assert_eq!(census.groups[&group("web.default")].population[&id(1)].cfg, "a\u{fffd}");
    }
}
