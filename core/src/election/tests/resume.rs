//! A leader whose supervisor is started again, and what it may and may not lead on by.

use super::*;
use crate::model::ballot::{Body, Step, Verdict};

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
fn the_list_of_a_victory_is_put_down_again() {
    let mut bench = Bench::new(3);
    bench.members.get_mut(&3).expect("a member").disk_steps = 40;
    let is_between = |bench: &Bench| {
        let row = bench.row(3, &election());
        row.is_some_and(|row| row.candidate == Some(id(3)) && !row.electorate.is_founded())
    };
    while !is_between(&bench) || bench.acting().is_empty() {
        bench.step();
    }
    bench.kill(3);
    bench.members.get_mut(&3).expect("a member").disk_steps = 1;
    bench.start(3);
    assert_eq!(bench.acting(), [3]);
    bench.run(10);
    let row = bench.row(3, &election()).expect("it voted");
    assert_eq!(row.electorate.stamp(), (1, 1), "as the voters have founded it");
}

#[test]
fn a_member_that_was_bound_to_another_since_leads_on_no_more() {
    // It voted for another candidate in a later term, or followed another leader into one.
    for candidate in [Some(id(2)), None] {
        let mut bench = led_by_three();
        let row = Vote { term: 2, candidate, ..bench.row(3, &election()).expect("it voted") };
        bench.kill(3);
        let write = vote::store(&election(), &row);
        let member = bench.members.get_mut(&3).expect("a member");
        member.disk.insert(write.key, write.value.expect("a row"));
        bench.start(3);
        assert_eq!(bench.acting(), [] as [u8; 0], "the entry outlived the lead by mistake");
    }
}
