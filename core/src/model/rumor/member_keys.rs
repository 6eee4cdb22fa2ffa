//! Which ring keys a member can open, by its own word. Members of a ring without keys say nothing of the kind.

use alloc::vec::Vec;

use crate::model::id::{Incarnation, MemberId};
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};
use crate::model::time::UnixTime;

/// A key that a member can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenKey {
    /// Which key; the clear where it hears that.
    pub key: RingKeyId,
    /// Until when, by the member's clock; none: as long as the key is not retired.
    pub until: Option<UnixTime>,
}

/// A member about itself: what it can open, what it speaks with, and how keys are sealed for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberKeys {
    /// Who says so.
    pub member_id: MemberId,
    /// Counts its statements.
    pub incarnation: Incarnation,
    /// The keys that it can open, in order.
    pub opens: Vec<OpenKey>,
    /// The key with which it speaks to members that it knows nothing of.
    pub speaks: RingKeyId,
    /// Its public key for boxes.
    pub box_key: [u8; 32],
}

impl MemberKeys {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "member_keys",
        key: &[Part::Member],
        noun: "list of keys",
        news: "tells which ring keys it can open",
        is_owned: true,
        is_versioned: false,
        is_fact: false,
        room: Room::SHARED,
    };

    /// Whether it can open what is sealed with this key.
    #[must_use]
    pub fn can_open(&self, key: &RingKeyId) -> bool {
        self.opens.iter().any(|open| open.key == *key)
    }

    /// Joins two statements: the higher incarnation; of equal ones, which only a copied identity can make, the greater
    /// content.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.member_id == other.member_id, "different rumors cannot be joined");
        let newer = (other.incarnation, other) > (self.incarnation, &*self);
        if newer {
            self.clone_from(other);
        }
        assert!(self.incarnation >= other.incarnation, "a statement is followed by later ones only");
        newer
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Owner(&self.member_id)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        CensusEntry::Nothing
    }
}
