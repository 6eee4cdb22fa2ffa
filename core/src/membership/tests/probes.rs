//! Probes, their ways, and what a member makes of a missing answer.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Bench, id, record};
use crate::membership::{MembershipEvent, Urgency};
use crate::model::config::{Config, Timings};
use crate::model::id::ProbeSeq;
use crate::model::member::{MemberRecord, State};
use crate::wire::swim::Body;

/// Waits for the next probe: its target's address and its number.
fn next_probe(bench: &mut Bench) -> (SocketAddr, ProbeSeq) {
    for _ in 0..500 {
        bench.wait_ms(10);
        let ping = bench.told().into_iter().find_map(|event| match event {
            MembershipEvent::Send { to, body: Body::Ping { seq, forward_to: None }, .. } => Some((to, seq)),
            _ => None,
        });
        if let Some(ping) = ping {
            return ping;
        }
    }
    panic!("a member probes others");
}

/// The helpers that are asked about a probe's target.
fn asked(bench: &mut Bench) -> Vec<SocketAddr> {
    let to = |event| match event {
        MembershipEvent::Send { to, body: Body::PingReq { .. }, .. } => Some(to),
        _ => None,
    };
    bench.told().into_iter().filter_map(to).collect()
}

#[test]
fn a_probe_that_datagrams_do_not_answer_goes_by_stream_and_the_answer_counts() {
    let other = MemberRecord { gossip_port: 7_777, ..record(1, 1, State::Alive) };
    let mut bench = Bench::with(&[other]);
    let (to, seq) = next_probe(&mut bench);
    assert_eq!(to, other.swim_addr());
    bench.wait_ms(Timings::lan().probe_timeout_ms);
    let by_stream = bench.told().into_iter().find_map(|event| match event {
        MembershipEvent::StreamPing { to, seq } => Some((to, seq)),
        _ => None,
    });
    assert_eq!(by_stream, Some((other.gossip_addr(), seq)), "a filter may let streams alone pass");
    bench.act(|m, ctx| m.handle_probe_answer(ctx, &id(1), seq));
    bench.wait_ms(Timings::lan().probe_verdict_ms);
    assert_eq!(bench.state(1), Some(State::Alive));
}

#[test]
fn a_ping_is_repeated_before_others_are_asked() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    let (to, seq) = next_probe(&mut bench);
    bench.wait_ms(Timings::lan().probe_timeout_ms - 20);
    let is_same = |event: &MembershipEvent| {
        matches!(event, MembershipEvent::Send { to: again, body: Body::Ping { seq: of, .. }, .. }
            if *again == to && *of == seq)
    };
    let told = bench.told();
    assert_eq!(told.iter().filter(|event| is_same(event)).count(), 2, "one lost datagram is no suspicion");
    assert!(
        !told.iter().any(|event| matches!(event, MembershipEvent::Send { body: Body::PingReq { .. }, .. }))
    );
}

#[test]
fn a_suspicion_that_was_told_is_looked_into_and_confirmed_of_own_knowledge() {
    let suspect = record(1, 1, State::Alive);
    let mut bench = Bench::with(&[suspect, record(2, 1, State::Alive), record(3, 1, State::Alive)]);
    bench.tell(record(1, 1, State::Suspect), 2);
    bench.told();
    bench.wait_ms(Timings::lan().probe_timeout_ms);
    let puts_it = |event: &MembershipEvent| {
        matches!(event, MembershipEvent::Send { to, body: Body::Ping { .. }, accuse: Some(accused) }
            if *to == suspect.swim_addr() && accused.state == State::Suspect)
    };
    assert!(bench.told().iter().any(puts_it), "within a probe's time, not at its next turn");
    bench.wait_ms(Timings::lan().probe_verdict_ms);
    let accusers =
        bench.membership.statement(&id(1)).map(|(_, accusers)| accusers.iter().collect::<Vec<_>>());
    assert_eq!(accusers, Some(alloc::vec![id(0), id(2)]));
    let is_news = |event: &MembershipEvent| matches!(event, MembershipEvent::Changed { id: of, urgency: Urgency::Death, .. } if *of == id(1));
    assert!(bench.told().iter().any(is_news), "the others hear that it accuses, too");
}

#[test]
fn a_suspect_is_asked_a_last_time_before_it_is_confirmed_dead() {
    let others: Vec<MemberRecord> = (1..=9).map(|n| record(n, 1, State::Alive)).collect();
    let mut bench = Bench::with(&others);
    let mut asked = bench.now;
    let begun = bench.now;
    while bench.state(1) != Some(State::Confirmed) {
        bench.wait_ms(10);
        for event in bench.told() {
            let MembershipEvent::Send { to, body: Body::Ping { seq, .. }, .. } = event else { continue };
            let Some(other) = others.iter().find(|other| other.swim_addr() == to) else { continue };
            if other.id == id(1) {
                asked = bench.now;
            } else {
                bench.act(|m, ctx| m.handle_probe_answer(ctx, &other.id, seq));
            }
        }
        assert!(bench.now.saturating_since(begun).as_secs() < 60, "it is held dead in the end");
    }
    let waited = bench.now.saturating_since(asked);
    let verdict = core::time::Duration::from_millis(Timings::lan().probe_verdict_ms);
    assert!(waited <= verdict + verdict / 10, "asked for the last time {waited:?} before");
}

#[test]
fn an_answer_to_an_earlier_question_saves_no_member() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    let (_, earlier) = next_probe(&mut bench);
    bench.act(|m, ctx| m.handle_probe_answer(ctx, &id(1), earlier));
    let (_, seq) = next_probe(&mut bench);
    assert_ne!(seq, earlier);
    // It was long under way, and the member has died meanwhile.
    bench.act(|m, ctx| m.handle_probe_answer(ctx, &id(1), earlier));
    bench.wait_ms(Timings::lan().probe_verdict_ms);
    assert_eq!(bench.state(1), Some(State::Suspect));
}

#[test]
fn a_member_doubts_itself_for_each_helper_that_stays_silent_and_not_for_those_that_say_no() {
    for nacks in [0, 2, 3] {
        let others: Vec<MemberRecord> = (1..=4).map(|n| record(n, 1, State::Alive)).collect();
        let mut bench = Bench::with(&others);
        let (to, seq) = next_probe(&mut bench);
        bench.wait_ms(Timings::lan().probe_timeout_ms);
        let helpers = asked(&mut bench);
        assert_eq!(helpers.len(), 3);
        let at = |address: SocketAddr| *others.iter().find(|r| r.swim_addr() == address).expect("known");
        let target = at(to);
        for helper in helpers.into_iter().take(nacks) {
            let body = Body::Nack { seq, target };
            bench.act(|m, ctx| m.handle_message(ctx, &at(helper), helper, body));
        }
        bench.wait_ms(Timings::lan().probe_verdict_ms);
        let suspects = others.iter().filter(|r| bench.membership.table().get(&r.id).is_some_and(is_suspect));
        assert_eq!(suspects.count(), 1);
        assert_eq!(bench.membership.local_health() > 0, nacks < 3, "{nacks} nacks of 3 helpers");
        // Answers make up for it, one by one.
        for _ in 0..3 {
            let (to, seq) = next_probe(&mut bench);
            bench.act(|m, ctx| m.handle_probe_answer(ctx, &at(to).id, seq));
        }
        assert_eq!(bench.membership.local_health(), 0);
    }
}

fn is_suspect(record: &MemberRecord) -> bool {
    record.state == State::Suspect
}

#[test]
fn a_helper_says_in_time_that_it_had_no_answer_either_and_is_quiet_when_it_had_one() {
    for answers in [false, true] {
        let (requester, target) = (record(1, 1, State::Alive), record(2, 1, State::Alive));
        let mut bench = Bench::with(&[requester, target]);
        let (from, seq) = (requester.swim_addr(), ProbeSeq(77));
        bench.act(|m, ctx| m.handle_message(ctx, &requester, from, Body::PingReq { seq, target }));
        let forward_to = bench.told().into_iter().find_map(|event| match event {
            MembershipEvent::Send { to, body: Body::Ping { seq: ProbeSeq(77), forward_to }, .. } => {
                assert_eq!(to, target.swim_addr());
                forward_to
            }
            _ => None,
        });
        assert_eq!(forward_to.map(|r| r.id), Some(requester.id));
        if answers {
            let body = Body::Ack { seq, forward_to };
            bench.act(|m, ctx| m.handle_message(ctx, &target, target.swim_addr(), body));
        }
        let timings = Timings::lan();
        bench.wait_ms(timings.probe_verdict_ms - timings.probe_timeout_ms);
        let told = bench.told();
        let passed_on = told.iter().any(|event| {
            matches!(event, MembershipEvent::Forward { to, body: Body::Ack { seq: ProbeSeq(77), .. }, .. } if *to == from)
        });
        let said_no = told.iter().any(|event| {
            matches!(event, MembershipEvent::Send { to, body: Body::Nack { seq: ProbeSeq(77), target: of }, .. }
                if *to == from && of.id == target.id)
        });
        assert_eq!((passed_on, said_no), (answers, !answers));
    }
}

#[test]
fn a_suspect_is_told_of_the_accusation_by_its_accuser() {
    let other = record(1, 1, State::Alive);
    let mut bench = Bench::with(&[other]);
    next_probe(&mut bench);
    bench.wait_ms(Timings::lan().probe_verdict_ms);
    assert_eq!(bench.state(1), Some(State::Suspect));
    let is_told = |event: &MembershipEvent| {
        matches!(event, MembershipEvent::Send { to, body: Body::Gossip, accuse: Some(accused) }
            if *to == other.swim_addr() && accused.id == other.id && accused.state == State::Suspect)
    };
    assert!(bench.told().iter().any(is_told), "before any rumor reaches it");
}

/// With as many permanent peers as helpers one of the helpers is another member still: peers that are in trouble
/// themselves may not be the only witnesses.
#[test]
fn not_only_permanent_peers_are_asked_to_help() {
    let mut others: Vec<MemberRecord> = (1..=9).map(|n| record(n, 1, State::Alive)).collect();
    others[..5].iter_mut().for_each(|peer| peer.permanent = true);
    let mut bench = Bench::with(&others);
    for _ in 0..20 {
        let (to, _) = next_probe(&mut bench);
        bench.wait_ms(Timings::lan().probe_timeout_ms);
        let helpers = asked(&mut bench);
        let is_peer = |address: &SocketAddr| others[..5].iter().any(|peer| peer.swim_addr() == *address);
        let peers = helpers.iter().filter(|helper| is_peer(helper)).count();
        assert!(helpers.len() == 3 && peers >= 2 && !helpers.contains(&to), "{helpers:?}");
        for other in &others {
            let answer = MemberRecord { incarnation: bench.incarnation_of(other).next(), ..*other };
            bench.act(|m, ctx| m.handle_contact(ctx, &answer, true));
        }
        if peers == 2 {
            return;
        }
    }
    panic!("all helpers are permanent peers each time");
}

#[test]
fn while_alone_a_member_tries_its_peers_ever_more_rarely_and_never_gives_up() {
    let peer = record(1, 1, State::Alive).swim_addr();
    let mut bench = Bench::of(Config { peers: alloc::vec![peer], ..Config::new(9_638) });
    let mut tries = Vec::new();
    for _ in 0..6 {
        bench.wait_ms(10_000);
        let is_join = |event: &MembershipEvent| matches!(event, MembershipEvent::Join { .. });
        tries.push(bench.told().iter().filter(|event| is_join(event)).count());
    }
    assert!(tries[0] > 4, "{tries:?}: quickly at first");
    assert!(tries[1..].iter().all(|tries| (1..=3).contains(tries)), "{tries:?}: then once in a period");
}

#[test]
fn a_peer_that_never_showed_up_is_tried_rarely_by_members_that_have_each_other() {
    let unmet = record(200, 1, State::Alive).swim_addr();
    let mut bench = Bench::of(Config { peers: alloc::vec![unmet], ..Config::new(9_638) });
    bench.tell(record(1, 1, State::Alive), 99);
    let mut tries = 0;
    for second in 0..300 {
        // The other one is heard again and again, so it is never lost.
        bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 1 + second, State::Alive), true));
        bench.wait_ms(1_000);
        let is_try =
            |event: &MembershipEvent| matches!(event, MembershipEvent::Join { swim, .. } if *swim == unmet);
        tries += bench.told().iter().filter(|event| is_try(event)).count();
    }
    assert!((5..=15).contains(&tries), "{tries} tries in five minutes");
}

#[test]
fn a_death_brings_the_next_try_to_reach_the_lost_forward() {
    let (living, dead) = (record(1, 1, State::Alive), record(2, 1, State::Alive));
    let mut bench = Bench::of(Config { peers: alloc::vec![living.swim_addr()], ..Config::new(9_638) });
    for other in [living, dead] {
        bench.tell(other, 99);
    }
    bench.wait_ms(1);
    bench.tell(MemberRecord { state: State::Confirmed, ..dead }, 1);
    let mut tried_after_ms = None;
    for step in 0..100 {
        bench.wait_ms(100);
        let is_dead = bench.state(2) == Some(State::Confirmed);
        for event in bench.told() {
            match event {
                MembershipEvent::Send { to, body: Body::Ping { seq, .. }, .. }
                    if to == living.swim_addr() =>
                {
                    bench.act(|m, ctx| m.handle_probe_answer(ctx, &id(1), seq));
                }
                MembershipEvent::Send { to, body: Body::Ping { .. }, accuse: Some(accused) }
                    if is_dead && to == dead.swim_addr() =>
                {
                    assert_eq!(accused.state, State::Confirmed, "it is told what it is held to be");
                    tried_after_ms = tried_after_ms.or(Some(step * 100));
                }
                _ => {}
            }
        }
    }
    let (after_ms, timings) = (tried_after_ms.expect("the lost are tried"), Timings::lan());
    assert!(after_ms <= timings.probe_verdict_ms + timings.reconnect_period_ms, "{after_ms} ms");
}

#[test]
fn after_a_restart_a_member_announces_itself_to_some_that_it_knew() {
    let mut bench = Bench::new();
    let known: Vec<MemberRecord> = (1..=5).map(|n| record(n, 1, State::Alive)).collect();
    let gone = record(9, 1, State::Confirmed);
    for other in known.iter().chain([&gone]) {
        bench.membership.restore(bench.now, *other);
    }
    bench.act(|m, ctx| m.handle_rejoin(ctx));
    let to = |event| if let MembershipEvent::Join { swim, .. } = event { Some(swim) } else { None };
    let told: Vec<SocketAddr> = bench.told().into_iter().filter_map(to).collect();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|address| known.iter().any(|r| r.swim_addr() == *address)), "{told:?}");
}
