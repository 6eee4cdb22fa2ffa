use std::net::SocketAddr;

use annulus_core::{
    Cause, Channel, ElectionEvent, ElectionId, ElectionPurpose, Event, EventId, EventKind, FileName, Hook,
    Incarnation, InputId, KeyStep, LeaseEnd, MemberId, ObstacleKind, Refusal, RingKeyId, RumorKey,
    ServiceGroup, ServiceName, ServiceState, StampFault, State, UpdateStep, Why, limits::Limit,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A number, often at an edge of its range.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::from(u32::MAX) + 1), Just(u64::MAX), any::<u64>()]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), any::<u32>()]
}

fn member() -> impl Strategy<Value = MemberId> {
    prop_oneof![Just([0; 16]), Just([255; 16]), any::<[u8; 16]>()].prop_map(MemberId::from_bytes)
}

/// Words for people may hold any text that an operating system gives.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("\"\\\u{7f}\n\u{1f980}".to_owned()), any::<String>()]
}

fn group() -> impl Strategy<Value = ServiceGroup> {
    ("[a-zäß0-9_-]{1,20}", "[a-z]{1,20}", prop::option::of("[a-z]{1,20}")).prop_map(
        |(service, group, org)| {
            ServiceGroup::new(&service, &group, org.as_deref()).expect("words without dots")
        },
    )
}

fn service() -> impl Strategy<Value = ServiceName> {
    "[a-z\"]{1,128}".prop_map(|name| name.parse().expect("one word"))
}

fn file() -> impl Strategy<Value = FileName> {
    "[a-z. ]{0,100}x".prop_map(|name| name.parse().expect("one component"))
}

fn address() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|address| match address {
        // A zone's number is not part of a V6 address's text form where it is 0, and the flow never is.
        SocketAddr::V6(v6) => SocketAddr::new((*v6.ip()).into(), v6.port()),
        v4 @ SocketAddr::V4(_) => v4,
    })
}

fn election() -> impl Strategy<Value = ElectionId> {
    (group(), select(&ElectionPurpose::ALL[..])).prop_map(|(group, purpose)| ElectionId { group, purpose })
}

fn key(name: &str) -> BoxedStrategy<RumorKey> {
    match name {
        "member" => member().prop_map(RumorKey::Member).boxed(),
        "departure" => member().prop_map(RumorKey::Departure).boxed(),
        "statement" => member().prop_map(RumorKey::Statement).boxed(),
        "service" => {
            (group(), member()).prop_map(|(group, member)| RumorKey::Service { group, member }).boxed()
        }
        "service_health" => {
            (group(), member()).prop_map(|(group, member)| RumorKey::ServiceHealth { group, member }).boxed()
        }
        "service_config" => group().prop_map(RumorKey::ServiceConfig).boxed(),
        "service_file" => {
            (group(), file()).prop_map(|(group, name)| RumorKey::ServiceFile { group, name }).boxed()
        }
        "sealed_config" => group().prop_map(RumorKey::SealedConfig).boxed(),
        "sealed_file" => {
            (group(), file()).prop_map(|(group, name)| RumorKey::SealedFile { group, name }).boxed()
        }
        "election" => election().prop_map(RumorKey::Election).boxed(),
        "ring_key" => ring_key().prop_map(RumorKey::RingKey).boxed(),
        "member_keys" => member().prop_map(RumorKey::MemberKeys).boxed(),
        "opaque" => (number(), any::<u32>())
            .prop_map(|(subject, number)| RumorKey::Opaque { subject, number })
            .boxed(),
        other => panic!("no keys of the kind {other} are tried"),
    }
}

fn ring_key() -> impl Strategy<Value = RingKeyId> {
    (1_u64..=20_261_130_120_000, number()).prop_map(|(revision, seed)| RingKeyId::simulated(revision, seed))
}

fn any_key() -> impl Strategy<Value = RumorKey> {
    select(RumorKey::NAMES).prop_flat_map(key)
}

fn why(name: &str) -> BoxedStrategy<Why> {
    match name {
        "restored" => Just(Why::Restored).boxed(),
        "contact" => Just(Why::Contact).boxed(),
        "rumor" => member().prop_map(|from| Why::Rumor { from }).boxed(),
        "probe_failed" => Just(Why::ProbeFailed).boxed(),
        "suspicion_expired" => count().prop_map(|accusers| Why::SuspicionExpired { accusers }).boxed(),
        "gone_too_long" => Just(Why::GoneTooLong).boxed(),
        "own" => Just(Why::Own).boxed(),
        "operator" => Just(Why::Operator).boxed(),
        other => panic!("no reason of the kind {other} is tried"),
    }
}

fn step(name: &str) -> BoxedStrategy<ElectionEvent> {
    match name {
        "election_started" => Just(ElectionEvent::Started).boxed(),
        "vote_cast" => member().prop_map(|candidate| ElectionEvent::Voted { candidate }).boxed(),
        "leader_elected" => {
            (count(), count()).prop_map(|(votes, voters)| ElectionEvent::Won { votes, voters }).boxed()
        }
        "lead_resumed" => Just(ElectionEvent::Resumed).boxed(),
        "leader_learned" => member().prop_map(|leader| ElectionEvent::Learned { leader }).boxed(),
        "lease_lost" => select(&LeaseEnd::ALL[..]).prop_map(|why| ElectionEvent::Lost { why }).boxed(),
        "handed_over" => prop::option::of(member()).prop_map(|to| ElectionEvent::HandedOver { to }).boxed(),
        "electorate_changed" => (number(), count())
            .prop_map(|(version, voters)| ElectionEvent::ElectorateChanged { version, voters })
            .boxed(),
        other => panic!("no step of the kind {other} is tried"),
    }
}

fn state() -> impl Strategy<Value = State> {
    select(&State::ALL[..])
}

/// Any event of this kind about members.
fn of_members(name: &str) -> Option<BoxedStrategy<EventKind>> {
    let incarnation = || number().prop_map(Incarnation);
    Some(match name {
        "started" => (member(), incarnation(), any::<bool>())
            .prop_map(|(member, incarnation, restored)| EventKind::Started { member, incarnation, restored })
            .boxed(),
        "member_changed" => {
            let states = (prop::option::of(state()), state());
            (member(), states, incarnation(), select(Why::NAMES).prop_flat_map(why))
                .prop_map(|(member, (from, to), incarnation, why)| EventKind::MemberChanged {
                    member,
                    from,
                    to,
                    incarnation,
                    why,
                })
                .boxed()
        }
        "member_forgotten" => member().prop_map(|member| EventKind::MemberForgotten { member }).boxed(),
        "probe_failed" => (member(), number(), prop::option::of(number()), any::<bool>(), count())
            .prop_map(|(member, ping, indirect, refused, nacks)| EventKind::ProbeFailed {
                member,
                ping: InputId(ping),
                indirect: indirect.map(InputId),
                refused,
                nacks,
            })
            .boxed(),
        "suspicion_confirmed" => (member(), member(), count())
            .prop_map(|(member, by, accusers)| EventKind::SuspicionConfirmed { member, by, accusers })
            .boxed(),
        "refuted" => (state(), incarnation())
            .prop_map(|(accusation, incarnation)| EventKind::Refuted { accusation, incarnation })
            .boxed(),
        "banned" => (member(), prop::option::of(member()))
            .prop_map(|(member, by)| EventKind::Banned { member, by })
            .boxed(),
        "ban_lifted" => (member(), prop::option::of(member()))
            .prop_map(|(member, by)| EventKind::BanLifted { member, by })
            .boxed(),
        "synced" => (member(), count(), count())
            .prop_map(|(with, learned, sent)| EventKind::Synced { with, learned, sent })
            .boxed(),
        _ => return None,
    })
}

/// Any step of an update.
fn update_changed() -> BoxedStrategy<EventKind> {
    let build = || {
        prop::option::of("acme/web/[0-9]{1,2}\\.[0-9]{1,2}/20260101000000")
            .prop_map(|ident| ident.map(|ident| ident.parse().expect("valid")))
    };
    (service(), select(&UpdateStep::ALL[..]), build(), build(), prop::option::of(words()))
        .prop_map(|(service, step, build, from, reason)| EventKind::UpdateChanged {
            service,
            step,
            build,
            from,
            reason,
        })
        .boxed()
}

/// Any event of this kind.
fn kind(name: &str) -> BoxedStrategy<EventKind> {
    if let Some(strategy) = of_members(name) {
        return strategy;
    }
    match name {
        "local_health" => count().prop_map(|score| EventKind::LocalHealth { score }).boxed(),
        "stalled" => number().prop_map(|for_ms| EventKind::Stalled { for_ms }).boxed(),
        "rumor_accepted" => (any_key(), prop::option::of(member()))
            .prop_map(|(key, from)| EventKind::RumorAccepted { key, from })
            .boxed(),
        "version_lost" => (any_key(), number(), prop::option::of(member()))
            .prop_map(|(key, version, winner)| EventKind::VersionLost { key, version, winner })
            .boxed(),
        "service_changed" => {
            let state = || prop::option::of(select(ServiceState::ALL));
            (service(), state(), state(), words())
                .prop_map(|(service, from, to, reason)| EventKind::ServiceChanged {
                    service,
                    from,
                    to,
                    reason,
                })
                .boxed()
        }
        "obstacle_changed" => {
            let hook = prop::option::of(select(Hook::ALL));
            (service(), select(ObstacleKind::ALL), hook, prop::option::of(words()))
                .prop_map(|(service, obstacle, hook, what)| EventKind::ObstacleChanged {
                    service,
                    obstacle,
                    hook,
                    what,
                })
                .boxed()
        }
        "update_changed" => update_changed(),
        "statement_refused" => (address(), prop::option::of(member()), any_key(), select(&Refusal::ALL[..]))
            .prop_map(|(from, author, key, refusal)| EventKind::StatementRefused {
                from,
                author,
                key,
                refusal,
            })
            .boxed(),
        "message_dropped" => (address(), select(&StampFault::ALL[..]), number())
            .prop_map(|(from, fault, times)| EventKind::MessageDropped { from, fault, times })
            .boxed(),
        "identity_runs_twice" => (member(), address())
            .prop_map(|(member, address)| EventKind::IdentityRunsTwice { member, address })
            .boxed(),
        "decode_failed" => (address(), select(&Channel::ALL[..]), words())
            .prop_map(|(from, channel, error)| EventKind::DecodeFailed { from, channel, error })
            .boxed(),
        "limit_reached" => select(Limit::ALL).prop_map(|limit| EventKind::LimitReached { limit }).boxed(),
        "persist_failed" => words().prop_map(|reason| EventKind::PersistFailed { reason }).boxed(),
        "identity_conflict" => (address(), any::<bool>())
            .prop_map(|(address, yields)| EventKind::IdentityConflict { address, yields })
            .boxed(),
        "rumor_repaired" => any_key().prop_map(|key| EventKind::RumorRepaired { key }).boxed(),
        "identity_taken_over" => member().prop_map(|former| EventKind::IdentityTakenOver { former }).boxed(),
        "ring_key_changed" => (ring_key(), select(&KeyStep::ALL[..]), prop::option::of(member()))
            .prop_map(|(ring_key, step, by)| EventKind::RingKeyChanged { ring_key, step, by })
            .boxed(),
        "ring_key_failed" => (ring_key(), words())
            .prop_map(|(ring_key, reason)| EventKind::RingKeyFailed { ring_key, reason })
            .boxed(),
        "leaving" => Just(EventKind::Leaving).boxed(),
        name => (election(), number(), step(name))
            .prop_map(|(election, term, what)| EventKind::Election { election, term, what })
            .boxed(),
    }
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let names: Vec<&str> = EventKind::NAMES.iter().chain(ElectionEvent::NAMES).copied().collect();
    select(names).prop_flat_map(kind)
}

fn written(line: &Line) -> String {
    serde_json::to_string(line).expect("a line can be written")
}

fn read(text: &str) -> Line {
    let mut lines = read_jsonl(text.as_bytes());
    let line = lines.next().expect("a line").expect("what was written can be read");
    assert!(lines.next().is_none(), "one line");
    line
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_back_as_it_was(
        kind in any_kind(),
        t in number(),
        ids in (number(), number(), prop::option::of(number())),
    ) {
        let (id, input, after) = ids;
        let cause = Cause { input: InputId(input), event: after.map(EventId) };
        let event = Event { id: EventId(id), cause, kind };
        let line = Line { t, what: Told::Event { host: "ada".to_owned(), event } };
        let text = written(&line);
        prop_assert_eq!(&read(&text), &line);
        prop_assert_eq!(written(&read(&text)), text);
    }

    #[test]
    fn every_version_comes_back_as_it_was(keys in vec((any_key(), number()), 0..4)) {
        let versions: Vec<Held> = keys.into_iter().map(|(key, version)| Held { key, version }).collect();
        let holds = versions.first().cloned().map(|held| Told::Holds { host: "bob".to_owned(), held });
        let restored = Told::Restored { host: "bob".to_owned(), versions };
        for what in holds.into_iter().chain([restored]) {
            let line = Line { t: 1, what };
            prop_assert_eq!(read(&written(&line)), line);
        }
    }
}

#[test]
fn a_trace_of_another_age_is_refused() {
    let line =
        |text: &str| read_jsonl(text.as_bytes()).next().expect("a line").expect_err("foreign").to_string();
    let event = |kind: &str, rest: &str| {
        let cause = r#""cause":{"input":1,"event":null}"#;
        format!(r#"{{"t":1,"what":"event","host":"ada","id":1,{cause},"kind":"{kind}"{rest}}}"#)
    };
    let old = line(&event("member-forgotten", ""));
    assert!(old.contains("line 1: this is no line of a trace"), "{old}");
    assert!(old.contains("`member-forgotten`: there is no event of this kind"), "{old}");
    let short = line(&event("member_forgotten", ""));
    assert!(short.contains("field member is missing"), "{short}");
    let unknown = line(r#"{"t":1,"what":"host-started","host":"ada"}"#);
    assert!(unknown.contains("host-started"), "{unknown}");
}
