//! Accusations and their refutation, from both sides.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Bench, id, record};
use crate::membership::{Contact, Heard, MembershipEvent, Urgency};
use crate::model::accusers::Accusers;
use crate::model::config::Timings;
use crate::model::id::Incarnation;
use crate::model::limits::INCARNATION_MAX;
use crate::model::member::{MemberRecord, State};
use crate::model::reach::ALWAYS;
use crate::model::time::UnixTime;
use crate::wire::swim::Body;

/// What others say of this member.
fn of_me(incarnation: u64, state: State) -> MemberRecord {
    MemberRecord { id: id(0), ..record(9, incarnation, state) }
}

fn raised(bench: &mut Bench) -> Option<u64> {
    bench.told().into_iter().find_map(|event| match event {
        MembershipEvent::Raise { incarnation } => Some(incarnation.0),
        _ => None,
    })
}

#[test]
fn an_accuser_that_missed_the_refutation_hears_it_again() {
    let accuser = record(1, 1, State::Alive);
    let mut bench = Bench::with(&[accuser]);
    bench.tell(of_me(5, State::Suspect), 1);
    assert_eq!(raised(&mut bench), Some(6));
    bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(6)));
    bench.told();
    assert_eq!(bench.tell(of_me(5, State::Suspect), 1), Heard::Stale);
    let told = bench.told();
    let asks = |event: &MembershipEvent| matches!(event, MembershipEvent::Send { to, body: Body::Ping { .. }, .. } if *to == accuser.swim_addr());
    let tells = |event: &MembershipEvent| matches!(event, MembershipEvent::Changed { id: of, urgency: Urgency::Refutation, .. } if *of == id(0));
    assert!(told.iter().any(asks), "at once");
    assert!(told.iter().any(tells), "and with the rumors that follow");
    let is_raise = |event: &MembershipEvent| matches!(event, MembershipEvent::Raise { .. });
    assert!(!told.iter().any(is_raise), "what is refuted costs no further incarnation");
}

#[test]
fn each_accuser_hears_the_refutation_directly() {
    let accusers: Vec<MemberRecord> = (1..=4).map(|n| record(n, 1, State::Alive)).collect();
    let mut bench = Bench::with(&accusers);
    for n in [1, 2, 3, 3, 2] {
        bench.tell(of_me(5, State::Suspect), n);
    }
    bench.told();
    bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(6)));
    let to = |event| match event {
        MembershipEvent::Send { to, body: Body::Ping { .. }, .. } => Some(to),
        _ => None,
    };
    let told: Vec<_> = bench.told().into_iter().filter_map(to).collect();
    let expected: Vec<_> = accusers[..3].iter().map(MemberRecord::swim_addr).collect();
    assert_eq!(told, expected, "once each, and no other member");
}

#[test]
fn an_accusation_that_comes_during_a_store_is_refuted_after_it() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    bench.tell(of_me(5, State::Suspect), 1);
    assert_eq!(raised(&mut bench), Some(6));
    // A later life's accusation: an old disk was restored here.
    bench.tell(of_me(9, State::Confirmed), 1);
    assert_eq!(raised(&mut bench), None, "the disk gets one incarnation at a time");
    bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(6)));
    assert_eq!(raised(&mut bench), Some(10));
    bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(10)));
    assert_eq!(raised(&mut bench), None, "nothing is left to refute");
    assert_eq!(bench.membership.own().incarnation, Incarnation(10));
}

#[test]
fn after_a_failed_store_the_next_accusation_is_refuted() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    for _ in 0..3 {
        bench.tell(of_me(5, State::Suspect), 1);
        assert_eq!(raised(&mut bench), Some(6));
        bench.act(|m, _| m.handle_raise_failed());
        assert_eq!(bench.membership.own().incarnation, Incarnation(5), "it was not stored");
    }
    bench.tell(of_me(5, State::Suspect), 1);
    bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(6)));
    assert_eq!(bench.membership.own().incarnation, Incarnation(6));
}

#[test]
fn that_a_suspect_lives_is_more_urgent_than_that_a_member_joined() {
    let urgency = |held: State, told: MemberRecord| {
        let mut bench = Bench::with(&[record(1, 1, held), record(2, 1, State::Alive)]);
        bench.tell(told, 2);
        bench.told().into_iter().find_map(|event| match event {
            MembershipEvent::Changed { id: of, urgency, .. } if of == told.id => Some(urgency),
            _ => None,
        })
    };
    for doubted in [State::Suspect, State::Confirmed] {
        assert_eq!(urgency(doubted, record(1, 2, State::Alive)), Some(Urgency::Refutation), "{doubted}");
    }
    assert_eq!(urgency(State::Alive, record(1, 1, State::Suspect)), Some(Urgency::Death));
    assert_eq!(urgency(State::Alive, record(3, 1, State::Alive)), Some(Urgency::Life));
    assert_eq!(urgency(State::Departed, record(1, 2, State::Alive)), Some(Urgency::Life));
}

#[test]
fn a_suspect_is_a_member_that_takes_part() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    bench.tell(record(1, 1, State::Suspect), 9);
    assert_eq!(bench.membership.ring_size(), 2, "rumors must reach it, or it cannot refute");
    assert!(!bench.membership.is_alone());
    let others = bench.membership.random_members(3, None);
    assert_eq!(others.iter().map(|r| r.id).collect::<Vec<_>>(), [id(1)]);
}

#[test]
fn a_member_of_an_old_disk_hears_of_its_later_incarnation() {
    let mut bench = Bench::with(&[record(1, 7, State::Alive)]);
    let owed = |bench: &mut Bench, incarnation| {
        let spoken = record(1, incarnation, State::Alive);
        bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &spoken, true), Contact::Member));
        bench.membership.accusation_of(&spoken).map(|r| r.incarnation.0)
    };
    assert_eq!(owed(&mut bench, 3), Some(7), "or it would never be heard again");
    assert_eq!(owed(&mut bench, 7), None);
    assert_eq!(owed(&mut bench, 8), None);
}

/// Its disk stands still, so that it cannot refute, and it answers.
#[test]
fn a_suspect_that_was_heard_is_not_buried() {
    let members: Vec<MemberRecord> = (1..=9).map(|n| record(n, 1, State::Alive)).collect();
    let mut bench = Bench::with(&members);
    for accuser in 2..=6 {
        bench.tell(record(1, 1, State::Suspect), accuser);
    }
    bench.tell(record(1, 1, State::Confirmed), 7);
    let timings = Timings::lan();
    for _ in 0..40 {
        bench.wait_ms(timings.suspicion_timeout_ms_min / 2);
        bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 1, State::Alive), true));
        assert_eq!(bench.state(1), Some(State::Suspect), "{:?}", bench.now);
    }
    bench.wait_ms(timings.suspicion_timeout_ms_min * 2);
    assert_eq!(bench.state(1), Some(State::Confirmed), "once it is silent it is dead");
}

#[test]
fn a_death_that_another_member_confirmed_makes_the_suspicion_as_short_as_it_can_be() {
    let died_after_ms = |elsewhere: bool| {
        let members: Vec<MemberRecord> = (1..=9).map(|n| record(n, 1, State::Alive)).collect();
        let mut bench = Bench::with(&members);
        bench.tell(record(1, 1, State::Suspect), 2);
        if elsewhere {
            bench.tell(record(1, 1, State::Confirmed), 3);
        }
        let begun = bench.now;
        while bench.state(1) == Some(State::Suspect)
            && bench.now.saturating_since(begun) < Duration::from_secs(20)
        {
            bench.wait_ms(50);
        }
        u64::try_from(bench.now.saturating_since(begun).as_millis()).expect("a few seconds")
    };
    let (alone, elsewhere) = (died_after_ms(false), died_after_ms(true));
    let min = Timings::lan().suspicion_timeout_ms_min;
    assert!((min..min + Timings::lan().probe_verdict_ms).contains(&elsewhere), "{elsewhere} ms");
    assert!(alone > 2 * elsewhere, "{alone} ms where no other member confirmed it");
}

#[test]
fn no_word_takes_a_member_to_an_incarnation_that_it_cannot_outbid() {
    let mut bench = Bench::with(&[record(1, 3, State::Alive), record(2, 1, State::Alive)]);
    for absurd in [INCARNATION_MAX, INCARNATION_MAX - 1, ALWAYS * 2] {
        assert_eq!(bench.tell(record(1, absurd, State::Suspect), 2), Heard::Stale);
        assert_eq!(bench.state(1), Some(State::Alive));
    }
    // What is said of itself it outbids, as far as it is believed.
    bench.tell(of_me(INCARNATION_MAX, State::Suspect), 1);
    assert_eq!(raised(&mut bench), Some(ALWAYS + 1));
    // Another that had to do so is followed in steps, by its own word.
    let outbid = record(1, ALWAYS + 1, State::Alive);
    let held = |bench: &Bench| bench.membership.table().get(&id(1)).expect("known").incarnation;
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &outbid, true), Contact::Member));
    assert_eq!(held(&bench), Incarnation(ALWAYS));
    bench.act(|m, ctx| assert_eq!(m.handle_contact(ctx, &outbid, true), Contact::Member));
    assert_eq!(held(&bench), outbid.incarnation);
}

#[test]
fn an_accusation_above_which_no_number_lies_is_not_answered_for_ever() {
    let mut bench = Bench::with(&[record(1, 3, State::Alive)]);
    let heard = bench.act(|m, ctx| {
        // By this calendar the highest of all is believed.
        ctx.wall = UnixTime::from_millis(u64::MAX);
        m.handle_rumor(ctx, &of_me(INCARNATION_MAX, State::Suspect), &Accusers::one(id(1)), &id(1))
    });
    assert_eq!((heard, raised(&mut bench)), (Heard::Known, None));
}
