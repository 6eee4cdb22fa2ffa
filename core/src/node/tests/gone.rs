//! Members that leave, are banned, or are gone for good, and what becomes of their services.

use alloc::vec::Vec;

use super::Ring;
use super::later::rumor;
use crate::model::command::{Command, Reply};
use crate::model::config::SysInfo;
use crate::model::id::{Incarnation, MemberId};
use crate::model::io::ExitReason;
use crate::model::member::State;
use crate::model::rumor::{Rumor, ServiceRumor};

fn service_of(member: MemberId, incarnation: u64) -> Rumor {
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
fn the_services_of_a_member_that_departed_leave_the_census_and_do_not_come_back() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let gone = ring.id(3);
    ring.crash(3);
    let holders = |ring: &Ring| {
        let key = service_of(gone, 1).key();
        (0..3).filter(|i| ring.node(*i).rumor(&key).is_some()).count()
    };
    ring.hears(0, &service_of(gone, 1).encode());
    ring.run_ms(15_000);
    assert_eq!(ring.views(&gone), [Some(State::Confirmed); 3]);
    assert_eq!(holders(&ring), 3, "a member that is held dead may come back, and its services with it");
    ring.command(0, Command::Depart { member: gone });
    ring.run_ms(2_000);
    assert_eq!(holders(&ring), 0);
    // A member that was away for long still tells of it.
    ring.hears(1, &service_of(gone, 2).encode());
    ring.hears(1, &service_of(MemberId::from_bytes([9; 16]), 1).encode());
    ring.run_ms(2_000);
    assert_eq!(holders(&ring), 0, "no member could ever take it back");
    assert_eq!(ring.node(1).rumors().filter(|r| matches!(r, Rumor::Service(_))).count(), 0);
}

#[test]
fn a_ban_overtakes_all_other_news() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    // News for some seconds: each fills a datagram.
    for n in 0..150_u32 {
        ring.hears(0, &rumor(&n.to_le_bytes(), 1, &[1; 600]));
    }
    let banned = ring.id(4);
    ring.command(0, Command::Depart { member: banned });
    ring.run_ms(300);
    assert!((0..4).all(|i| ring.node(i).is_banned(&banned)), "a banned member acts until it is known");
    let held = (1..4).map(|i| ring.node(i).rumors().count()).min();
    assert!(held < Some(150), "{held:?}: the other news is still on its way");
}
