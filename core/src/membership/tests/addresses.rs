//! At which address a member is sought, and which members are forgotten when there is no room.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::{Bench, id, record};
use crate::membership::{Contact, Heard, MembershipEvent};
use crate::model::id::ProbeSeq;
use crate::model::limits::MEMBERS_MAX;
use crate::model::member::{MemberRecord, State};
use crate::model::time::Instant;
use crate::wire::swim::Body;

fn address_of(bench: &Bench, n: u8) -> IpAddr {
    bench.membership.table().get(&id(n)).expect("known").address
}

#[test]
fn the_address_that_a_member_spoke_from_stands_against_hearsay() {
    let mut bench = Bench::with(&[record(2, 1, State::Alive)]);
    let seen = record(1, 1, State::Alive);
    bench.tell(seen, 2);
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &seen, true), Contact::Member));
    // Behind a gateway another member sees it elsewhere.
    let elsewhere = MemberRecord { address: record(201, 1, State::Alive).address, ..seen };
    assert_eq!(bench.tell(elsewhere, 2), Heard::Known);
    assert_eq!(address_of(&bench, 1), seen.address);
}

#[test]
fn a_member_that_is_said_to_have_moved_is_asked_there_and_moves_by_its_own_answer() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    let moved = MemberRecord { address: record(201, 2, State::Alive).address, ..record(1, 2, State::Alive) };
    assert_eq!(bench.tell(moved, 2), Heard::New);
    assert_eq!(address_of(&bench, 1), record(1, 1, State::Alive).address, "any member could have said so");
    let asked = bench.told().into_iter().find_map(|event| match event {
        MembershipEvent::Ask { to, .. } => Some(to),
        _ => None,
    });
    assert_eq!(asked, Some(moved.swim_addr()));
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &moved, true), Contact::Member));
    assert_eq!(address_of(&bench, 1), moved.address);
}

#[test]
fn a_member_that_moved_is_sought_where_it_spoke_from_and_not_where_another_says() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    let moved = MemberRecord { address: record(201, 1, State::Alive).address, ..record(1, 1, State::Alive) };
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &moved, false), Contact::Member));
    assert_eq!(address_of(&bench, 1), record(1, 1, State::Alive).address, "it came through another member");
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &moved, true), Contact::Member));
    assert_eq!(address_of(&bench, 1), moved.address);
}

/// Where `told` asks whether a member is there.
fn asked(told: &[MembershipEvent]) -> Vec<SocketAddr> {
    let to = |event: &MembershipEvent| match event {
        MembershipEvent::Send { to, body: Body::Ping { forward_to: None, .. }, .. } => Some(*to),
        _ => None,
    };
    told.iter().filter_map(to).collect()
}

#[test]
fn a_member_is_asked_where_a_helper_reached_it() {
    let (member, helper) = (record(1, 1, State::Alive), record(2, 1, State::Alive));
    let mut bench = Bench::with(&[member, helper]);
    // A stranger spoke in its name; if it holds a wrong address of this member as well, neither hears the other.
    let forged = MemberRecord { address: record(201, 1, State::Alive).address, ..member };
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &forged, true), Contact::Member));
    assert_eq!(address_of(&bench, 1), forged.address);
    let me = MemberRecord { id: id(0), ..record(9, 5, State::Alive) };
    let relayed = |bench: &mut Bench| {
        bench.told();
        let body = Body::Ack { seq: ProbeSeq(1), forward_to: Some(me) };
        bench.act(|m, ctx| m.handle_message(ctx, &member, helper.swim_addr(), body));
        asked(&bench.told())
    };
    assert_eq!(relayed(&mut bench), [member.swim_addr()]);
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &member, true), Contact::Member));
    assert_eq!(address_of(&bench, 1), member.address, "it answered from there itself");
    assert_eq!(relayed(&mut bench), [], "nothing is to be found out");
}

#[test]
fn no_other_member_speaks_from_the_own_address() {
    let member = record(1, 1, State::Alive);
    let mut bench = Bench::with(&[member, record(2, 1, State::Alive)]);
    bench.tell(MemberRecord { id: id(0), ..record(9, 5, State::Alive) }, 2);
    let own = *bench.membership.own();
    assert_eq!(own.address, record(9, 1, State::Alive).address, "it has learned where it is");
    let forged = MemberRecord { address: own.address, ..member };
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &forged, true), Contact::Member));
    assert_eq!(address_of(&bench, 1), member.address);
}

#[test]
fn a_member_leaves_by_its_own_word_alone_and_comes_back_in_a_later_incarnation() {
    let mut bench = Bench::with(&[record(1, 2, State::Alive)]);
    assert_eq!(bench.tell(record(1, 2, State::Departed), 2), Heard::Known);
    assert_eq!(bench.tell(record(1, 3, State::Departed), 2), Heard::Known);
    bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 3, State::Departed), true));
    assert_eq!(
        (bench.events(), bench.state(1)),
        (Vec::new(), Some(State::Alive)),
        "any host could have sent it"
    );
    bench.says(super::statement(1, false, true));
    assert_eq!((bench.events().len(), bench.state(1)), (1, Some(State::Departed)));
    bench.says(super::statement(1, false, true));
    assert_eq!(bench.events(), [], "it left once");
    bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 3, State::Alive), true));
    assert_eq!(bench.state(1), Some(State::Alive));
    bench.says(super::statement(1, false, true));
    assert_eq!(bench.state(1), Some(State::Alive), "that was an earlier life");
}

#[test]
fn at_the_limit_the_member_that_is_gone_longest_makes_room() {
    let mut bench = Bench::new();
    let other = |n: usize, state| {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        MemberRecord { id: crate::model::id::MemberId::from_bytes(bytes), ..record(9, 1, state) }
    };
    for n in 0..MEMBERS_MAX - 4 {
        bench.membership.restore(bench.now, other(n, State::Alive));
    }
    let gone = [(0, State::Departed), (1, State::Departed), (2, State::Confirmed)];
    for (after_ms, state) in gone {
        let at = Instant::from_millis(after_ms);
        bench.membership.restore(at, other(MEMBERS_MAX + after_ms as usize, state));
    }
    assert_eq!(bench.membership.table().len(), MEMBERS_MAX);
    let is_known = |bench: &Bench, n: usize| {
        bench.membership.table().get(&other(MEMBERS_MAX + n, State::Alive).id).is_some()
    };
    for (newcomer, left) in [(1, [false, true, true]), (2, [false, false, true]), (3, [false, false, false])]
    {
        assert_eq!(bench.tell(record(newcomer, 1, State::Alive), 99), Heard::New);
        assert_eq!([0, 1, 2].map(|n| is_known(&bench, n)), left, "a dead one may come back, so it goes last");
    }
    assert_eq!(bench.tell(record(4, 1, State::Alive), 99), Heard::Known);
    assert_eq!(bench.state(4), None, "no member that takes part is forgotten");
}
