//! The laws that the encoding of every kind must keep, over all kinds.

use alloc::collections::BTreeSet;
use proptest::prelude::*;

use crate::model::config::SysInfo;
use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::error::DecodeError;
use crate::model::id::{Incarnation, MemberId};
use crate::model::limits::ELECTORATE_MAX;
use crate::model::rumor::tests::any_trio;
use crate::model::rumor::{ElectionRumor, Rumor, ServiceConfig, ServiceRumor, Version};

proptest! {
    #[test]
    fn what_is_encoded_is_read_back([a, ..] in any_trio()) {
        let decoded = Rumor::decode(&a.encode()).expect("its own encoding");
        prop_assert_eq!(&decoded, &a);
        prop_assert_eq!(decoded.encode(), a.encode());
    }

    #[test]
    fn bytes_of_no_kind_are_rejected_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(rumor) = Rumor::decode(&bytes) {
            // Every rumor that a decoder accepts can be encoded again.
            prop_assert_eq!(Rumor::decode(&rumor.encode()), Ok(rumor));
        }
    }
}

/// Habitat's numbers: a member that knows one kind of election only passes over the other.
#[test]
fn each_purpose_of_an_election_is_a_kind_of_its_own_on_the_wire() {
    let outcome = |purpose| {
        let election = ElectionId { group: "redis.default".parse().expect("a valid group"), purpose };
        let leader = MemberId::from_bytes([1; 16]);
        Rumor::Election(ElectionRumor { election, term: 7, leader, ended: false })
    };
    let [leader, update] = ElectionPurpose::ALL.map(outcome);
    assert_eq!(leader.encode()[..2], [0x08, 3]);
    assert_eq!(update.encode()[..2], [0x08, 8]);
    assert_eq!(leader.key().encode(), b"election\0redis.default");
    assert_eq!(update.key().encode(), b"election\0redis.default\0update");
    assert_eq!(leader.encode()[2..], update.encode()[2..], "the same message");
}

#[test]
fn a_configuration_without_a_number_is_none() {
    let config = |number| {
        let version = Version::new(number, b"port = 1".to_vec(), None);
        let group = "redis.default".parse().expect("a valid group");
        Rumor::ServiceConfig(ServiceConfig { group, version }).encode()
    };
    assert_eq!(Rumor::decode(&config(0)), Err(DecodeError::Invalid("incarnation")));
    assert!(Rumor::decode(&config(1)).is_ok());
}

fn service(electorate_min: u32) -> ServiceRumor {
    ServiceRumor {
        member_id: MemberId::from_bytes([1; 16]),
        group: "redis.default".parse().expect("a valid group"),
        incarnation: Incarnation(1),
        initialized: false,
        pkg: "core/redis/1.0/20260101000000".parse().expect("a valid ident"),
        cfg: alloc::vec::Vec::new(),
        sys: SysInfo::default(),
        pkg_incarnation: 0,
        tombstone: false,
        accepting: false,
        maintenance: None,
        config_incarnation: 0,
        electorate_min,
        versions_digest: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
    }
}

/// A newer member may have hooks that this one does not know.
#[test]
fn a_hook_that_takes_its_time_is_read_as_it_was_said() {
    use crate::model::service::{Hook, SlowHook};
    use crate::model::time::UnixTime;
    let slow = SlowHook { hook: Hook::Reconfigure, since: UnixTime::from_millis(9), limit_ms: 60_000 };
    let told = Rumor::Service(ServiceRumor { slow_hook: Some(slow), ..service(0) });
    let bytes = told.encode();
    assert_eq!(Rumor::decode(&bytes), Ok(told));
    let at = bytes.windows(11).position(|word| word == b"reconfigure").expect("its name");
    let mut other = bytes;
    other[at] = b'x';
    assert_eq!(Rumor::decode(&other), Ok(Rumor::Service(service(0))));
}

/// A group whose members ask for more voters than there can be would never have a leader.
#[test]
fn an_electorate_is_asked_for_that_a_group_can_have() {
    for (asked, read) in
        [(3, 3), (ELECTORATE_MAX as u32, ELECTORATE_MAX as u32), (1_000, ELECTORATE_MAX as u32)]
    {
        let Ok(Rumor::Service(told)) = Rumor::decode(&Rumor::Service(service(asked)).encode()) else {
            panic!("a service");
        };
        assert_eq!(told.electorate_min, read);
    }
}

/// Habitat's members never say whether they take work.
#[test]
fn a_service_that_does_not_say_so_takes_work_once_it_runs() {
    for initialized in [false, true] {
        let told = Rumor::Service(ServiceRumor { initialized, accepting: initialized, ..service(0) });
        let bytes = told.encode();
        let field_101 = [0xa8, 0x06];
        assert!(!bytes.windows(2).any(|pair| pair == field_101), "what goes without saying is not said");
        assert_eq!(Rumor::decode(&bytes), Ok(told));
    }
}
