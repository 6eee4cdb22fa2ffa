//! What a member's own records say of the ring's keys, from which its next life goes on. A key that the ring has given up
//! opens nothing again because a copy or a file of it lies on the disk.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::model::id::MemberId;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{OpenKey, Rumor};

/// What the last life had on disk of the ring's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRecord {
    /// What it opened, and until when.
    opens: Vec<OpenKey>,
    /// What it spoke with.
    speaks: Option<RingKeyId>,
    /// The keys that were offered to the ring.
    offered: BTreeSet<RingKeyId>,
    /// The newest key that is known to be current.
    current: Option<RingKeyId>,
}

impl KeyRecord {
    /// The record of this member among what it had stored. Without one every key is new to it.
    #[must_use]
    pub fn of<'a>(me: &MemberId, rumors: impl IntoIterator<Item = &'a Rumor>) -> Self {
        let mut record = Self::default();
        for rumor in rumors {
            if let Rumor::RingKey(fact) = rumor {
                record.offered.insert(fact.key);
                record.current = record.current.max(Some(fact.key).filter(|_| fact.is_current));
            }
            if let Rumor::MemberKeys(keys) = rumor
                && keys.member_id == *me
            {
                record.opens.clone_from(&keys.opens);
                record.speaks = Some(keys.speaks).filter(|key| !key.is_clear());
            }
        }
        record.current = record.current.max(record.speaks);
        assert!(record.speaks <= record.current, "what a member speaks with is current");
        record
    }

    /// What the last life spoke with, or without that the newest key that is known to be current.
    #[must_use]
    pub fn current(&self) -> Option<RingKeyId> {
        self.speaks.or(self.current)
    }

    /// How it opened this key; none: it did not.
    #[must_use]
    pub fn open(&self, key: &RingKeyId) -> Option<&OpenKey> {
        self.opens.iter().find(|open| open.key == *key)
    }

    /// Whether the ring has given up this key: a newer one is current, or another one of its revision is the ring's, and the
    /// last life did not open it any more.
    #[must_use]
    pub fn has_given_up(&self, key: &RingKeyId) -> bool {
        let is_old = self.current.is_some_and(|current| *key < current);
        let is_other = || {
            let ours = self.offered.iter().chain(&self.current).filter(|ours| ours.revision == key.revision);
            !self.offered.contains(key)
                && ours.clone().next().is_some()
                && ours.clone().all(|ours| ours != key)
        };
        !key.is_clear() && self.open(key).is_none() && (is_old || is_other())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Incarnation;
    use crate::model::rumor::{MemberKeys, RingKey};
    use crate::model::time::UnixTime;

    fn key(revision: u64) -> RingKeyId {
        RingKeyId::simulated(revision, 0)
    }

    #[test]
    fn only_what_the_last_life_did_not_open_any_more_is_given_up() {
        let me = MemberId::from_bytes([1; 16]);
        let until = Some(UnixTime::from_millis(9));
        let opens = alloc::vec![OpenKey { key: key(2), until }, OpenKey { key: key(3), until: None }];
        let (incarnation, box_key) = (Incarnation(1), [0; 32]);
        let own =
            Rumor::MemberKeys(MemberKeys { member_id: me, incarnation, opens, speaks: key(3), box_key });
        let record = KeyRecord::of(&me, [&own]);
        let given_up: Vec<bool> = [1, 2, 3, 4].map(|n| record.has_given_up(&key(n))).to_vec();
        assert_eq!(given_up, [true, false, false, false]);
        assert!(
            record.has_given_up(&RingKeyId::simulated(3, 7)),
            "the ring's key of that revision is another"
        );
        assert!(!record.has_given_up(&RingKeyId::CLEAR));
        assert_eq!(
            (record.open(&key(2)).and_then(|open| open.until), record.current()),
            (until, Some(key(3)))
        );
        let other = KeyRecord::of(&MemberId::from_bytes([2; 16]), [&own]);
        assert_eq!(other, KeyRecord::default(), "what another member opens says nothing of this one's");
        assert!(!other.has_given_up(&key(1)), "without a record every key is new");
    }

    #[test]
    fn a_life_in_the_clear_brings_no_retired_key_back() {
        let me = MemberId::from_bytes([1; 16]);
        let fact = |n, is_current| {
            let (since, ring) = (UnixTime::from_millis(5), "sim".into());
            Rumor::RingKey(RingKey { key: key(n), ring, is_current, since, grace_ms: 1, by: me })
        };
        let open = OpenKey { key: RingKeyId::CLEAR, until: None };
        let (incarnation, opens) = (Incarnation(2), alloc::vec![open]);
        let speaks = RingKeyId::CLEAR;
        let own =
            Rumor::MemberKeys(MemberKeys { member_id: me, incarnation, opens, speaks, box_key: [0; 32] });
        let record = KeyRecord::of(&me, [&own, &fact(2, true), &fact(3, false)]);
        let given_up: Vec<bool> = [1, 2, 3].map(|n| record.has_given_up(&key(n))).to_vec();
        assert_eq!((record.current(), given_up), (Some(key(2)), alloc::vec![true, false, false]));
    }
}
