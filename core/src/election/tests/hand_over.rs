//! A leader whose service is drained, replaced, stopped in order, or ill.

use super::*;
use crate::model::ballot::Body;

#[test]
fn a_leader_that_is_drained_hands_over_in_one_round_trip() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    bench.fitness(3, Some(Fitness { suitability: 0, readiness: Readiness::Unfit }));
    let (leader, ms) = bench.elect(1_000);
    assert_eq!(leader, 2);
    assert!(ms <= 10, "{ms} ms");
    assert!(bench.acting() == [2] && !matches!(bench.members[&3].role, Some(Role::Leader { .. })));
}

#[test]
fn a_successor_waits_until_the_old_service_has_stopped_acting() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    bench.members.get_mut(&3).expect("a member").demotes = false;
    bench.fitness(3, None);
    bench.run(500);
    assert_eq!(bench.acting(), [] as [u8; 0], "no member acts while the old process may");
    bench.demoted(3);
    bench.settle();
    assert_eq!(bench.elect(50).0, 2);
}

#[test]
fn what_is_not_known_yet_is_no_illness() {
    let mut bench = led_by_three();
    bench.readiness(3, Readiness::Unknown);
    bench.run(10_000);
    assert_eq!(bench.acting(), [3]);
    bench.crash(3);
    bench.readiness(2, Readiness::Unknown);
    assert_eq!(bench.elect(6_000).0, 1, "but only a member that knows itself fit stands");
}

#[test]
fn a_service_that_is_replaced_keeps_the_lead_until_its_time_is_up() {
    let mut bench = led_by_three();
    bench.readiness(3, Readiness::Restarting { until: None });
    bench.run(30_000);
    assert_eq!(bench.acting(), [3], "processes of the old tree are left");
    let until = bench.now + Duration::from_millis(10_000);
    bench.readiness(3, Readiness::Restarting { until: Some(until) });
    bench.run(9_990);
    assert_eq!((bench.acting(), bench.won.len()), (vec![3], 1));
    bench.run(30);
    assert_eq!(bench.acting(), [2], "it did not come back in time");

    let mut bench = led_by_three();
    let until = bench.now + Duration::from_millis(10_000);
    bench.readiness(3, Readiness::Restarting { until: Some(until) });
    bench.run(5_000);
    bench.readiness(3, Readiness::Fit);
    bench.run(20_000);
    assert_eq!((bench.acting(), bench.won.len()), (vec![3], 1), "it did");
}

#[test]
fn an_ordered_stop_is_renewed_as_long_as_announced_and_handed_over_at_its_end() {
    let mut bench = led_by_three();
    let until = bench.now + Duration::from_millis(6_000);
    bench.readiness(3, Readiness::Stopping { until });
    bench.run(5_000);
    assert_eq!(bench.acting(), [3], "it drains as the leader");
    bench.fitness(3, None);
    let (leader, ms) = bench.elect(1_000);
    assert_eq!(leader, 2);
    assert!(ms <= 10, "no voter waits: {ms} ms");

    // A stop that takes longer than announced: nobody is held up by it.
    let mut bench = led_by_three();
    bench.members.get_mut(&3).expect("a member").demotes = false;
    let until = bench.now + Duration::from_millis(3_000);
    bench.readiness(3, Readiness::Stopping { until });
    bench.run(3_000);
    assert_eq!(bench.acting(), [3]);
    bench.run(2_000);
    assert_eq!(bench.processes(), [] as [u8; 0], "its guard has killed it");
    assert_eq!(bench.elect(2_000).0, 2);
}

#[test]
fn a_leader_that_falls_ill_is_not_renewed_also_when_no_other_is_well() {
    let mut bench = led_by_three();
    bench.readiness(1, Readiness::Unfit);
    bench.readiness(2, Readiness::Unfit);
    bench.run(1_000);
    bench.readiness(3, Readiness::Unfit);
    bench.run(500);
    assert_eq!(bench.acting(), [3], "a moment's illness costs no lead where no member could take it");
    bench.readiness(3, Readiness::Fit);
    bench.run(5_000);
    assert_eq!((bench.acting(), bench.won.len()), (vec![3], 1));
    bench.readiness(3, Readiness::Unfit);
    bench.run(2_000);
    assert_eq!(bench.acting(), [] as [u8; 0]);
    bench.readiness(1, Readiness::Fit);
    let (leader, ms) = bench.elect(1_000);
    assert_eq!(leader, 1);
    assert!(ms <= 600, "{ms} ms");
}

#[test]
fn the_successor_is_the_best_voter_that_could_lead() {
    let mut bench = led_by_three();
    bench.fitness(1, Some(Fitness { suitability: 5, readiness: Readiness::Fit }));
    bench.run(600);
    bench.readiness(3, Readiness::Unfit);
    assert_eq!(bench.elect(10).0, 1, "suitability comes before the id");

    let mut bench = led_by_three();
    bench.readiness(2, Readiness::Unfit);
    bench.run(600);
    bench.readiness(3, Readiness::Unfit);
    assert_eq!(bench.elect(10).0, 1, "an ill member leads nothing");

    let mut bench = led_by_three();
    bench.crash(2);
    bench.run(3_000);
    bench.readiness(3, Readiness::Unfit);
    assert_eq!(bench.elect(10).0, 1, "a voter that was not heard of for a lease may be gone");
}

#[test]
fn a_hand_over_asks_no_question() {
    let mut bench = led_by_three();
    bench.readiness(3, Readiness::Unfit);
    let is_ask = |body: &Body| matches!(body, Body::Ask { .. });
    assert_eq!(bench.count(1, 250, is_ask), 0, "the others leave the successor its time");
    assert_eq!(bench.acting(), [2]);
}

#[test]
fn the_end_of_a_term_is_told_and_followers_keep_their_role_until_the_next() {
    let is_end = |outcome: &ElectionRumor| outcome.ended && (outcome.term, outcome.leader) == (1, id(3));
    let mut bench = led_by_three();
    bench.split(&[3], &[1, 2]);
    while !bench.acting().is_empty() {
        bench.step();
    }
    assert!(bench.told.iter().any(is_end), "it has lost its quorum: {:?}", bench.told);

    let mut bench = led_by_three();
    bench.readiness(1, Readiness::Unfit);
    bench.readiness(2, Readiness::Unfit);
    bench.run(600);
    bench.fitness(3, None);
    assert!(bench.told.iter().any(is_end), "it has no successor: {:?}", bench.told);
    bench.run(1_000);
    assert_eq!(bench.acting(), [] as [u8; 0]);
    assert_eq!(bench.members[&1].role, Some(Role::Follower { term: 1, leader: id(3) }), "no other leads yet");
}

#[test]
fn a_leader_that_is_not_answered_asks_several_times_in_a_period() {
    let mut bench = led_by_three();
    bench.split(&[3], &[1, 2]);
    let asked = bench.count(3, 1_000, |body| matches!(body, Body::Renew { .. }));
    assert!((8..=18).contains(&asked), "{asked} requests to two voters in two periods");
}
