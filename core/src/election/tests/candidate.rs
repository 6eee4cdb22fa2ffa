//! The candidate: how often it asks, whom it hears before it goes on, and what it does about lost messages.

use super::*;
use crate::model::ballot::{Body, Electorate};

const fn is_ask(body: &Body) -> bool {
    matches!(body, Body::Ask { .. })
}

#[test]
fn without_a_quorum_it_asks_ever_more_rarely_down_to_a_bound() {
    let mut bench = led_by_three();
    bench.split(&[1], &[2, 3]);
    bench.run(60_000);
    let asked = bench.count(1, 20_000, is_ask);
    assert!((8..=24).contains(&asked), "{asked} questions to two voters in 20 s, one round in 2 to 4.4 s");
}

#[test]
fn voters_that_are_bound_are_asked_again_when_they_are_free() {
    let mut bench = Bench::new(5);
    assert_eq!(bench.elect(1_000).0, 5);
    bench.run(1_000);
    bench.split(&[4], &[5]);
    bench.run(3_000);
    let asked = bench.count(4, 20_000, is_ask);
    assert!((16..80).contains(&asked), "{asked} questions to four voters in 20 s, one round in two seconds");
    assert_eq!(
        (bench.acting(), bench.won.len()),
        (vec![5], 1),
        "a member that has lost the leader disturbs none"
    );
}

#[test]
fn a_vote_that_was_lost_is_asked_for_again_in_the_same_term() {
    let mut bench = Bench::new(3);
    let is_vote = |body: &Body| matches!(body, Body::Vote { .. });
    while !bench.wire.iter().any(|(.., message)| is_vote(&message.body)) {
        bench.step();
    }
    bench.wire.retain(|(.., message)| !is_vote(&message.body));
    let (leader, ms) = bench.elect(200);
    assert_eq!((leader, bench.term(3)), (3, 1), "after {ms} ms");
}

#[test]
fn a_founder_hears_every_member_that_it_can_reach() {
    let mut bench = Bench::new(0);
    for n in 1..=5 {
        bench.add(n);
        let readiness = if n == 5 { Readiness::Fit } else { Readiness::Unfit };
        bench.readiness(n, readiness);
    }
    // Two knows the list of a group that the others have not heard of, and its answers come late.
    let electorate = Electorate { term: 4, version: 2, members: vec![id(1), id(2), id(3)] };
    let write = vote::store(&election(), &Vote { term: 4, electorate, ..Vote::default() });
    bench.crash(2);
    bench.members.get_mut(&2).expect("a member").disk.insert(write.key, write.value.expect("a row"));
    bench.start(2);
    let held_until = bench.now + STEP * 300;
    for _ in 0..2_000 {
        bench.step();
        for (at, ..) in bench.wire.iter_mut().filter(|(_, from, to, _)| (*from, *to) == (2, 5)) {
            *at = (*at).max(held_until);
        }
    }
    assert_eq!(bench.elect(5_000).0, 5);
    let terms: vec::Vec<u64> = bench.won.keys().map(|(_, term)| *term).collect();
    assert!(terms.iter().all(|term| *term > 4), "no second list was founded beside the first: {terms:?}");
}

#[test]
fn two_found_no_list_when_the_third_goes_while_it_is_asked() {
    let mut bench = Bench::new(3);
    while !bench.wire.iter().any(|(.., message)| is_ask(&message.body)) {
        bench.step();
    }
    bench.fitness(1, None);
    bench.run(10_000);
    let founded = |row: Option<Vote>| row.is_some_and(|row| row.electorate.is_founded());
    assert!(
        bench.acting().is_empty() && !founded(bench.row(3, &election())),
        "of two seats none can be lost"
    );
    assert_eq!(bench.view(3).expect("a view").status, ElectionStatus::Waiting { missing: 1 });
    bench.readiness(1, Readiness::Fit);
    assert_eq!(bench.elect(1_000).0, 3);
    bench.crash(2);
    bench.run(10_000);
    assert_eq!(bench.acting(), vec![3], "of three seats one can");
}
