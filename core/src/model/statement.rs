//! What a member signs when it says something, and on whose word a rumor is believed.
//!
//! A statement is signed as its domain, the key that it is about (kind included), its number and the hash of what it says.
//! Two statements that differ in any of these have different bytes: each part has a fixed length or says its own.

use alloc::vec::Vec;

use crate::model::id::MemberId;
use crate::model::identity::{Sign, Vouch};
use crate::model::rumor::{Authority, Rumor, RumorKey};

/// Keeps signatures of statements apart from whatever else is ever signed with the same key.
const DOMAIN: &[u8] = b"annulus statement v1\0";

/// A statement as it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// What it is about, the kind first.
    key: Vec<u8>,
    /// Which of its author's statements about that it is.
    number: u64,
    /// The hash of what it says.
    content: [u8; 32],
}

impl Statement {
    /// That this is said under this key.
    pub(crate) fn new(key: &RumorKey, number: u64, content: [u8; 32]) -> Self {
        Self { key: key.encode(), number, content }
    }

    /// What is signed.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DOMAIN.len() + self.key.len() + 44);
        bytes.extend_from_slice(DOMAIN);
        let key_len = u32::try_from(self.key.len()).expect("names in keys are short");
        bytes.extend_from_slice(&key_len.to_le_bytes());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.content);
        assert!(bytes.len() == DOMAIN.len() + self.key.len() + 44, "every part is signed");
        bytes
    }

    /// The word of the member that signs.
    pub(crate) fn vouch(&self, signer: &dyn Sign) -> Vouch {
        Vouch { key: signer.public_key(), signature: signer.sign(&self.bytes()) }
    }
}

/// Keeps signatures of steps of elections apart from those of statements.
const BALLOT_DOMAIN: &[u8] = b"annulus ballot v1\0";

/// What is signed of a step of an election: to which member it goes, so that no other one counts it, and the hash of what
/// it says.
pub(crate) fn ballot_bytes(to: &MemberId, content: [u8; 32]) -> Vec<u8> {
    [BALLOT_DOMAIN, to.as_bytes(), &content].concat()
}

/// Whose word a rumor needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// No member's: it is judged by other rules, or cannot be judged here.
    Unsigned,
    /// This member's and no other's.
    Only(MemberId),
    /// Any member's, in its own name.
    Any,
    /// It names no author, so no word could be the right one.
    Nobody,
}

impl Rumor {
    /// Whose word it needs to be believed.
    pub(crate) fn author(&self) -> Author {
        match self.authority() {
            Authority::Members(_) | Authority::Unknown(_) => Author::Unsigned,
            Authority::Itself(statement) => Author::Only(statement.member_id),
            Authority::Owner(owner) => Author::Only(*owner),
            Authority::Voters(outcome) => Author::Only(outcome.leader),
            Authority::Operator(version) => version.writer.map_or(Author::Nobody, Author::Only),
            Authority::Key(key) => Author::Only(key.by),
            Authority::Ban(_) => Author::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::KeyedHash;
    use crate::model::rumor::tests::any_trio;
    use proptest::prelude::*;

    fn statement() -> impl Strategy<Value = Statement> {
        // Few values, so that many pairs differ in one part only.
        (any_trio(), 0..3_u64, 0..3_u8)
            .prop_map(|([rumor, ..], number, content)| Statement::new(&rumor.key(), number, [content; 32]))
    }

    proptest! {
        #[test]
        fn what_differs_in_kind_key_number_or_content_is_signed_otherwise(a in statement(), b in statement()) {
            prop_assert_eq!(a == b, a.bytes() == b.bytes());
        }

        #[test]
        fn a_changed_bit_is_refused(statement in statement(), bit in 0..768_usize) {
            let signer = KeyedHash::new([3; 32]);
            let vouch = statement.vouch(&signer);
            prop_assert!(vouch.holds_for(&statement.bytes(), &signer));
            let mut bytes = vouch.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = Vouch::from_bytes(&bytes).expect("as long as before");
            prop_assert!(!changed.holds_for(&statement.bytes(), &signer));
        }
    }
}
