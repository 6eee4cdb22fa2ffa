//! What every kind's encoding must keep, over all kinds.

use proptest::prelude::*;

use crate::model::rumor::Rumor;
use crate::model::rumor::tests::any_trio;

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
            // Whatever is believed can be told on.
            prop_assert_eq!(Rumor::decode(&rumor.encode()), Ok(rumor));
        }
    }
}
