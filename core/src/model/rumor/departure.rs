//! The ban of a member by an operator. Bans are never taken back, so the set of them only grows.

use crate::model::id::MemberId;
use crate::model::limits::{DEPARTURES_MAX, Limit};
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};

/// The ban of one member (as in Habitat). Nothing undoes it, not even the member's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The banned member.
    pub member_id: MemberId,
}

impl Departure {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "departure",
        key: &[Part::Member],
        noun: "ban",
        news: "is banned",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        room: Room { in_ring: Some((DEPARTURES_MAX, Limit::Departures)), in_group: None, is_own: true },
    };

    /// Joins two bans of one member: there is nothing to choose.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.member_id, other.member_id, "only bans of one member can be joined");
        false
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Ban(&self.member_id)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        CensusEntry::Banned(&self.member_id)
    }
}
