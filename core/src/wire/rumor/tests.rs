//! The laws that the encoding of every kind must keep, over all kinds.

use proptest::prelude::*;

use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::id::MemberId;
use crate::model::rumor::tests::any_trio;
use crate::model::rumor::{ElectionRumor, Rumor};

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
