//! A leader and its voters: lists that are told, the better candidate, terms that run away, copies of an identity.

use super::*;
use crate::model::ballot::{Body, Electorate, Step, Verdict};

#[test]
fn an_electorate_is_told_when_it_is_on_the_leaders_disk() {
    let mut bench = led_by_three();
    bench.members.get_mut(&3).expect("a member").disk_steps = 400;
    bench.add(4);
    bench.add(5);
    for _ in 0..2_000 {
        bench.step();
        let on_disk = bench.members[&3].disk.iter().map(|(key, value)| vote::decode(key, value));
        let on_disk = on_disk.map(|row| row.expect("its row").1.electorate.stamp()).max();
        let told = bench.wire.iter().filter(|(_, from, ..)| *from == 3).filter_map(|(.., m)| match &m.body {
            Body::Renew { electorate, .. } | Body::Vote { electorate, .. } => Some(electorate.stamp()),
            _ => None,
        });
        assert!(told.max() <= on_disk, "it would tell another list after a crash");
    }
    assert_eq!(bench.acting(), [3], "a slow disk costs no lead");
    bench.run(4_000);
    let elections = bench.members[&3].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()).len(), 5);
}

#[test]
fn the_better_one_wins_also_when_another_asks_first() {
    // Two of five are lost at different times, so that promises run out at different times and one round fails.
    for offset in 0..12 {
        let mut bench = Bench::new(5);
        bench.delay_ms_max = 20;
        bench.elect(1_000);
        bench.run(3_000 + offset * 41);
        bench.crash(5);
        bench.crash(1);
        assert_eq!(bench.elect(6_000).0, 4, "of 2, 3 and 4, all of which are needed");
    }
}

#[test]
fn terms_follow_each_other_slowly_whatever_voters_say() {
    let mut bench = led_by_three();
    let stale = |bench: &mut Bench| {
        let term = bench.view(3).map_or(0, |view| view.term) + 1;
        let body = Body::Answer { to: Step::Renew, verdict: Verdict::Stale, voter: Default::default() };
        let message = Message { election: election(), term, round: 1, body };
        bench.with(3, |elections, ctx| elections.handle_message(ctx, id(1), message));
    };
    let before = bench.term(3);
    for _ in 0..10_000 {
        stale(&mut bench);
        bench.step();
    }
    let raised = bench.term(3) - before;
    assert!((1..=12).contains(&raised), "{raised} terms in 10 s, two by each renewal");
}

#[test]
fn a_copy_of_the_leader_is_told_so_and_elects_itself_nowhere() {
    let mut bench = led_by_three();
    // The copy asks under the leader's id, while the leader leads.
    let electorate = Electorate { term: 1, version: 2, members: vec![id(1), id(2), id(3)] };
    let ask = Body::Ask { suitability: 9, electorate };
    let message = Message { election: election(), term: 2, round: 1, body: ask };
    bench.with(1, |elections, ctx| elections.handle_message(ctx, id(3), message));
    bench.settle();
    let answer = bench.wire.iter().find_map(|(_, from, to, m)| match &m.body {
        Body::Answer { to: Step::Ask, verdict, .. } if (*from, *to) == (1, 3) => Some(verdict.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(Verdict::Better { candidate: id(3) }));

    // The original hears that a term was won in its name: it leads no longer, and says why.
    let outcome = ElectionRumor { election: election(), term: 5, leader: id(3), ended: false };
    bench.with(3, |elections, ctx| elections.handle_outcome(ctx, &outcome));
    bench.settle();
    assert_eq!(bench.acting(), [] as [u8; 0]);
    let Some(Role::Waiting { why }) = &bench.members[&3].role else { panic!("it waits") };
    assert!(why.contains("the disk was copied or put back"), "{why}");
    let is_candidacy = |body: &Body| matches!(body, Body::Ask { .. } | Body::Vote { .. });
    assert_eq!(bench.count(3, 3_900, is_candidacy), 0, "it stands back for a while");
    assert!(bench.row(3, &election()).expect("it voted").term >= 5, "and gives no vote in that term");
}
