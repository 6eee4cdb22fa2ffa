//! One keyring, told by hand what a ring would tell it.

use super::*;
use crate::model::config::RingKeys;
use crate::model::context::Outputs;
use crate::model::event::Event;
use crate::model::id::{EventId, InputId};
use crate::model::io::{KeyDone, Output};
use crate::model::metrics::Metrics;
use crate::model::rumor::Rumor;

fn id(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}

fn key(revision: u64) -> RingKeyId {
    if revision == 0 { RingKeyId::CLEAR } else { RingKeyId::simulated(revision, 0) }
}

fn record(n: u8, state: State) -> MemberRecord {
    MemberRecord {
        id: id(n),
        incarnation: Incarnation(1),
        address: [10, 0, 0, n].into(),
        swim_port: 9638,
        gossip_port: 9638,
        state,
        permanent: false,
    }
}

struct Bench {
    keyring: Keyring,
    outputs: Outputs,
    metrics: Metrics,
    now_ms: u64,
}

impl Bench {
    /// Member 1, which has these keys and has started.
    fn new(opens: &[u64], last: Option<&MemberKeys>) -> Self {
        let keyring = Self::keyring(opens, last);
        let mut bench =
            Self { keyring, outputs: Outputs::default(), metrics: Metrics::default(), now_ms: 1_000_000 };
        bench.act(|keyring, ctx| keyring.handle_started(ctx, true));
        bench
    }

    fn keyring(opens: &[u64], last: Option<&MemberKeys>) -> Keyring {
        let opens: Vec<RingKeyId> = opens.iter().map(|revision| key(*revision)).collect();
        let speaks = *opens.last().expect("a key");
        let mut config = Config::new(9638);
        config.ring_keys = Some(RingKeys { opens, speaks, box_key: [1; 32] });
        let own = last.cloned().map(Rumor::MemberKeys);
        let record = KeyRecord::of(&id(1), own.iter());
        Keyring::new(&config, id(1), &record, Rng::from_seed([7; 32]))
    }

    /// Does something; returns the news and the steps of keys that were reported.
    fn act(
        &mut self,
        act: impl FnOnce(&mut Keyring, &mut Context<'_>),
    ) -> (Vec<KeyringEvent>, Vec<(u64, KeyStep)>) {
        let ctx = &mut Context {
            now: Instant::from_millis(self.now_ms),
            wall: UnixTime::from_millis(self.now_ms),
            input: InputId(1),
            after: Follows::Input,
            outputs: &mut self.outputs,
            metrics: &mut self.metrics,
        };
        act(&mut self.keyring, ctx);
        self.keyring.check_invariants();
        let news = core::iter::from_fn(|| self.keyring.poll_event()).collect();
        let steps = core::iter::from_fn(|| self.outputs.pop()).filter_map(|output| match output {
            Output::Event(event) => step(&event),
            _ => None,
        });
        (news, steps.collect())
    }

    fn member(&mut self, n: u8, state: State, opens: Option<&[u64]>) {
        self.act(|keyring, ctx| keyring.handle_member(ctx, &id(n), Some(&record(n, state))));
        if let Some(opens) = opens {
            self.said(n, opens);
        }
    }

    fn said(&mut self, n: u8, opens: &[u64]) -> Vec<KeyringEvent> {
        let open = |revision: &u64| OpenKey { key: key(*revision), until: None };
        let keys = MemberKeys {
            member_id: id(n),
            incarnation: Incarnation(1),
            opens: opens.iter().map(open).collect(),
            speaks: key(*opens.last().expect("a key")),
            box_key: [n; 32],
        };
        self.act(|keyring, ctx| keyring.handle_statement(ctx, &keys)).0
    }

    fn told(
        &mut self,
        revision: u64,
        is_current: bool,
        grace_ms: u64,
    ) -> (Vec<KeyringEvent>, Vec<(u64, KeyStep)>) {
        let since = UnixTime::from_millis(5);
        let fact = RingKey { key: key(revision), ring: "sim".into(), is_current, since, grace_ms, by: id(2) };
        self.act(|keyring, ctx| keyring.handle_key(ctx, &fact, Follows::Input))
    }

    /// Lets time pass, looking whenever a look is due.
    fn pass(&mut self, ms: u64) -> (Vec<KeyringEvent>, Vec<(u64, KeyStep)>) {
        let end = self.now_ms + ms;
        let (mut news, mut steps) = (Vec::new(), Vec::new());
        while let Some((at, _)) = self.keyring.poll_timeout() {
            let at_ms = at.saturating_since(Instant::ZERO).as_millis() as u64;
            if at_ms > end {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            let more = self.act(Keyring::handle_timeout);
            news.extend(more.0);
            steps.extend(more.1);
        }
        self.now_ms = end;
        (news, steps)
    }

    fn order(&self, revision: u64, force: bool) -> Result<Option<RingKey>, CommandError> {
        self.keyring.order(UnixTime::from_millis(self.now_ms), key(revision), "sim".into(), force, 1_000)
    }
}

fn step(event: &Event) -> Option<(u64, KeyStep)> {
    assert!(event.id > EventId(0), "events are numbered");
    match &event.kind {
        EventKind::RingKeyChanged { ring_key, step, .. } => Some((ring_key.revision, *step)),
        _ => None,
    }
}

fn promoted(news: &[KeyringEvent]) -> bool {
    news.iter().any(|news| matches!(news, KeyringEvent::TellKey(fact) if fact.is_current))
}

fn sealed_for(news: &[KeyringEvent]) -> Vec<MemberId> {
    let to = |news: &KeyringEvent| match news {
        KeyringEvent::Work(Errand::Seal(_, to), _) => Some(*to),
        _ => None,
    };
    news.iter().filter_map(to).collect()
}

#[test]
fn an_offered_key_waits_for_every_member_that_is_not_departed() {
    let bench = Bench::new(&[1, 2], None);
    assert_eq!(bench.keyring.speaks, key(2));
    let last = MemberKeys { speaks: key(1), ..bench.keyring.statement() };
    let mut bench = Bench::new(&[1, 2], Some(&last));
    assert_eq!(bench.keyring.speaks, key(1), "what the last life spoke with counts, and not the newest file");
    bench.member(2, State::Alive, Some(&[1, 2]));
    bench.member(3, State::Confirmed, Some(&[1]));
    bench.member(4, State::Alive, None);
    assert!(!promoted(&bench.told(2, false, 1_000).0));
    assert!(!promoted(&bench.pass(600_000).0), "3 and 4 cannot open it by their own word");
    bench.said(4, &[1, 2]);
    assert!(!promoted(&bench.pass(600_000).0));
    bench.act(|keyring, ctx| keyring.handle_member(ctx, &id(3), Some(&record(3, State::Departed))));
    assert!(promoted(&bench.pass(60_000).0), "a member that left is not waited for");
}

#[test]
fn a_retired_key_opens_until_its_time_is_over() {
    let mut bench = Bench::new(&[1], None);
    bench.member(2, State::Alive, Some(&[1]));
    assert_eq!(bench.told(3, true, 60_000).1, [(3, KeyStep::Missing)]);
    assert_eq!(bench.keyring.speaks, key(1), "it goes on with what it has");
    let (_, steps) = bench.act(|keyring, ctx| keyring.handle_held(ctx, &[key(3)]));
    assert_eq!(steps, [(3, KeyStep::Held), (3, KeyStep::Current), (1, KeyStep::Retired)]);
    assert_eq!(bench.keyring.key_for(record(2, State::Alive).swim_addr()), key(1), "2 has no other");
    let (_, steps) = bench.act(|keyring, ctx| keyring.handle_held(ctx, &[key(1)]));
    assert_eq!(steps, [], "a file of an old key changes nothing");
    assert_eq!(bench.pass(59_000).1, []);
    let restarted = Bench::new(&[1, 3], Some(&bench.keyring.statement())).keyring;
    assert_eq!(
        restarted.opens.get(&key(1)),
        bench.keyring.opens.get(&key(1)),
        "a restart gives no more time"
    );
    assert_eq!(bench.pass(2_000).1, [(1, KeyStep::Dropped)]);
    assert_eq!(bench.keyring.statement().opens.len(), 1);
}

#[test]
fn a_key_is_handed_to_those_that_lack_it_and_never_in_an_emergency() {
    let mut bench = Bench::new(&[1, 2], None);
    let last = MemberKeys { speaks: key(1), ..bench.keyring.statement() };
    bench = Bench::new(&[1, 2], Some(&last));
    bench.member(3, State::Alive, Some(&[1]));
    bench.member(4, State::Confirmed, Some(&[1]));
    let (mut news, _) = bench.told(2, false, 1_000);
    news.extend(bench.pass(4_000).0);
    assert!(!sealed_for(&news).is_empty() && sealed_for(&news).iter().all(|to| *to == id(3)), "{news:?}");
    let KeyringEvent::Work(errand, _) = &news[news.len() - 1] else { panic!("{news:?}") };
    let errand = *errand;
    let (news, _) = bench.act(|keyring, ctx| {
        keyring.handle_work_begun(EffectId(9), errand);
        assert!(keyring.handle_work_done(ctx, EffectId(9), &KeyDone::Sealed(alloc::vec![5])));
        assert!(!keyring.handle_work_done(ctx, EffectId(9), &KeyDone::Done), "it was answered");
    });
    assert!(matches!(&news[..], [KeyringEvent::Deliver { key: k, .. }] if *k == key(2)), "{news:?}");

    let mut bench = Bench::new(&[1, 2], Some(&last));
    bench.member(3, State::Alive, Some(&[1]));
    let (mut news, _) = bench.told(2, true, 0);
    news.extend(bench.pass(60_000).0);
    assert!(
        sealed_for(&news).is_empty(),
        "the old key may be in wrong hands, and they may belong to a member"
    );
}

#[test]
fn orders_that_cannot_be_carried_out_say_why() {
    let bench = Bench::new(&[5], None);
    assert_eq!(bench.order(7, false), Err(CommandError::KeyNotHeld(key(7))));
    assert_eq!(bench.order(5, false), Err(CommandError::KeyIsCurrent(key(5))));
    assert_eq!(bench.order(3, true), Err(CommandError::KeyIsOlder { current: key(5) }));
    let open = Keyring::new(&Config::new(9638), id(1), &KeyRecord::default(), Rng::from_seed([7; 32]));
    let refused = open.order(UnixTime::from_millis(1), key(7), "sim".into(), true, 0);
    assert_eq!(refused, Err(CommandError::NoRingKey));
    let mut bench = Bench::new(&[5], None);
    bench.act(|keyring, ctx| keyring.handle_held(ctx, &[key(7)]));
    assert!(bench.order(7, false).expect("taken").is_some_and(|fact| !fact.is_current));
    bench.told(7, false, 1);
    bench.member(2, State::Alive, Some(&[5]));
    bench.told(7, false, 1_000);
    assert_eq!(bench.order(7, false), Ok(None), "it is on its way");
    bench.told(7, false, 0);
    let changed = bench.order(7, false).expect("taken").expect("told");
    assert!(!changed.is_current && changed.grace_ms == 1_000, "an offer gets the grace of the last order");
    assert!(bench.order(7, true).expect("taken").is_some_and(|fact| fact.is_current));
}

#[test]
fn a_member_is_spoken_to_with_what_it_spoke_with_where_its_word_is_older() {
    let mut bench = Bench::new(&[1, 2], None);
    let there = record(3, State::Alive).swim_addr();
    bench.member(3, State::Alive, Some(&[2]));
    assert_eq!(bench.keyring.key_for(there), key(2));
    bench.keyring.handle_heard(there, key(1));
    assert_eq!(bench.keyring.key_for(there), key(1), "it came back with an older key");
    bench.keyring.handle_heard(there, key(9));
    assert_eq!(bench.keyring.key_for(there), key(1), "a key that is not there is nothing to go by");
    let stranger = record(8, State::Alive).swim_addr();
    let tried: alloc::collections::BTreeSet<RingKeyId> =
        (0..64).map(|_| bench.keyring.key_for(stranger)).collect();
    assert_eq!(tried.len(), 2, "where nothing is known each has its turn");
}

#[test]
fn who_came_back_in_the_clear_is_spoken_to_in_the_clear_and_two_that_open_more_leave_it() {
    for state in [State::Alive, State::Confirmed] {
        let mut bench = Bench::new(&[0, 1], None);
        let there = record(3, state).swim_addr();
        bench.member(3, state, Some(&[0, 1]));
        bench.keyring.handle_heard(there, RingKeyId::CLEAR);
        let keys: Vec<RingKeyId> = (0..64).map(|_| bench.keyring.key_for(there)).collect();
        let clear = keys.iter().filter(|key| key.is_clear()).count();
        assert!((45..64).contains(&clear), "{clear} of 64 in the clear, whatever it said before");
        bench.keyring.handle_heard(there, key(1));
        assert!((0..64).all(|_| bench.keyring.key_for(there) == key(1)), "{state:?}");
    }
}

fn dropped(news: &[KeyringEvent]) -> Vec<u64> {
    let of = |news: &KeyringEvent| match news {
        KeyringEvent::Work(Errand::Drop(_), KeyWork::Drop { key }) => Some(key.revision),
        _ => None,
    };
    news.iter().filter_map(of).collect()
}

#[test]
fn a_retired_key_stays_retired_though_its_copy_lies_there() {
    let mut bench = Bench::new(&[2, 3], None);
    bench.told(3, true, 60_000_000);
    let last = bench.keyring.statement();
    let mut bench = Bench { keyring: Bench::keyring(&[1, 2, 3, 4], Some(&last)), ..bench };
    let (news, _) = bench.act(|keyring, ctx| keyring.handle_started(ctx, true));
    let opens: Vec<u64> = bench.keyring.opens.keys().map(|key| key.revision).collect();
    assert_eq!((opens, dropped(&news)), (alloc::vec![2, 3, 4], alloc::vec![1]), "4 is new, 1 is not");
    bench.told(4, true, 1_000);
    let (news, _) = bench.act(|keyring, ctx| keyring.handle_held(ctx, &[key(1)]));
    assert_eq!(dropped(&news), [1], "what came late is not kept");
}

#[test]
fn older_keys_that_came_with_an_invitation_open_as_long_as_elsewhere() {
    let mut bench = Bench::new(&[1, 2], None);
    assert_eq!(bench.keyring.opens.get(&key(1)), Some(&None), "the ring has said nothing yet");
    let (news, steps) = bench.told(2, true, 1_060_000);
    assert_eq!(steps, [(1, KeyStep::Retired)]);
    let told =
        news.iter().any(|news| matches!(news, KeyringEvent::Tell(keys) if keys.opens[0].until.is_some()));
    assert!(told, "the ring hears until when");
    let until = Some(Some(UnixTime::from_millis(1_060_005)));
    assert_eq!(bench.keyring.opens.get(&key(1)).copied(), until, "counted from when it became current");
    bench.told(2, true, 9_000_000);
    assert_eq!(bench.keyring.opens.get(&key(1)).copied(), until, "and only once");
    assert_eq!(bench.pass(61_000).1, [(1, KeyStep::Dropped)]);
}

#[test]
fn another_key_of_the_rings_revision_opens_nothing() {
    let [ours, other] = {
        let mut two = [0, 1].map(|seed| RingKeyId::simulated(5, seed));
        two.sort_unstable();
        two
    };
    let mut bench = Bench::new(&[1], None);
    bench.act(|keyring, ctx| keyring.handle_held(ctx, &[ours, other]));
    assert_eq!(bench.keyring.opens.len(), 3, "as long as the ring knows none of them");
    let since = UnixTime::from_millis(5);
    let fact = RingKey { key: ours, ring: "sim".into(), is_current: true, since, grace_ms: 9, by: id(2) };
    let (news, _) = bench.act(|keyring, ctx| keyring.handle_key(ctx, &fact, Follows::Input));
    assert_eq!((bench.keyring.speaks, dropped(&news)), (ours, alloc::vec![5]));
    let (news, _) = bench.act(|keyring, ctx| keyring.handle_held(ctx, &[other]));
    assert_eq!((bench.keyring.opens.contains_key(&other), dropped(&news)), (false, alloc::vec![5]));
}

#[test]
fn a_key_of_a_wrong_clock_or_of_no_time_is_not_taken() {
    let mut bench = Bench::new(&[20_261_101_000_000], None);
    bench.now_ms = 1_796_055_207_000;
    let (ahead, none) =
        (key(20_280_101_000_000), RingKeyId { revision: 99_999_999_999_999, fingerprint: [1; 16] });
    let (news, _) = bench.act(|keyring, ctx| keyring.handle_held(ctx, &[ahead, none]));
    assert_eq!((bench.keyring.opens.len(), dropped(&news)), (1, alloc::vec![ahead.revision]));
    assert_eq!(bench.order(ahead.revision, true), Err(CommandError::KeyIsAhead(ahead)));
    let wall = UnixTime::from_millis(bench.now_ms);
    assert!(!bench.keyring.believes(wall, ahead) && bench.keyring.believes(wall, key(20_271_101_000_000)));
    let news = bench.act(|keyring, _| keyring.tell()).0;
    let [.., KeyringEvent::Tell(keys)] = &news[..] else { panic!("{news:?}") };
    let told = crate::model::rumor::Told::from(Rumor::MemberKeys(keys.clone()));
    assert!(crate::model::rumor::Told::decode(&told.encode()).is_ok(), "what is stored is read");
    let long = bench.keyring.order(wall, key(20_261_201_000_000), "x".repeat(129), true, 1);
    assert!(long.is_err(), "{long:?}");
}

#[test]
fn a_member_that_was_cut_off_answers_with_the_newer_key_that_it_hears() {
    let mut bench = Bench::new(&[1], None);
    bench.member(2, State::Confirmed, Some(&[1, 2]));
    bench.act(|keyring, ctx| keyring.handle_held(ctx, &[key(2)]));
    let there = record(2, State::Confirmed).swim_addr();
    assert_eq!(bench.keyring.speaks, key(1), "no member has told it that 2 is current");
    bench.keyring.handle_heard(there, key(2));
    assert!((0..64).all(|_| bench.keyring.key_for(there) == key(2)), "2 may open nothing else any more");
}

#[test]
fn one_member_fills_no_room_that_others_need() {
    let mut bench = Bench::new(&[1], None);
    let offer = |revision: u64, by: u8| RingKey {
        key: key(revision),
        ring: "blue".into(),
        is_current: false,
        since: UnixTime::default(),
        grace_ms: 1,
        by: id(by),
    };
    let count = u64::try_from(RING_KEYS_BY_ONE_MAX).expect("few");
    for revision in 2..2 + count {
        assert!(bench.keyring.has_room_for(&id(2)), "{revision}");
        bench.keyring.facts.insert(key(revision), offer(revision, 2));
    }
    assert!(!bench.keyring.has_room_for(&id(2)), "it has had its share");
    assert!(bench.keyring.has_room_for(&id(3)), "and others have theirs");
}
