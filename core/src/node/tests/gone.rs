//! Members that leave, are banned, or are gone for good, and what becomes of their services.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Ring;
use super::later::rumor;
use crate::model::command::{Command, CommandError, Reply};
use crate::model::config::SysInfo;
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, MemberId};
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::io::ExitReason;
use crate::model::member::State;
use crate::model::reach::{ALWAYS, NUMBER_MAX, STEP_MAX};
use crate::model::row::Table;
use crate::model::rumor::{Departure, Rumor, RumorKey, ServiceRumor};

pub(super) fn service_of(member: MemberId, incarnation: u64) -> Rumor {
    Rumor::Service(ServiceRumor {
        member_id: member,
        group: "web.default".parse().expect("a valid group"),
        incarnation: Incarnation(incarnation),
        initialized: true,
        pkg: "core/web/1.0/20260101000000".parse().expect("a valid ident"),
        cfg: Vec::new(),
        sys: SysInfo::default(),
        pkg_incarnation: 0,
        tombstone: false,
        accepting: true,
        maintenance: None,
        config_incarnation: 0,
        electorate_min: 0,
        versions_digest: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
    })
}

#[test]
fn a_member_that_is_told_to_hurry_says_farewell_all_the_same() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let leaver = ring.id(2);
    let leave = ring.command(2, Command::Leave { drain: true });
    let hurry = ring.command(2, Command::Hurry);
    ring.run_ms(10);
    assert_eq!(ring.hosts[2].exit, Some(ExitReason::Left), "it does not wait for the news to spread");
    assert_eq!([ring.reply(2, leave), ring.reply(2, hurry)], [Some(&Reply::Done); 2]);
    assert_eq!(ring.views(&leaver), [Some(State::Departed); 3], "no member has to find out by itself");
}

#[test]
fn a_farewell_that_has_time_to_spread_is_cut_short_by_a_second_order() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let leave = ring.command(2, Command::Leave { drain: true });
    ring.run_ms(100);
    assert_eq!((ring.hosts[2].exit, ring.reply(2, leave)), (None, None), "it answers others for a moment");
    ring.command(2, Command::Hurry);
    ring.run_ms(1);
    assert_eq!((ring.hosts[2].exit, ring.reply(2, leave)), (Some(ExitReason::Left), Some(&Reply::Done)));
}

#[test]
fn a_ban_that_cannot_be_stored_is_refused_and_bans_no_member() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let member = ring.id(2);
    ring.disk_fails = true;
    let request = ring.command(0, Command::Depart { member });
    ring.run_ms(2_000);
    assert!(matches!(ring.reply(0, request), Some(Reply::Failed(CommandError::NotDurable(_)))));
    assert!((0..3).all(|i| !ring.node(i).is_banned(&member)), "after a crash it would not be known any more");
    ring.disk_fails = false;
    let request = ring.command(0, Command::Depart { member });
    ring.run_ms(2_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done));
    assert_eq!(ring.hosts[2].exit, Some(ExitReason::Departed));
}

/// Otherwise its next life could use an incarnation that others have heard.
#[test]
fn a_member_whose_identity_cannot_be_stored_says_nothing_until_it_is() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let member = ring.id(2);
    ring.crash(2);
    ring.disk_fails = true;
    ring.start(2);
    ring.run_ms(5_000);
    assert!(!ring.node(2).is_ready());
    assert_eq!(ring.node(2).metrics().datagrams_sent.total(), 0);
    assert!(!ring.views(&member)[..2].contains(&Some(State::Alive)));
    ring.disk_fails = false;
    ring.run_ms(2_500);
    assert!(ring.node(2).is_ready() && ring.all_alive(), "it tries again");
}

#[test]
fn the_services_of_a_member_that_departed_leave_the_census_and_do_not_come_back() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let (gone, key) = (ring.id(3), ring.key(3));
    ring.crash(3);
    let holders = |ring: &Ring| {
        let key = service_of(gone, 1).key();
        (0..3).filter(|i| ring.node(*i).rumor(&key).is_some()).count()
    };
    ring.hears(0, &service_of(gone, 1).encode_signed(&key));
    ring.run_ms(15_000);
    assert_eq!(ring.views(&gone), [Some(State::Confirmed); 3]);
    assert_eq!(holders(&ring), 3, "a member that is held dead may come back, and its services with it");
    ring.command(0, Command::Depart { member: gone });
    ring.run_ms(2_000);
    assert_eq!(holders(&ring), 0);
    // A member that was away for long still tells of it.
    ring.hears(1, &service_of(gone, 2).encode_signed(&key));
    let stranger = KeyedHash::new([99; 32]);
    ring.hears(1, &service_of(stranger.id(), 1).encode_signed(&stranger));
    ring.run_ms(2_000);
    assert_eq!(holders(&ring), 0, "no member could ever take it back");
    assert_eq!(ring.node(1).rumors().filter(|r| matches!(r, Rumor::Service(_))).count(), 0);
}

#[test]
fn a_ban_overtakes_all_other_news() {
    let mut ring = Ring::new(5);
    // By then members that hold the same compare rarely.
    ring.run_ms(60_000);
    // News for some seconds: each fills a datagram.
    for n in 0..150_u32 {
        ring.hears(0, &rumor(&n.to_le_bytes(), 1, &[1; 600]));
    }
    let banned = ring.id(4);
    // Were it there, it would hear of its ban and tell of it itself.
    ring.crash(4);
    ring.command(0, Command::Depart { member: banned });
    ring.run_ms(300);
    assert!((0..4).all(|i| ring.node(i).is_banned(&banned)), "a banned member acts until it is known");
    let held = (1..4).map(|i| ring.node(i).rumors().count()).min();
    assert!(held < Some(150), "{held:?}: the other news is still on its way");
}

#[test]
fn a_member_whose_ban_is_lifted_comes_back_and_the_old_ban_does_not() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let banned = ring.id(1);
    ring.command(0, Command::Depart { member: banned });
    ring.run_ms(3_000);
    assert_eq!(ring.hosts[1].exit, Some(ExitReason::Departed));
    // Another one, which knows of the ban, is away while it is lifted.
    ring.crash(3);
    let refused = ring.command(2, Command::LiftBan { member: ring.id(2) });
    assert_eq!(ring.reply(2, refused), Some(&Reply::Failed(CommandError::NotBanned(ring.id(2)))));
    let stranger = MemberId::from_bytes([9; 16]);
    let refused = ring.command(2, Command::LiftBan { member: stranger });
    assert_eq!(ring.reply(2, refused), Some(&Reply::Failed(CommandError::UnknownMember(stranger))));
    let lifted = ring.command(2, Command::LiftBan { member: banned });
    ring.run_ms(3_000);
    assert_eq!(ring.reply(2, lifted), Some(&Reply::Done));
    let by = Some(ring.id(2));
    let told = |i: usize| ring.hosts[i].events.contains(&EventKind::BanLifted { member: banned, by });
    assert!(told(0) && told(2), "each says whose order it was");
    ring.start(1);
    ring.run_ms(2_000);
    assert_eq!(
        ring.hosts[1].exit,
        Some(ExitReason::Reset),
        "its disk says that it is banned; the ring says more"
    );
    ring.start(1);
    ring.start(3);
    ring.run_ms(20_000);
    assert_eq!(ring.hosts[1].exit, None);
    assert_eq!(ring.views(&banned), [Some(State::Alive); 4], "what is older undoes nothing");
    for i in 0..4 {
        let key = RumorKey::Departure(banned).encode();
        assert!(ring.hosts[i].disk.contains_key(&(Table::Rumor, key)), "{i} has stored it");
    }
    let again = ring.command(0, Command::Depart { member: banned });
    ring.run_ms(5_000);
    assert_eq!(ring.reply(0, again), Some(&Reply::Done));
    assert_eq!(ring.hosts[1].exit, Some(ExitReason::Departed));
    let epoch = |i: usize| match ring.node(i).rumor(&RumorKey::Departure(banned)) {
        Some(Rumor::Departure(ban)) => (ban.epoch, ban.lifted),
        other => panic!("{other:?}"),
    };
    assert_eq!([epoch(0), epoch(2), epoch(3)], [(1, false); 3]);
}

#[test]
fn a_ban_or_version_that_could_not_be_outbid_is_not_believed() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let (member_id, key) = (ring.id(2), ring.key(1));
    for epoch in [NUMBER_MAX, ALWAYS + STEP_MAX + 1] {
        let ban = Rumor::Departure(Departure { member_id, epoch, lifted: false });
        ring.hears(0, &ban.encode_signed(&key));
    }
    ring.run_ms(3_000);
    assert!((0..3).all(|i| !ring.node(i).is_banned(&member_id)) && ring.all_alive());
    // What is believed is answered, however high it is.
    let ban = Rumor::Departure(Departure { member_id, epoch: ALWAYS, lifted: false });
    ring.hears(0, &ban.encode_signed(&key));
    ring.run_ms(3_000);
    assert_eq!(ring.hosts[2].exit, Some(ExitReason::Departed));
    let lifted = ring.command(0, Command::LiftBan { member: member_id });
    ring.run_ms(1_000);
    assert_eq!(ring.reply(0, lifted), Some(&Reply::Done));
    ring.start(2);
    ring.run_ms(2_000);
    ring.start(2);
    ring.run_ms(10_000);
    assert!(ring.all_alive());
    let again = ring.command(0, Command::Depart { member: member_id });
    ring.run_ms(3_000);
    assert_eq!(ring.reply(0, again), Some(&Reply::Done), "and it can be banned again");
}
