//! Members that were only spoken of.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Bench, id, record};
use crate::membership::{Contact, Heard, MembershipEvent};
use crate::model::accusers::Accusers;
use crate::model::id::{MemberId, ProbeSeq};
use crate::model::limits::{HEARSAY_BY_ONE_MAX, MEMBERS_AT_ADDRESS_MAX, STRANGERS_MAX};
use crate::model::member::{MemberRecord, State};
use crate::wire::swim::Body;

fn other(n: u32) -> MemberRecord {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    let address = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + n));
    MemberRecord { id: MemberId::from_bytes(bytes), address, ..record(9, 1, State::Alive) }
}

impl Bench {
    /// What a member tells of one that is not known.
    fn speaks_of(&mut self, told: &MemberRecord, from: u8) -> Heard {
        self.act(|m, ctx| m.handle_rumor(ctx, told, &Accusers::default(), &id(from)))
    }

    fn asks(&mut self) -> Vec<(SocketAddr, ProbeSeq)> {
        let ask = |event| match event {
            MembershipEvent::Ask { to, seq } => Some((to, seq)),
            _ => None,
        };
        self.told().into_iter().filter_map(ask).collect()
    }
}

#[test]
fn a_member_exists_once_it_has_answered_with_the_number_that_it_was_asked_with() {
    let mut bench = Bench::with(&[record(2, 1, State::Alive)]);
    let told = record(1, 1, State::Alive);
    assert_eq!(bench.speaks_of(&told, 2), Heard::Known);
    let asks = bench.asks();
    let [(to, seq)] = asks[..] else { panic!("it is asked once: {asks:?}") };
    assert_eq!((to, bench.state(1)), (told.swim_addr(), None));
    bench.act(|m, ctx| m.handle_introduction(ctx, &told, ProbeSeq(seq.0 ^ 1), true));
    assert_eq!(bench.state(1), None, "another number proves nothing");
    bench.act(|m, ctx| m.handle_introduction(ctx, &record(3, 1, State::Alive), seq, true));
    assert_eq!(bench.state(3), None, "nor does another member's answer");
    bench.act(|m, ctx| m.handle_introduction(ctx, &told, seq, true));
    assert_eq!(bench.state(1), Some(State::Alive));
    assert!(bench.told().iter().any(|event| matches!(event, MembershipEvent::Met { .. })));
}

#[test]
fn a_stranger_that_speaks_is_asked_and_no_member_before_it_answers() {
    let mut bench = Bench::new();
    let stranger = record(1, 1, State::Alive);
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &stranger, true), Contact::Stranger));
    let [(_, seq)] = bench.asks()[..] else { panic!("it is asked once") };
    assert!(seq.0 > u64::from(u32::MAX), "numbers are drawn from many");
    bench.act(|m, ctx| m.handle_introduction(ctx, &stranger, seq, true));
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &stranger, true), Contact::Member));
    assert!(bench.told().iter().any(|event| matches!(event, MembershipEvent::Healed { .. })));
}

#[test]
fn what_is_only_spoken_of_has_no_turn_and_is_asked_ever_more_rarely() {
    let mut bench = Bench::with(&[record(2, 1, State::Alive)]);
    bench.speaks_of(&record(1, 1, State::Alive), 2);
    let mut asked = Vec::new();
    for _ in 0..600 {
        bench.wait_ms(1_000);
        // The other one answers everything.
        let told = bench.told();
        for event in &told {
            if let MembershipEvent::Send { body: Body::Ping { seq, .. }, to, .. } = event {
                assert_eq!(*to, record(2, 1, State::Alive).swim_addr(), "rounds go to members");
                bench.act(|m, ctx| m.handle_probe_answer(ctx, &id(2), *seq));
            }
        }
        asked.push(told.iter().filter(|event| matches!(event, MembershipEvent::Ask { .. })).count());
    }
    assert!(asked.iter().sum::<usize>() < 25, "{asked:?}");
    assert_eq!(bench.state(1), None);
    bench.wait_ms(120_000);
    assert_eq!(bench.membership.hearsay_count(), 0, "what nothing confirms is forgotten");
}

#[test]
fn one_member_fills_a_part_of_hearsay_alone_and_strangers_another() {
    let mut bench = Bench::with(&[record(2, 1, State::Alive), record(3, 1, State::Alive)]);
    for n in 0..HEARSAY_BY_ONE_MAX as u32 + 500 {
        bench.speaks_of(&other(n), 2);
    }
    assert_eq!(bench.membership.hearsay_count(), HEARSAY_BY_ONE_MAX);
    bench.speaks_of(&record(1, 1, State::Alive), 3);
    assert!(bench.membership.hearsay(&id(1)).is_some(), "another member is heard all the same");
    let limits = bench.events().len();
    assert_eq!(limits, 1, "it is said once");
    for n in 0..STRANGERS_MAX as u32 + 50 {
        bench.act(|m, ctx| m.handle_contact(ctx, &other(100_000 + n), true));
    }
    assert_eq!(bench.membership.hearsay_count(), HEARSAY_BY_ONE_MAX + 1 + STRANGERS_MAX);
    let newest = other(100_000 + STRANGERS_MAX as u32 + 49);
    assert!(bench.membership.hearsay(&newest.id).is_some(), "the oldest stranger makes room");
}

#[test]
fn a_few_members_are_at_one_address() {
    let mut bench = Bench::new();
    let address = record(77, 1, State::Alive).address;
    let met =
        |bench: &mut Bench, n: u8| bench.tell(MemberRecord { address, ..record(n, 1, State::Alive) }, 99);
    for n in 0..MEMBERS_AT_ADDRESS_MAX as u8 {
        assert_eq!(met(&mut bench, n + 1), Heard::New);
    }
    assert_eq!(met(&mut bench, 50), Heard::Known);
}

#[test]
fn members_are_asked_for_others_about_members_alone() {
    let mut bench = Bench::with(&[record(2, 1, State::Alive)]);
    let (asker, reply_to) = (record(2, 1, State::Alive), record(2, 1, State::Alive).swim_addr());
    let body = Body::PingReq { seq: ProbeSeq(7), target: record(1, 1, State::Alive) };
    bench.act(|m, ctx| m.handle_message(ctx, &asker, reply_to, body));
    assert!(bench.told().is_empty(), "any host could have made it up");
}
