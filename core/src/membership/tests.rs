//! The rules of membership, one by one, on a component of its own. The simulator tests how they act together.

mod addresses;
mod hearsay;
mod probes;
mod refutation;
mod stall;

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use super::{Contact, Heard, Membership, MembershipEvent};
use crate::model::accusers::Accusers;
use crate::model::config::{Config, Timings};
use crate::model::context::{Context, Outputs};
use crate::model::event::{EventKind, Why};
use crate::model::id::{Incarnation, InputId, MemberId, ProbeSeq};
use crate::model::io::Output;
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::metrics::Metrics;
use crate::model::rng::Rng;
use crate::model::rumor::Departure;
use crate::model::rumor::MemberStatement;
use crate::model::time::{Instant, UnixTime};
use crate::wire::swim::Body;

struct Bench {
    membership: Membership,
    outputs: Outputs,
    metrics: Metrics,
    now: Instant,
}

fn id(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}

fn record(n: u8, incarnation: u64, state: State) -> MemberRecord {
    MemberRecord {
        id: id(n),
        incarnation: Incarnation(incarnation),
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)),
        swim_port: 9638,
        gossip_port: 9638,
        state,
        permanent: false,
    }
}

/// What a member says of itself in its second incarnation.
fn statement(n: u8, permanent: bool, leaves: bool) -> MemberStatement {
    let (incarnation, address, swim_port, gossip_port) = (Incarnation(2), None, 9638, 9638);
    MemberStatement { member_id: id(n), incarnation, permanent, address, swim_port, gossip_port, leaves }
}

impl Bench {
    /// A member that knows no other.
    fn new() -> Self {
        Self::of(Config::new(9638))
    }

    fn of(config: Config) -> Self {
        let rng = Rng::from_seed([1; 32]);
        let membership = Membership::new(&config, id(0), Incarnation(5), rng, Instant::ZERO);
        Self { membership, outputs: Outputs::default(), metrics: Metrics::default(), now: Instant::ZERO }
    }

    /// A member that knows these others.
    fn with(members: &[MemberRecord]) -> Self {
        let mut bench = Self::new();
        for member in members {
            bench.tell(*member, 99);
            bench.told();
        }
        bench.events();
        bench
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Membership, &mut Context<'_>) -> T) -> T {
        let mut ctx = Context {
            after: crate::model::context::Follows::Input,
            now: self.now,
            wall: UnixTime::default(),
            input: InputId(1),
            outputs: &mut self.outputs,
            metrics: &mut self.metrics,
        };
        let result = act(&mut self.membership, &mut ctx);
        self.membership.check_invariants();
        result
    }

    fn tell(&mut self, told: MemberRecord, from: u8) -> Heard {
        self.act(|m, ctx| {
            let accusers = Accusers::one(id(from));
            if told.id != id(0) && m.table().get(&told.id).is_none() && !m.is_banned(&told.id) {
                // It has answered before.
                let is_met = m.meet(ctx, told, accusers, Why::Rumor { from: id(from) });
                return if is_met { Heard::New } else { Heard::Known };
            }
            m.handle_rumor(ctx, &told, &accusers, &id(from))
        })
    }

    fn says(&mut self, said: MemberStatement) {
        self.act(|m, ctx| m.handle_statement(ctx, &said));
    }

    fn wait_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some((at, _)) = self.membership.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.act(Membership::handle_timeout);
        }
        self.now = end;
    }

    fn state(&self, n: u8) -> Option<State> {
        self.membership.table().get(&id(n)).map(|r| r.state)
    }

    fn incarnation_of(&self, member: &MemberRecord) -> Incarnation {
        self.membership.table().get(&member.id).map_or(Incarnation(0), |r| r.incarnation)
    }

    fn told(&mut self) -> Vec<MembershipEvent> {
        core::iter::from_fn(|| self.membership.poll_event()).collect()
    }

    fn pings(&mut self) -> Vec<ProbeSeq> {
        let seq_of = |event| match event {
            MembershipEvent::Send { body: Body::Ping { seq, .. }, .. } => Some(seq),
            _ => None,
        };
        self.told().into_iter().filter_map(seq_of).collect()
    }

    fn events(&mut self) -> Vec<EventKind> {
        let outputs = core::iter::from_fn(|| self.outputs.pop());
        outputs.filter_map(|o| if let Output::Event(e) = o { Some(e.kind) } else { None }).collect()
    }
}

/// Higher incarnation, or equal and worse, prevails; everything else changes nothing. The one exception: a death
/// on hearsay is looked into first.
#[test]
fn precedence_of_rumors() {
    for held in State::ALL {
        for told in State::ALL {
            for incarnation in [2, 3, 4] {
                let mut bench = Bench::with(&[record(1, 3, held), record(2, 1, State::Alive)]);
                bench.tell(record(1, incarnation, told), 2);
                let prevails = incarnation > 3 || (incarnation == 3 && told > held);
                // A death is looked into, and that a member left is for itself to say.
                let hearsay = told == State::Confirmed && held <= State::Suspect;
                let left = told == State::Departed;
                let expected = if prevails && !hearsay && !left { told } else { held };
                let case = (held, told, incarnation);
                assert_eq!(bench.state(1), Some(expected), "{case:?}");
                let pinged = bench.told().iter().any(|event| {
                    matches!(event, MembershipEvent::Send { body: Body::Ping { .. }, accuse: Some(who), .. } if who.id == id(1))
                });
                let verified = prevails && hearsay && (held == State::Alive || incarnation > 3);
                assert_eq!(pinged, verified, "{case:?}");
            }
        }
    }
}

#[test]
fn a_second_hand_death_is_believed_when_the_member_does_not_answer() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    bench.tell(record(1, 1, State::Confirmed), 2);
    assert_eq!(bench.state(1), Some(State::Alive));
    bench.wait_ms(Timings::lan().probe_verdict_ms);
    assert_eq!(bench.state(1), Some(State::Confirmed));
}

#[test]
fn contact_does_not_revive_at_the_old_incarnation_but_at_a_higher_one() {
    for state in [State::Suspect, State::Confirmed, State::Departed] {
        let mut bench = Bench::with(&[record(1, 3, state)]);
        assert_eq!(
            bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 3, State::Alive), true)),
            Contact::Member
        );
        assert_eq!(bench.state(1), Some(state));
        let accused = bench.membership.accusation_of(&record(1, 3, State::Alive));
        assert_eq!(accused.map(|r| r.state), Some(state), "the member is told, so that it can refute");
        assert_eq!(
            bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 4, State::Alive), true)),
            Contact::Member
        );
        assert_eq!(bench.state(1), Some(State::Alive));
    }
}

#[test]
fn an_accusation_is_refuted_above_it_once_that_is_on_disk() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    for (told, refuted_with) in [(4, None), (5, Some(6)), (9, Some(10))] {
        let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
        bench.tell(MemberRecord { id: id(0), ..record(9, told, State::Suspect) }, 1);
        let raised = bench.told().into_iter().find_map(|event| match event {
            MembershipEvent::Raise { incarnation } => Some(incarnation.0),
            _ => None,
        });
        assert_eq!(raised, refuted_with, "told of incarnation {told}");
        assert_eq!(bench.membership.own().incarnation, Incarnation(5), "not before it is on disk");
        if let Some(incarnation) = raised {
            bench.act(|m, ctx| m.handle_raised(ctx, Incarnation(incarnation)));
            assert_eq!(bench.membership.own().incarnation, Incarnation(incarnation));
        }
    }
    // News of a higher incarnation of its own: an old backup was restored.
    bench.tell(MemberRecord { id: id(0), ..record(9, 8, State::Alive) }, 1);
    assert!(bench.told().iter().any(|a| matches!(a, MembershipEvent::Raise { incarnation: Incarnation(9) })));
}

#[test]
fn confirmations_shorten_a_suspicion() {
    let members: Vec<MemberRecord> = (1..=9).map(|n| record(n, 1, State::Alive)).collect();
    let mut died_after_ms = Vec::new();
    for accusers in [1, 2, 4] {
        let mut bench = Bench::with(&members);
        bench.now = Instant::from_millis(1);
        for from in 0..accusers {
            bench.tell(record(1, 1, State::Suspect), from + 2);
        }
        let mut after_ms = 0;
        while bench.state(1) == Some(State::Suspect) && after_ms < 60_000 {
            bench.wait_ms(50);
            after_ms += 50;
            // The other members never answer either, but the test asks about one only.
            for n in 2..=9 {
                bench.act(|m, ctx| m.handle_contact(ctx, &record(n, 1 + after_ms, State::Alive), true));
            }
        }
        died_after_ms.push(after_ms);
    }
    assert!(died_after_ms.is_sorted_by(|a, b| a >= b), "{died_after_ms:?}");
    let min = Timings::lan().suspicion_timeout_ms_min;
    assert!((min..min + 200).contains(&died_after_ms[2]), "{died_after_ms:?}");
}

#[test]
fn a_refuted_suspicion_has_no_later_effect() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    bench.tell(record(1, 1, State::Suspect), 2);
    bench.tell(record(1, 2, State::Alive), 2);
    assert_eq!(bench.state(1), Some(State::Alive));
    bench.events();
    for _ in 0..200 {
        bench.wait_ms(100);
        // Both answer every ping.
        for seq in bench.pings() {
            bench.act(|m, ctx| {
                m.handle_probe_answer(ctx, &id(1), seq);
                m.handle_probe_answer(ctx, &id(2), seq);
            });
        }
    }
    let died = |e: &EventKind| matches!(e, EventKind::MemberChanged { to: State::Confirmed, .. });
    assert!(!bench.events().iter().any(died));
}

#[test]
fn a_stall_is_not_held_against_others() {
    let members: Vec<MemberRecord> = (1..=4).map(|n| record(n, 1, State::Alive)).collect();
    let mut bench = Bench::with(&members);
    bench.tell(record(1, 1, State::Suspect), 2);
    bench.now = bench.now + Duration::from_secs(30);
    bench.act(|m, ctx| m.handle_stall(ctx, Duration::from_secs(30)));
    bench.act(Membership::handle_timeout);
    assert_eq!(bench.state(1), Some(State::Suspect), "the suspicion did not run while this member did not");
    assert!(bench.membership.local_health() > 0, "and it doubts itself");
}

#[test]
fn a_ban_is_final() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    assert!(bench.act(|m, ctx| m.handle_ban(ctx, &Departure::ban(id(1)), Some(id(2)))));
    assert_eq!(bench.state(1), Some(State::Departed));
    assert_eq!(
        bench.act(|m, ctx| m.handle_contact(ctx, &record(1, 50, State::Alive), true)),
        Contact::Banned
    );
    assert_eq!(bench.tell(record(1, 60, State::Alive), 2), Heard::Stale);
    assert_eq!(bench.state(1), Some(State::Departed));
    assert!(
        !bench.act(|m, ctx| m.handle_ban(ctx, &Departure::ban(id(1)), Some(id(2)))),
        "a second ban is no news"
    );
}

#[test]
fn who_is_gone_departs_and_is_forgotten_in_time() {
    let timings = Timings::lan();
    let mut bench = Bench::with(&[record(1, 1, State::Confirmed)]);
    bench.wait_ms(timings.departed_after_ms - 120_000);
    assert_eq!(bench.state(1), Some(State::Confirmed), "for so long it may come back");
    bench.wait_ms(240_000);
    assert_eq!(bench.state(1), Some(State::Departed));
    let why_gone = |e: &EventKind| matches!(e, EventKind::MemberChanged { why: Why::GoneTooLong, .. });
    assert!(bench.events().iter().any(why_gone));
    bench.told();
    bench.wait_ms(timings.forget_after_ms - 240_000);
    assert_eq!(bench.state(1), Some(State::Departed), "for so long the ring knows that it left");
    bench.wait_ms(480_000);
    assert_eq!(bench.state(1), None);
}

#[test]
fn refused_and_hopeless_probes_end_at_once() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    while bench.pings().is_empty() {
        bench.wait_ms(10);
    }
    assert_eq!(bench.state(1), Some(State::Alive));
    bench.act(|m, ctx| m.handle_refused(ctx, record(1, 1, State::Alive).swim_addr()));
    assert_eq!(bench.state(1), Some(State::Suspect), "no other member could reach it, and its host says no");
}

#[test]
fn of_two_daemons_with_one_identity_one_yields() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    // The member learns its address, then hears of itself at another one, with ever higher incarnations.
    let own = bench.membership.own().incarnation.0;
    bench.tell(MemberRecord { id: id(0), ..record(200, own, State::Alive) }, 1);
    let mut raises = 0;
    for _ in 0..100 {
        let above = bench.membership.own().incarnation.0 + 1;
        bench.tell(MemberRecord { id: id(0), ..record(7, above, State::Alive) }, 1);
        for event in bench.told() {
            if let MembershipEvent::Raise { incarnation } = event {
                raises += 1;
                bench.act(|m, ctx| m.handle_raised(ctx, incarnation));
            }
        }
    }
    assert!(raises < 10, "{raises} times");
    assert!(bench.events().iter().any(|e| matches!(e, EventKind::IdentityConflict { .. })));
}

/// The question that a member asked at another address about itself.
fn question(bench: &mut Bench) -> Option<(core::net::SocketAddr, ProbeSeq)> {
    bench.told().into_iter().find_map(|event| match event {
        MembershipEvent::Send { to, body: Body::Ping { seq, forward_to: None }, .. } if seq.0 >= 1 << 62 => {
            Some((to, seq))
        }
        _ => None,
    })
}

#[test]
fn a_copy_is_found_by_a_question_and_an_echo_is_none() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    let own = bench.membership.own().incarnation.0;
    bench.tell(MemberRecord { id: id(0), ..record(9, own, State::Alive) }, 1);
    bench.told();
    for (elsewhere, is_copy) in [(20, false), (7, true)] {
        bench.wait_ms(1_100);
        let there = MemberRecord { id: id(0), ..record(elsewhere, own, State::Alive) };
        bench.told();
        bench.tell(there, 1);
        let (to, seq) = question(&mut bench).expect("it asks there");
        assert_eq!(to, there.swim_addr());
        bench.tell(there, 1);
        assert!(question(&mut bench).is_none(), "it asks once in a while");
        let body =
            if is_copy { Body::Ack { seq, forward_to: None } } else { Body::Ping { seq, forward_to: None } };
        bench.act(|m, ctx| {
            assert!(m.handle_own_voice(ctx, to, to, &body));
            assert_eq!(m.copy_of_me(ctx.now), is_copy.then_some(to));
        });
    }
    let yields = |bench: &mut Bench, at: u8| {
        let address = record(at, 1, State::Alive).swim_addr();
        bench.events().iter().filter(|e| **e == EventKind::IdentityConflict { address, yields: true }).count()
    };
    assert_eq!(yields(&mut bench, 7), 1, "the other one is at the lower address");
    // From now on this member claims nothing, whatever is said of it.
    bench.told();
    bench.tell(MemberRecord { id: id(0), ..record(7, own + 5, State::Alive) }, 1);
    bench.tell(MemberRecord { id: id(0), ..record(7, own + 5, State::Suspect) }, 1);
    assert!(!bench.told().iter().any(|e| matches!(e, MembershipEvent::Raise { .. })));
    // The copy asks, too: it is answered, and not reported again.
    let to = record(7, 1, State::Alive).swim_addr();
    bench.act(|m, ctx| {
        let body = Body::Ping { seq: ProbeSeq(1 << 62 | 5), forward_to: None };
        assert!(m.handle_own_voice(ctx, to, to, &body));
    });
    assert_eq!(yields(&mut bench, 7), 0);
    bench.wait_ms(61_000);
    bench.act(|m, ctx| assert_eq!(m.copy_of_me(ctx.now), None, "it was not heard for a minute"));
}

#[test]
fn a_copy_that_took_the_others_address_for_its_own_claims_nothing() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    let own = bench.membership.own().incarnation.0;
    // What others hold of this member is where its other self runs.
    let other = MemberRecord { id: id(0), ..record(7, own, State::Alive) };
    bench.tell(other, 1);
    let to = other.swim_addr();
    assert_eq!(bench.membership.own().swim_addr(), to, "it believes them");
    bench.events();
    let asks = |bench: &mut Bench, number: u64| {
        bench.act(|m, ctx| {
            let body = Body::Ping { seq: ProbeSeq(1 << 62 | number), forward_to: None };
            assert!(m.handle_own_voice(ctx, to, to, &body));
        });
    };
    asks(&mut bench, 5);
    let steps_aside = EventKind::IdentityConflict { address: to, yields: true };
    assert_eq!(bench.events(), [steps_aside]);
    bench.tell(other, 1);
    assert_eq!(bench.membership.own().address, UNSPECIFIED, "it is told the same again, and knows better");
    asks(&mut bench, 6);
    assert_eq!(bench.events(), [], "it is reported once");
    // It is heard where it is, behind the other one still.
    bench.tell(MemberRecord { id: id(0), ..record(9, own, State::Alive) }, 1);
    bench.act(|m, ctx| assert!(m.yields_to_copy(ctx.now)));
}

#[test]
fn a_question_that_comes_back_late_or_twice_is_an_echo() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive)]);
    let own = bench.membership.own().incarnation.0;
    bench.tell(MemberRecord { id: id(0), ..record(9, own, State::Alive) }, 1);
    let mut asked = Vec::new();
    for elsewhere in [20, 21] {
        bench.wait_ms(1_100);
        bench.told();
        bench.tell(MemberRecord { id: id(0), ..record(elsewhere, own, State::Alive) }, 1);
        asked.push(question(&mut bench).expect("it asks there"));
    }
    let (me, late) = (record(9, own, State::Alive).swim_addr(), asked[0].1);
    for seq in [late, asked[1].1, asked[1].1] {
        bench.act(|m, ctx| {
            assert!(m.handle_own_voice(ctx, me, me, &Body::Ping { seq, forward_to: None }));
            assert_eq!(m.copy_of_me(ctx.now), None, "it is alone");
        });
    }
}

#[test]
fn a_banned_member_judges_no_other() {
    let mut bench = Bench::with(&[record(1, 1, State::Alive), record(2, 1, State::Alive)]);
    while bench.pings().is_empty() {
        bench.wait_ms(10);
    }
    bench.tell(record(2, 1, State::Suspect), 1);
    assert!(bench.act(|m, ctx| m.handle_ban(ctx, &Departure::ban(id(0)), Some(id(2)))));
    // The probe that is under way ends.
    bench.wait_ms(5_000);
    bench.told();
    bench.wait_ms(120_000);
    assert_eq!((bench.state(1), bench.state(2)), (Some(State::Alive), Some(State::Suspect)));
    assert!(bench.pings().is_empty(), "it asks no member that does not answer it");
}

#[test]
fn two_neighbours_and_a_permanent_peer_hear_everything() {
    let others: Vec<MemberRecord> = (1..=20).map(|n| record(n * 10, 1, State::Alive)).collect();
    let mut bench = Bench::with(&others);
    let [up, down, peer] = bench.membership.contacts();
    assert_eq!((up, down, peer), (Some(id(10)), Some(id(200)), None), "the circle of ids around 0");
    bench.tell(MemberRecord { permanent: true, ..record(150, 2, State::Alive) }, 1);
    assert_eq!(bench.membership.contacts()[2], None, "no other member says so");
    bench.says(statement(150, true, false));
    bench.says(statement(10, false, true));
    assert_eq!(bench.membership.contacts(), [Some(id(20)), Some(id(200)), Some(id(150))]);
    for _ in 0..20 {
        let mut seen: Vec<MemberId> = Vec::new();
        for round in 0..7 {
            seen.extend(bench.membership.next_members(3, round == 0).iter().map(|r| r.id));
        }
        let distinct: alloc::collections::BTreeSet<_> = seen[..19].iter().collect();
        assert_eq!(distinct.len(), 19, "each has its turn before any has two");
    }
}
