//! That the ring is to speak with another key, or does so from now on. One statement for each key and state of it: a key
//! that is retired is one of which a greater one is current, and needs none of its own.

use alloc::string::String;

use crate::model::id::MemberId;
use crate::model::limits::{Limit, RING_KEYS_BY_STRANGERS_MAX, RING_KEYS_MAX};
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Bound, Properties, Room};
use crate::model::time::UnixTime;

/// A key that a member's operator offered to the ring, or that became current. The key itself is never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKey {
    /// Which key.
    pub key: RingKeyId,
    /// The ring's name, as key files have it.
    pub ring: String,
    /// Members speak with it to all that can open it; before, it is offered.
    pub is_current: bool,
    /// When it was offered or became current, by the clock of the member that says so.
    pub since: UnixTime,
    /// How long older keys open once this one is current, in milliseconds. 0 is an emergency: they open nothing any more,
    /// and the ring does not hand this one on.
    pub grace_ms: u64,
    /// The member that says so: its operator ordered it, or it saw that every member can open it.
    pub by: MemberId,
}

impl RingKey {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "ring_key",
        key: &[Part::RingKey],
        noun: "ring key",
        news: "the ring has another key",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        // The keyring itself counts those of one member.
        room: Room {
            in_ring: Some(Bound {
                max: RING_KEYS_MAX,
                by_one: RING_KEYS_MAX,
                strangers: RING_KEYS_BY_STRANGERS_MAX,
                limit: Limit::RingKeys,
            }),
            in_group: None,
            is_own: true,
        },
    };

    /// Joins two statements about one key: what is current is offered no longer; of two alike the greater content.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.key == other.key, "different rumors cannot be joined");
        assert!(!self.key.is_clear(), "the clear is offered by no member");
        let newer = other.rank() > self.rank();
        if newer {
            self.clone_from(other);
        }
        assert!(self.rank() >= other.rank(), "the greater one stays");
        newer
    }

    fn rank(&self) -> (bool, UnixTime, u64, MemberId, &str) {
        (self.is_current, self.since, self.grace_ms, self.by, &self.ring)
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Key(self)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        CensusEntry::Nothing
    }
}
