//! The voter: whom it answers what, and for how long it is bound.

use super::*;
use crate::model::ballot::{Body, Electorate, Verdict};

fn ask(members: &[u8]) -> Body {
    let electorate = Electorate::proposal(members.iter().map(|n| id(*n)));
    Body::Ask { suitability: 5, electorate }
}

fn vote(electorate: Electorate) -> Body {
    Body::Vote { lease_ms: 2_000, electorate }
}

/// The list that a member's disk holds.
fn list(bench: &Bench, n: u8) -> Electorate {
    bench.row(n, &election()).expect("it voted").electorate
}

#[test]
fn a_voter_that_said_yes_says_so_to_no_other_for_a_while() {
    let mut bench = Bench::new(2);
    assert_eq!(bench.answer(1, 2, 1, ask(&[1, 2, 3])), Some(Verdict::Yes));
    assert_eq!(bench.answer(1, 3, 1, ask(&[1, 2, 3])), Some(Verdict::Better { candidate: id(2) }));
    bench.run(300);
    assert_eq!(bench.answer(1, 3, 1, ask(&[1, 2, 3])), Some(Verdict::Yes), "an answer has its time");
}

#[test]
fn a_voter_names_the_members_that_a_founder_misses() {
    let mut bench = Bench::new(2);
    assert_eq!(bench.answer(1, 3, 1, ask(&[1, 3])), Some(Verdict::Missing { members: vec![id(2)] }));
}

#[test]
fn a_voter_that_knows_of_a_leader_helps_to_found_nothing() {
    let mut bench = Bench::new(2);
    let outcome = ElectionRumor { election: election(), term: 1, leader: id(2), ended: false };
    bench.with(1, |elections, ctx| elections.handle_outcome(ctx, &outcome));
    let answer = bench.answer(1, 3, 2, ask(&[1, 2, 3]));
    assert!(matches!(answer, Some(Verdict::Wait { .. })), "{answer:?}");
}

#[test]
fn a_candidate_with_an_older_list_is_told_the_later_one() {
    let mut bench = led_by_three();
    let held = list(&bench, 1);
    let proposal = Electorate::proposal(held.members.iter().copied());
    let told = Some(Verdict::Outdated { electorate: held });
    assert_eq!(bench.answer(1, 2, 5, vote(proposal)), told);
}

#[test]
fn a_release_frees_the_voters_of_its_own_term_only() {
    let mut bench = led_by_three();
    let held = list(&bench, 1);
    bench.hear(1, 3, 0, Body::Release { successor: None });
    let answer = bench.answer(1, 2, 5, vote(held));
    assert!(matches!(answer, Some(Verdict::Wait { .. })), "{answer:?}");
}

#[test]
fn a_late_request_of_a_leader_that_has_freed_its_voters_binds_no_voter() {
    let mut bench = led_by_three();
    let electorate = list(&bench, 1);
    bench.hear(1, 3, 1, Body::Release { successor: Some(id(2)) });
    assert_eq!(bench.answer(1, 3, 1, Body::Renew { lease_ms: 2_000, electorate }), None);
}

#[test]
fn a_voter_stores_a_term_that_it_had_only_heard_of_before_it_follows_its_leader() {
    let mut bench = led_by_three();
    bench.split(&[3], &[1, 2]);
    bench.run(4_000);
    let electorate = list(&bench, 1);
    // Others use a higher term, says an answer to this member's own candidacy; that is written nowhere.
    let learned =
        bench.with(1, |elections, _| elections.instances.get_mut(&election()).map(|e| e.learn_term(70)));
    assert_eq!(learned, Some(Some(true)));
    assert!(bench.row(1, &election()).expect("it voted").term < 70);
    let renew = Body::Renew { lease_ms: 2_000, electorate };
    assert_eq!(bench.answer(1, 2, 70, renew), Some(Verdict::Yes));
    let row = bench.row(1, &election()).expect("it voted");
    assert_eq!((row.term, row.candidate), (70, None), "a restarted voter gives no vote in that term");
}

#[test]
fn a_leader_that_gave_up_keeps_its_own_vote_until_its_lease_ends() {
    let mut bench = led_by_three();
    bench.split(&[3], &[1, 2]);
    while !bench.acting().is_empty() {
        bench.step();
    }
    // In a larger group the votes of others may be free already, and its process has a margin to stop in.
    let held = list(&bench, 3);
    let answer = bench.answer(3, 2, 9, vote(held));
    assert!(matches!(answer, Some(Verdict::Wait { left_ms: 100.. })), "{answer:?}");
}

#[test]
fn a_restarted_voter_waits_for_the_longest_lease_that_it_promised() {
    let mut bench = led_by_three();
    let electorate = list(&bench, 1);
    for lease_ms in [8_000, 2_000] {
        let renew = Body::Renew { lease_ms, electorate: electorate.clone() };
        assert_eq!(bench.answer(1, 3, 1, renew), Some(Verdict::Yes));
    }
    // Another list is stored since, and with it what was promised before.
    bench.add(4);
    bench.run(600);
    let electorate = list(&bench, 1);
    assert_eq!(electorate.members.len(), 4);
    for n in 1..=4 {
        bench.crash(n);
    }
    bench.start(1);
    bench.run(8_700);
    let answer = bench.answer(1, 2, 5, vote(electorate.clone()));
    assert!(matches!(answer, Some(Verdict::Wait { .. })), "{answer:?}");
    bench.run(110);
    assert_eq!(bench.answer(1, 2, 5, vote(electorate)), Some(Verdict::Yes));
}
