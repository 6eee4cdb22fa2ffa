//! The laws that every kind must keep, over all kinds. A kind without a strategy here does not compile.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use core::net::{IpAddr, Ipv4Addr};
use proptest::prelude::*;

use crate::model::accusers::Accusers;
use crate::model::config::SysInfo;
use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::id::{Incarnation, MemberId};
use crate::model::member::{MemberRecord, State};
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{
    Departure, ElectionRumor, KeyParts, MemberKeys, MemberRumor, MemberStatement, Opaque, OpenKey, Part,
    RingKey, Rumor, RumorKey, RumorKind, ServiceConfig, ServiceFile, ServiceHealth, ServiceRumor, Version,
};
use crate::model::service::{Health, Hook, ObstacleKind, SlowHook};
use crate::model::time::UnixTime;

const SLOW: SlowHook =
    SlowHook { hook: Hook::Reconfigure, since: UnixTime::from_millis(7), limit_ms: 60_000 };

fn member_id() -> impl Strategy<Value = MemberId> {
    (0_u8..6).prop_map(|n| MemberId::from_bytes([n; 16]))
}

/// Three rumors about the same thing, alike enough to tie.
fn trio(kind: RumorKind) -> BoxedStrategy<[Rumor; 3]> {
    match kind {
        RumorKind::Member => [member(), member(), member()].boxed(),
        RumorKind::Service => [service(), service(), service()].boxed(),
        RumorKind::Departure => {
            let order = || {
                (0..3_u64, any::<bool>()).prop_map(|(epoch, lifted)| {
                    Rumor::Departure(Departure { member_id: MemberId::from_bytes([1; 16]), epoch, lifted })
                })
            };
            [order(), order(), order()].boxed()
        }
        RumorKind::ServiceHealth => [health(), health(), health()].boxed(),
        RumorKind::ServiceConfig => [config(), config(), config()].boxed(),
        RumorKind::ServiceFile => [file(), file(), file()].boxed(),
        RumorKind::Election => {
            let purposes = proptest::sample::select(&ElectionPurpose::ALL);
            purposes.prop_flat_map(|of| [election(of), election(of), election(of)]).boxed()
        }
        RumorKind::SealedConfig => [config(), config(), config()].prop_map(|trio| trio.map(sealed)).boxed(),
        RumorKind::SealedFile => [file(), file(), file()].prop_map(|trio| trio.map(sealed)).boxed(),
        RumorKind::RingKey => [ring_key(), ring_key(), ring_key()].boxed(),
        RumorKind::MemberKeys => [member_keys(), member_keys(), member_keys()].boxed(),
        RumorKind::Statement => [statement(), statement(), statement()].boxed(),
        RumorKind::Opaque => [opaque(), opaque(), opaque()].boxed(),
    }
}

pub(crate) fn any_trio() -> impl Strategy<Value = [Rumor; 3]> {
    (0..RumorKind::ALL.len()).prop_flat_map(|i| trio(RumorKind::ALL[i]))
}

fn ring_key() -> impl Strategy<Value = Rumor> {
    (any::<bool>(), 1_u64..3, 0_u64..2, member_id()).prop_map(|(is_current, since, grace_ms, by)| {
        let since = UnixTime::from_millis(since);
        let (key, ring) = (RingKeyId::simulated(20_261_130_120_000, 0), "prod".into());
        Rumor::RingKey(RingKey { key, ring, is_current, since, grace_ms, by })
    })
}

fn member_keys() -> impl Strategy<Value = Rumor> {
    (0_u64..3, 0_u64..3, 1_u64..4, any::<bool>()).prop_map(|(incarnation, until, revision, hears_clear)| {
        let until = (until > 0).then(|| UnixTime::from_millis(until));
        let speaks = RingKeyId::simulated(revision, 0);
        let clear = hears_clear.then_some(OpenKey { key: RingKeyId::CLEAR, until: None });
        Rumor::MemberKeys(MemberKeys {
            member_id: MemberId::from_bytes([9; 16]),
            incarnation: Incarnation(incarnation),
            opens: clear.into_iter().chain([OpenKey { key: speaks, until }]).collect(),
            speaks,
            box_key: [7; 32],
        })
    })
}

/// The same under the key of what came sealed.
fn sealed(rumor: Rumor) -> Rumor {
    match rumor {
        Rumor::ServiceConfig(config) => Rumor::SealedConfig(config),
        Rumor::ServiceFile(file) => Rumor::SealedFile(file),
        other => panic!("{} is never sealed", other.key()),
    }
}

fn member() -> impl Strategy<Value = Rumor> {
    let accusers = proptest::collection::vec(member_id(), 0..6);
    (0_u64..3, 0..State::ALL.len(), 1_u8..3, any::<bool>(), accusers).prop_map(
        |(incarnation, state, host, permanent, ids)| {
            let state = State::ALL[state];
            let mut accusers = Accusers::default();
            for id in ids.into_iter().filter(|_| state == State::Suspect) {
                accusers.add(id);
            }
            let record = MemberRecord {
                id: MemberId::from_bytes([9; 16]),
                incarnation: Incarnation(incarnation),
                address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
                swim_port: 9638,
                gossip_port: 9638,
                state,
                permanent,
            };
            Rumor::Member(MemberRumor { record, accusers })
        },
    )
}

fn statement() -> impl Strategy<Value = Rumor> {
    (0_u64..3, any::<bool>(), any::<bool>(), proptest::option::of(1_u8..3), 1_u16..3).prop_map(
        |(incarnation, permanent, leaves, host, port)| {
            Rumor::Statement(MemberStatement {
                member_id: MemberId::from_bytes([9; 16]),
                incarnation: Incarnation(incarnation),
                permanent,
                address: host.map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))),
                swim_port: port,
                gossip_port: port,
                leaves,
            })
        },
    )
}

fn service() -> impl Strategy<Value = Rumor> {
    let more = (any::<bool>(), proptest::option::of("[a-b]"), 0_u64..2);
    (0_u64..3, any::<bool>(), any::<bool>(), "[a-b]{0,1}", "[1-2]", more).prop_map(
        |(
            incarnation,
            initialized,
            tombstone,
            cfg,
            version,
            (accepting, maintenance, config_incarnation),
        )| {
            let mut pkg = String::from("core/redis/");
            pkg.push_str(&version);
            Rumor::Service(ServiceRumor {
                member_id: MemberId::from_bytes([9; 16]),
                group: "redis.default".parse().expect("a valid group"),
                incarnation: Incarnation(incarnation),
                initialized,
                pkg: pkg.parse().expect("a valid ident"),
                cfg: cfg.into_bytes(),
                sys: SysInfo { ip: "10.0.0.1".into(), gossip_port: 9638, ..SysInfo::default() },
                pkg_incarnation: 0,
                tombstone,
                accepting,
                maintenance,
                config_incarnation,
                electorate_min: config_incarnation as u32 * 3,
                versions_digest: config_incarnation,
                held_back: [ObstacleKind::Bind].into_iter().filter(|_| !accepting).collect(),
                slow_hook: (!accepting).then_some(SLOW),
            })
        },
    )
}

fn health() -> impl Strategy<Value = Rumor> {
    (0_u64..3, 0..Health::ALL.len(), any::<bool>()).prop_map(|(incarnation, health, tombstone)| {
        Rumor::ServiceHealth(ServiceHealth {
            member_id: MemberId::from_bytes([9; 16]),
            group: "redis.default".parse().expect("a valid group"),
            incarnation: Incarnation(incarnation),
            health: Health::ALL[health],
            tombstone,
        })
    })
}

/// What a few members may make of one version together: joins of single acknowledgements.
fn version() -> impl Strategy<Value = Version> {
    let one = (1_u64..3, "[a-f]{0,1}", proptest::option::of(member_id()));
    proptest::collection::vec(one, 1..14).prop_map(|made| {
        let mut made = made.into_iter().map(|(n, body, who)| Version::new(n, body.into_bytes(), who));
        let mut version = made.next().expect("at least one");
        for other in made {
            version.merge(&other);
        }
        version
    })
}

fn config() -> impl Strategy<Value = Rumor> {
    version().prop_map(|version| {
        Rumor::ServiceConfig(ServiceConfig {
            group: "redis.default".parse().expect("a valid group"),
            version,
        })
    })
}

fn file() -> impl Strategy<Value = Rumor> {
    version().prop_map(|version| {
        let group = "redis.default".parse().expect("a valid group");
        Rumor::ServiceFile(ServiceFile { group, name: "users.acl".parse().expect("a valid name"), version })
    })
}

fn election(purpose: ElectionPurpose) -> impl Strategy<Value = Rumor> {
    (1_u64..3, member_id(), any::<bool>()).prop_map(move |(term, leader, ended)| {
        let election = ElectionId { group: "redis.default".parse().expect("a valid group"), purpose };
        Rumor::Election(ElectionRumor { election, term, leader, ended })
    })
}

/// What a later version tells of one subject: kind 77, `About` in field 110, content in field 120.
fn opaque() -> impl Strategy<Value = Rumor> {
    (1_u8..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..3)).prop_map(
        |(version, withdrawn, content)| {
            let about = [0x0a, 1, b's', 0x10, version, 0x18, u8::from(withdrawn)];
            let mut bytes = alloc::vec![0x08, 77, 0xf2, 0x06, about.len() as u8];
            bytes.extend_from_slice(&about);
            bytes.extend_from_slice(&[0xc2, 0x07, content.len() as u8]);
            bytes.extend_from_slice(&content);
            Rumor::Opaque(Opaque::new(77, b"s", u64::from(version), bytes).withdrawn(withdrawn))
        },
    )
}

fn joined(a: &Rumor, b: &Rumor) -> Rumor {
    let mut join = a.clone();
    join.merge(b);
    join
}

proptest! {
    #[test]
    fn joining_is_idempotent([a, ..] in any_trio()) {
        let mut twice = a.clone();
        prop_assert!(!twice.merge(&a), "joining a rumor with itself changes nothing");
        prop_assert_eq!(twice, a);
    }

    #[test]
    fn joining_is_commutative([a, b, _] in any_trio()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
    }

    #[test]
    fn joining_is_associative([a, b, c] in any_trio()) {
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
    }

    #[test]
    fn a_change_is_reported_exactly_when_there_is_one([a, b, _] in any_trio()) {
        let mut join = a.clone();
        let changed = join.merge(&b);
        prop_assert_eq!(changed, join != a);
    }

    #[test]
    fn the_key_survives_a_join([a, b, _] in any_trio()) {
        prop_assert_eq!(joined(&a, &b).key(), a.key());
    }

    #[test]
    fn what_a_key_says_is_what_its_rumor_says([a, ..] in any_trio()) {
        let key = a.key();
        prop_assert_eq!(key.owner().copied(), a.owner());
        prop_assert_eq!(key.kind().is_versioned(), a.version().is_some());
        prop_assert!(a.version().is_none_or(|version| version.number == a.number()));
    }

    #[test]
    fn kind_and_parts_are_the_key([a, ..] in any_trio()) {
        let key = a.key();
        prop_assert_eq!(RumorKind::of_encoded(&key.encode()), Some(key.kind()));
        prop_assert_eq!(RumorKey::from_parts(key.kind(), key.parts()), Some(key.clone()));
        let KeyParts { group, member, file, purpose, ring_key, unknown } = key.parts();
        prop_assert_eq!(key.kind().has_part(Part::Group), group.is_some());
        prop_assert_eq!(key.kind().has_part(Part::Member), member.is_some());
        prop_assert_eq!(key.kind().has_part(Part::File), file.is_some());
        prop_assert_eq!(key.kind().has_part(Part::Purpose), purpose.is_some());
        prop_assert_eq!(key.kind().has_part(Part::RingKey), ring_key.is_some());
        prop_assert_eq!(key.kind().has_part(Part::Unknown), unknown.is_some());
        let (id, name) = (MemberId::from_bytes([7; 16]), "users.acl".parse().expect("a valid name"));
        let group = "redis.prod".parse().expect("a valid group");
        for others in [
            KeyParts { group: key.group().is_none().then_some(&group), ..key.parts() },
            KeyParts { member: key.parts().member.is_none().then_some(&id), ..key.parts() },
            KeyParts { file: key.parts().file.is_none().then_some(&name), ..key.parts() },
            KeyParts {
                purpose: key.parts().purpose.is_none().then_some(ElectionPurpose::Leader),
                ..key.parts()
            },
        ] {
            prop_assert_eq!(RumorKey::from_parts(key.kind(), others), None, "a part too many or too few");
        }
    }
}

#[test]
fn a_key_is_a_phrase() {
    let group = || "redis.prod".parse().expect("a valid group");
    let member = MemberId::from_bytes([0xa1; 16]);
    let name = "users.acl".parse().expect("a valid name");
    assert_eq!(RumorKey::given(group(), Some(name)).to_string(), "file users.acl of redis.prod");
    assert_eq!(RumorKey::given(group(), None).to_string(), "configuration of redis.prod");
    assert_eq!(RumorKey::Member(member).to_string(), "record of a1a1a1a1");
    assert_eq!(RumorKey::Service { group: group(), member }.to_string(), "service of redis.prod at a1a1a1a1");
}

/// Of a version that was given at two members at once only those lost whose content is not in effect.
#[test]
fn a_member_that_answered_for_the_same_content_has_not_lost() {
    let acknowledged =
        |n: u8, body: &[u8]| Version::new(4, body.to_vec(), Some(MemberId::from_bytes([n; 16])));
    let losers = |version: &Version| version.losers().filter_map(|loser| loser.writer).count();
    let mut version = acknowledged(1, b"same");
    version.merge(&acknowledged(2, b"same"));
    assert_eq!((version.contenders().len(), losers(&version)), (1, 0));
    version.merge(&acknowledged(3, b"other"));
    let lost = if version.body == b"same" { 1 } else { 2 };
    assert_eq!((version.contenders().len(), losers(&version)), (2, lost));
}

/// A total order over everything that it says, or two members could disagree for ever.
#[test]
fn whatever_a_service_says_otherwise_one_of_two_statements_prevails() {
    let said = |change: &dyn Fn(&mut ServiceRumor)| {
        let mut told = ServiceRumor {
            member_id: MemberId::from_bytes([9; 16]),
            group: "redis.default".parse().expect("a valid group"),
            incarnation: Incarnation(1),
            initialized: true,
            pkg: "core/redis/1.0/20260101000000".parse().expect("a valid ident"),
            cfg: b"a = 1".to_vec(),
            sys: SysInfo::default(),
            pkg_incarnation: 0,
            tombstone: false,
            accepting: true,
            maintenance: None,
            config_incarnation: 0,
            electorate_min: 0,
            versions_digest: 0,
            held_back: BTreeSet::new(),
            slow_hook: None,
        };
        change(&mut told);
        Rumor::Service(told)
    };
    let changes: [&dyn Fn(&mut ServiceRumor); 12] = [
        &|told| told.initialized = false,
        &|told| told.pkg = "core/redis/1.1/20260101000000".parse().expect("a valid ident"),
        &|told| told.cfg = b"a = 2".to_vec(),
        &|told| told.sys.hostname = String::from("ada"),
        &|told| told.pkg_incarnation = 1,
        &|told| told.tombstone = true,
        &|told| told.accepting = false,
        &|told| told.maintenance = Some(String::from("disk")),
        &|told| (told.config_incarnation, told.electorate_min) = (1, 3),
        &|told| told.versions_digest = 1,
        &|told| told.held_back = [ObstacleKind::Template].into(),
        &|told| told.slow_hook = Some(SLOW),
    ];
    let plain = said(&|_| {});
    for (n, change) in changes.into_iter().enumerate() {
        let other = said(change);
        assert_ne!(plain, other);
        assert_eq!(joined(&plain, &other), joined(&other, &plain), "change {n}");
    }
}
