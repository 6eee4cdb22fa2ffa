//! The table of service groups, built from what one member knows.

use super::*;
use crate::model::election::ElectionId;
use crate::model::id::Incarnation;
use crate::model::rumor::{Departure, ServiceConfig, ServiceFile, ServiceHealth, Version};
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
        held_back: BTreeSet::new(),
        slow_hook: None,
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
    /// Services look at the groups that concern them and at nothing else; they must see what every other reader of the
    /// census sees.
    #[test]
    fn a_group_looked_at_alone_is_the_group_of_the_whole_census(
        told in proptest::collection::vec((0_usize..3, 1_u8..6, 0_u64..3, proptest::prelude::any::<(bool, bool)>()), 0..24),
        states in proptest::collection::vec(0..State::ALL.len(), 4),
        banned in proptest::collection::vec(1_u8..6, 0..3),
    ) {
        const GROUPS: [&str; 3] = ["web.default", "web.prod", "db.default"];
        let members: Vec<MemberRecord> =
            states.iter().zip(1_u8..).map(|(state, n)| record(n, State::ALL[*state])).collect();
        let bans = banned.iter().map(|n| Rumor::Departure(Departure::ban(id(*n))));
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
    let db = census.group(&group).expect("a group is listed also without a member");
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
    let ban = Rumor::Departure(Departure::ban(id(2)));
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

#[test]
fn each_purpose_has_its_own_election() {
    let group = group("web.default");
    let outcome = |purpose, term, leader, ended| {
        let election = ElectionId { group: group.clone(), purpose };
        Rumor::Election(ElectionRumor { election, term, leader: id(leader), ended })
    };
    let rumors = [
        Rumor::Service(service(1, "web.default")),
        outcome(ElectionPurpose::Leader, 3, 1, false),
        outcome(ElectionPurpose::Update, 5, 2, true),
    ];
    let mut census = Census::build(id(1), &[record(1, State::Alive)], &rumors);
    let of = |census: &Census, purpose| census.groups[&group].election(purpose);
    let led = CensusElection { status: ElectionStatus::Finished, term: 3, leader: Some(id(1)) };
    let updated = CensusElection { status: ElectionStatus::Running, term: 5, leader: Some(id(2)) };
    assert_eq!(of(&census, ElectionPurpose::Leader), led);
    assert_eq!(of(&census, ElectionPurpose::Update), updated);
    let view = ElectionView {
        election: ElectionId { group: group.clone(), purpose: ElectionPurpose::Update },
        term: 6,
        leader: Some(id(3)),
        status: ElectionStatus::Finished,
        acting_until: None,
    };
    census.overlay(&[view]);
    assert_eq!(
        of(&census, ElectionPurpose::Leader),
        led,
        "an election's result does not change another one's"
    );
    let now = CensusElection { status: ElectionStatus::Finished, term: 6, leader: Some(id(3)) };
    assert_eq!(of(&census, ElectionPurpose::Update), now);
}

#[test]
fn a_service_can_be_used_once_it_runs_and_is_well_at_a_member_that_answers() {
    let usable = |state, initialized, health| {
        let told = ServiceRumor { initialized, ..service(1, "web.default") };
        let well = Rumor::ServiceHealth(ServiceHealth {
            member_id: id(1),
            group: group("web.default"),
            incarnation: Incarnation(1),
            health,
            tombstone: false,
        });
        let census = Census::build(id(2), &[record(1, state)], &[Rumor::Service(told), well]);
        census.groups[&group("web.default")].population[&id(1)].healthy()
    };
    assert!(usable(State::Alive, true, Health::Ok) && usable(State::Alive, true, Health::Warning));
    assert!(!usable(State::Alive, false, Health::Ok), "its process was not started yet");
    assert!(!usable(State::Suspect, true, Health::Ok) && !usable(State::Confirmed, true, Health::Ok));
    assert!(!usable(State::Alive, true, Health::Critical) && !usable(State::Alive, true, Health::Unknown));
}
