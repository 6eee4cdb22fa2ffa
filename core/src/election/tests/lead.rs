//! A leader whose supervisor or service is started again, is stopped in order or falls ill; late messages, disks that
//! fail, terms that run away, and copies of an identity.

use super::*;
use crate::model::ballot::{Body, Electorate, Step, Verdict};

/// A leader is killed with its supervisor, which starts again with the right to resume.
fn led_by_three() -> Bench {
    let mut bench = Bench::new(3);
    assert_eq!(bench.elect(1_000).0, 3);
    bench.run(2_000);
    bench
}

#[test]
fn a_leader_whose_supervisor_is_started_again_leads_on() {
    let mut bench = led_by_three();
    bench.kill(3);
    bench.run(200);
    bench.start(3);
    assert_eq!(bench.acting(), [3], "at once, as what it was");
    let until = |bench: &Bench| bench.view(3).and_then(|view| view.acting_until).expect("it acts");
    let kept = until(&bench);
    bench.run(20);
    assert!(until(&bench) > kept + Duration::from_millis(200), "it has asked for a renewal at once");
    bench.run(20_000);
    assert_eq!(bench.acting(), [3]);
    assert_eq!((bench.term(3), bench.won.len()), (1, 1), "no term was needed: {:?}", bench.won);
}

#[test]
fn a_resumed_leader_leads_until_its_old_end_and_no_longer_without_a_quorum() {
    let mut bench = led_by_three();
    let until = bench.view(3).and_then(|view| view.acting_until).expect("it acts");
    bench.kill(3);
    bench.split(&[3], &[1, 2]);
    bench.start(3);
    assert_eq!(bench.view(3).and_then(|view| view.acting_until), Some(until), "the lease that it had");
    while bench.now < until - Duration::from_millis(300) {
        assert_eq!(bench.acting(), [3]);
        bench.step();
    }
    assert_eq!(bench.acting(), [] as [u8; 0], "it gives up a margin before its lease ends");
    assert_eq!(bench.elect(3_000).0, 2);
}

#[test]
fn what_is_missing_for_a_resumption_leaves_a_voter_that_waits() {
    // The entry, the row, and time before the end: each is needed.
    for missing in ["entry", "row", "time", "term"] {
        let mut bench = led_by_three();
        let member = bench.members.get_mut(&3).expect("a member");
        match missing {
            "entry" => member.resume = None,
            "row" => member.disk.clear(),
            "time" => {
                let (term, until) = member.resume.expect("it leads");
                member.resume = Some((term, until));
            }
            _ => member.resume = member.resume.map(|(term, until)| (term + 1, until)),
        }
        bench.kill(3);
        if missing == "time" {
            bench.run(1_600);
        }
        bench.start(3);
        assert_eq!(bench.acting(), [] as [u8; 0], "without its {missing}");
        bench.run(1_000);
        assert!(bench.acting() != [3], "without its {missing} it keeps the promises of its last life");
        bench.run(8_000);
        assert_eq!(bench.acting().len(), 1, "without its {missing}");
    }
}

#[test]
fn answers_of_the_last_life_and_to_other_steps_extend_no_lease() {
    let mut bench = led_by_three();
    bench.kill(3);
    bench.split(&[3], &[1, 2]);
    bench.start(3);
    let until = bench.view(3).and_then(|view| view.acting_until).expect("it acts");
    bench.run(200);
    let voter =
        crate::model::ballot::Voter { is_member: true, fit: true, suitability: 0, electorate: (1, 1) };
    let life = u64::from(2_u32) << ROUNDS_BITS;
    for to in [Step::Ask, Step::Vote, Step::Renew] {
        // Numbers of the last life, of this one, and from the beginning; the terms that were tried, led and to come.
        for round in (0..64).chain(life - 8..life).chain((1 << ROUNDS_BITS)..(1 << ROUNDS_BITS) + 64) {
            for (from, term) in [(1, 1), (2, 1), (1, 2), (2, 0)] {
                let body = Body::Answer { to, verdict: Verdict::Yes, voter };
                let message = Message { election: election(), term, round, body };
                bench.with(3, |elections, ctx| elections.handle_message(ctx, id(from), message));
            }
        }
    }
    // Of this life's own requests, only answers to their own step and term count.
    for round in life..life + 8 {
        for (to, term) in
            [(Step::Ask, 1), (Step::Vote, 1), (Step::Vote, 2), (Step::Renew, 2), (Step::Renew, 0)]
        {
            let body = Body::Answer { to, verdict: Verdict::Yes, voter };
            let message = Message { election: election(), term, round, body };
            bench.with(3, |elections, ctx| elections.handle_message(ctx, id(1), message));
        }
    }
    assert_eq!(bench.view(3).and_then(|view| view.acting_until), Some(until));
    let body = Body::Answer { to: Step::Renew, verdict: Verdict::Yes, voter };
    let message = Message { election: election(), term: 1, round: life + 1, body };
    bench.with(3, |elections, ctx| elections.handle_message(ctx, id(1), message));
    assert!(
        bench.view(3).and_then(|view| view.acting_until) > Some(until),
        "the answer to its request counts"
    );
}

#[test]
fn a_leader_that_resumes_is_bound_to_nobody() {
    let mut bench = led_by_three();
    bench.crash(1);
    bench.run(3_000);
    bench.kill(3);
    bench.start(3);
    bench.run(1_000);
    bench.readiness(3, Readiness::Unfit);
    let (leader, ms) = bench.elect(2_000);
    assert_eq!(leader, 2, "with the vote of the leader that stepped back, and no other");
    assert!(ms <= 20, "a planned hand-over costs no wait, also after a resumption: {ms} ms");
}

#[test]
fn a_term_that_was_only_tried_is_not_the_one_that_is_led() {
    let mut bench = led_by_three();
    // A voter knows a higher term, so the leader asks to be confirmed in one above, and its supervisor dies meanwhile.
    let row = Vote { term: 6, ..Vote::default() };
    let write = vote::store(&election(), &row);
    bench.crash(1);
    bench.members.get_mut(&1).expect("a member").disk.insert(write.key, write.value.expect("a row"));
    bench.start(1);
    while bench.members[&3].disk.values().all(|value| {
        let key = b"redis.prod";
        vote::decode(key, value).expect("its row").1.term != 7
    }) {
        bench.step();
    }
    bench.kill(3);
    bench.start(3);
    assert!(matches!(bench.members[&3].role, Some(Role::Leader { term: 1, .. })), "the term that it won");
    bench.run(1_000);
    assert!(
        matches!(bench.members[&3].role, Some(Role::Leader { term: 7, .. })),
        "then the one that it tried"
    );
    assert_eq!(bench.acting(), [3]);
}

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
}
