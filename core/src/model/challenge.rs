//! The question whether a member speaks now, and the answer that only the member can give: it repeats the question's random
//! bits, and the member's key signs it. Whatever was recorded answers no new question.

use alloc::vec::Vec;

use crate::model::channel::Channel;
use crate::model::id::MemberId;
use crate::model::identity::{Sign, Vouch};
use crate::model::stamp::Standing;

/// Keeps signatures of answers apart from whatever else is ever signed with the same key.
const DOMAIN: &[u8] = b"annulus answer v1\0";

/// What a member answers to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The random bits of the question.
    pub(crate) challenge: u64,
    /// Where the member's numbers stand; none in an open ring, where messages have none.
    pub(crate) standing: Option<Standing>,
}

impl Answer {
    /// What is signed, for the member that asked.
    pub(crate) fn bytes(&self, challenger: &MemberId) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        bytes.extend_from_slice(challenger.as_bytes());
        bytes.extend_from_slice(&self.challenge.to_le_bytes());
        let Some(standing) = &self.standing else { return bytes };
        bytes.extend_from_slice(&standing.series.boot.to_le_bytes());
        for channel in Channel::ALL {
            bytes.extend_from_slice(&standing.series.salt(channel).0);
            bytes.extend_from_slice(&standing.next(channel).to_le_bytes());
        }
        assert!(bytes.len() == DOMAIN.len() + 16 + 8 + 4 + 2 * 12, "every part is signed");
        bytes
    }

    /// This member's word for it.
    pub(crate) fn vouch(&self, challenger: &MemberId, signer: &dyn Sign) -> Vouch {
        Vouch { key: signer.public_key(), signature: signer.sign(&self.bytes(challenger)) }
    }
}

/// An answer with its member's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) vouch: Vouch,
    /// A question of the member that answers: it does not know yet whether the asker speaks now.
    pub(crate) asks: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::KeyedHash;
    use crate::model::stamp::Series;
    use alloc::collections::BTreeSet;

    #[test]
    fn an_answer_is_for_one_question_of_one_member_and_one_standing() {
        let standing = |boot, random, datagrams, streams| {
            Some(Standing { series: Series::new(boot, random), datagrams, streams })
        };
        let base = Answer { challenge: 7, standing: standing(1, [2, 3], 4, 5) };
        let others = [
            Answer { challenge: 8, ..base },
            Answer { standing: None, ..base },
            Answer { standing: standing(2, [2, 3], 4, 5), ..base },
            Answer { standing: standing(1, [9, 3], 4, 5), ..base },
            Answer { standing: standing(1, [2, 9], 4, 5), ..base },
            Answer { standing: standing(1, [2, 3], 9, 5), ..base },
            Answer { standing: standing(1, [2, 3], 4, 9), ..base },
        ];
        let (ada, bob) = (MemberId::from_bytes([1; 16]), MemberId::from_bytes([2; 16]));
        let signed: BTreeSet<Vec<u8>> = others.iter().map(|other| other.bytes(&ada)).collect();
        assert_eq!(signed.len(), others.len());
        assert!(!signed.contains(&base.bytes(&ada)) && base.bytes(&ada) != base.bytes(&bob));
        let signer = KeyedHash::new([3; 32]);
        assert!(base.vouch(&ada, &signer).holds_for(&base.bytes(&ada), &signer));
        assert!(!base.vouch(&ada, &signer).holds_for(&base.bytes(&bob), &signer));
    }
}
