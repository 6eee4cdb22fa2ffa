//! One leader: after a start, a death, a partition, a restart of the group; for each purpose of a group.

use super::*;
use crate::model::ballot::{Body, Electorate, Message};
use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_VERSION_MAX};
use crate::model::reach::ALWAYS;

#[test]
fn three_members_elect_the_greatest_id_within_half_a_second() {
    let mut bench = Bench::new(3);
    let (leader, ms) = bench.elect(2_000);
    assert_eq!(leader, 3);
    assert!(ms <= 500, "{ms} ms");
    bench.run(300);
    for n in 1..=2 {
        assert_eq!(bench.members[&n].role, Some(Role::Follower { term: 1, leader: id(3) }));
        assert_eq!(bench.view(n).expect("a view").status, ElectionStatus::Finished);
    }
    bench.run(20_000);
    assert_eq!(bench.acting(), [3]);
    assert_eq!(bench.won.len(), 1, "a working leader stays: {:?}", bench.won);
}

#[test]
fn suitability_comes_before_the_id() {
    let mut bench = Bench::new(3);
    bench.fitness(1, Some(Fitness { suitability: 7, readiness: Readiness::Fit }));
    assert_eq!(bench.elect(2_000).0, 1);
    bench.fitness(2, Some(Fitness { suitability: 9, readiness: Readiness::Fit }));
    bench.run(5_000);
    assert_eq!(bench.acting(), [1], "a better member does not replace a leader that works");
}

#[test]
fn two_members_wait_for_a_third_and_say_so() {
    let mut bench = Bench::new(2);
    bench.run(10_000);
    assert_eq!(bench.view(1).expect("a view").status, ElectionStatus::Waiting { missing: 1 });
    let Some(Role::Waiting { why }) = &bench.members[&1].role else { panic!("it waits") };
    assert_eq!(why, "waiting for 1 more member");
    assert_eq!(bench.sent, 0, "a member that waits for others asks no voter");
    bench.add(3);
    bench.elect(1_000);
}

#[test]
fn a_dead_leader_is_replaced_within_the_promise_and_a_moment() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(2_000);
    bench.crash(3);
    let (leader, ms) = bench.elect(5_000);
    assert_eq!(leader, 2);
    assert!(ms <= 3_000, "{ms} ms");
    bench.start(3);
    bench.run(5_000);
    assert_eq!(bench.acting(), [2]);
}

#[test]
fn the_side_with_the_majority_elects_and_the_other_gives_up_first() {
    let mut bench = Bench::new(5);
    bench.elect(1_000);
    bench.run(1_000);
    bench.split(&[5, 4], &[1, 2, 3]);
    bench.run(1_800);
    assert_eq!(bench.acting(), [] as [u8; 0], "the old leader has given up");
    assert_eq!(bench.elect(3_000).0, 3);
    bench.run(10_000);
    let before = bench.sent;
    bench.run(60_000);
    let per_second = (bench.sent - before) / 60;
    assert!(per_second < 50, "{per_second} messages a second");
    bench.heal();
    bench.run(5_000);
    assert_eq!(bench.acting(), [3]);
    assert_eq!(bench.members[&5].role, Some(Role::Follower { term: 2, leader: id(3) }));
}

#[test]
fn equal_halves_elect_nobody_until_they_meet_again() {
    let mut bench = Bench::new(4);
    bench.elect(1_000);
    bench.run(1_000);
    bench.split(&[1, 2], &[3, 4]);
    bench.run(30_000);
    assert_eq!(bench.acting(), [] as [u8; 0]);
    assert_eq!(bench.view(1).expect("a view").status, ElectionStatus::NoQuorum);
    bench.heal();
    let (_, ms) = bench.elect(10_000);
    assert!(ms <= 1_000, "{ms} ms after the heal");
}

#[test]
fn a_group_that_restarts_as_a_whole_elects_again() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    for n in 1..=3 {
        bench.crash(n);
    }
    for n in 1..=3 {
        bench.start(n);
    }
    bench.run(2_000);
    assert_eq!(bench.acting(), [] as [u8; 0], "restarted voters keep the promises of their last life");
    let (_, ms) = bench.elect(2_000);
    assert!(ms <= 1_000);
    assert_eq!(bench.won.keys().map(|(_, term)| *term).collect::<vec::Vec<_>>(), [1, 2]);
}

#[test]
fn two_elections_of_one_group_go_their_own_ways() {
    let mut bench = Bench::new(5);
    // The other way round than ids prefer: each purpose finds the member that is best for it.
    bench.updaters =
        (1..=5).map(|n| (n, Fitness { suitability: u64::from(9 - n), readiness: Readiness::Fit })).collect();
    bench.refresh();
    assert_eq!(bench.elect(2_000).0, 5);
    bench.run(1_000);
    assert_eq!((bench.acting(), bench.acting_for(ElectionPurpose::Update)), (vec![5], vec![1]));
    let of = |bench: &Bench, id: &ElectionId| bench.won.keys().filter(|(won, _)| won == id).count();
    assert_eq!((of(&bench, &election()), of(&bench, &update())), (1, 1), "{:?}", bench.won);

    // The member that carries out updates dies: its election goes on, the other one does not notice.
    bench.crash(1);
    bench.run(6_000);
    assert_eq!((bench.acting(), bench.acting_for(ElectionPurpose::Update)), (vec![5], vec![2]));
    assert_eq!((of(&bench, &election()), of(&bench, &update())), (1, 2), "{:?}", bench.won);

    // Without a quorum neither goes on, and after the heal both do, with the rows of their disks.
    bench.split(&[5, 2], &[3, 4]);
    bench.run(6_000);
    assert_eq!((bench.acting().len(), bench.acting_for(ElectionPurpose::Update).len()), (0, 0));
    for n in [2, 3, 4, 5] {
        let member = &bench.members[&n];
        assert_eq!(member.disk.len(), 2, "one row for each election: {:?}", member.disk.keys());
        bench.crash(n);
        bench.start(n);
    }
    bench.heal();
    bench.run(10_000);
    assert_eq!((bench.acting().len(), bench.acting_for(ElectionPurpose::Update)), (1, vec![2]));

    // A member that stands in one of them no longer still votes in both.
    bench.updaters.remove(&2);
    bench.refresh();
    bench.run(6_000);
    assert_eq!(bench.acting_for(ElectionPurpose::Update), [3]);
    assert_eq!(bench.view_of(2, ElectionPurpose::Update), None, "it takes no part in it");
}

#[test]
fn a_member_that_comes_back_is_asked_at_once_however_long_the_search_has_lasted() {
    for offset in 0..6 {
        let mut bench = led_by_three();
        bench.crash(3);
        bench.split(&[1], &[2]);
        bench.run(15_000 + offset * 370);
        bench.heal();
        let (_, ms) = bench.elect(4_000);
        assert!(ms <= 1_000, "{ms} ms: a moment to settle, and a round or two");
    }
}

#[test]
fn a_strangers_claim_to_lead_costs_a_term_and_no_pause() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(2_000);
    // A greater id prevails in a term that two claim to have won; this one never speaks again.
    let electorate = Electorate { term: 1, version: 1, members: [1, 2, 3].map(id).to_vec() };
    let body = Body::Renew { lease_ms: 2_000, electorate };
    let claim = Message { election: election(), term: 1, round: 7, body };
    bench.with(1, |elections, ctx| elections.handle_message(ctx, id(9), claim));
    bench.run(5);
    assert_eq!(bench.members[&1].role, Some(Role::Follower { term: 1, leader: id(9) }));
    for _ in 0..100 {
        bench.run(100);
        assert_eq!(bench.acting(), [3], "the leader acts on all the time");
    }
    for n in 1..=2 {
        assert_eq!(bench.members[&n].role, Some(Role::Follower { term: 2, leader: id(3) }), "member {n}");
    }
}

#[test]
fn no_message_leads_to_a_term_or_a_list_that_none_can_follow() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(2_000);
    let far = ALWAYS * 2;
    for (term, list) in [(ELECTION_TERM_MAX, 1), (far, 1), (2, ELECTORATE_VERSION_MAX)] {
        let electorate = Electorate { term, version: list, members: [1, 2, 3].map(id).to_vec() };
        let bodies = [
            Body::Renew { lease_ms: 2_000, electorate: electorate.clone() },
            Body::Vote { lease_ms: 2_000, electorate: electorate.clone() },
            Body::Ask { suitability: 9, electorate },
        ];
        for body in bodies {
            let claim = Message { election: election(), term, round: 7, body };
            bench.with(1, |elections, ctx| elections.handle_message(ctx, id(2), claim));
        }
    }
    bench.run(10_000);
    assert_eq!(bench.acting().len(), 1);
    bench.crash(3);
    bench.elect(10_000);
    let Some(Role::Leader { term, .. } | Role::Follower { term, .. }) = bench.members[&1].role else {
        panic!("{:?}", bench.members[&1].role)
    };
    assert!(term < far, "terms go on one by one: {term}");
}

#[test]
fn voters_that_are_made_up_take_no_part_in_a_list_that_none_could_follow() {
    for (list, version) in [(2, ELECTORATE_VERSION_MAX), (ELECTION_TERM_MAX, 1)] {
        let mut bench = Bench::new(3);
        bench.elect(1_000);
        bench.run(2_000);
        let electorate = Electorate { term: list, version, members: [2, 8, 9].map(id).to_vec() };
        for body in [
            Body::Ask { suitability: 9, electorate: electorate.clone() },
            Body::Vote { lease_ms: 2_000, electorate: electorate.clone() },
            Body::Renew { lease_ms: 2_000, electorate },
        ] {
            bench.hear(1, 2, 2, body);
        }
        bench.crash(3);
        assert!([1, 2].contains(&bench.elect(20_000).0), "two of three voters are there");
    }
}
