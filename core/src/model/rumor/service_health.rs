//! How well a member's service is: a ring fact, so that members that depend on it need not ask each host.

use crate::model::id::{Incarnation, MemberId, ServiceGroup};
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};
use crate::model::service::Health;

/// The health of one member's service in one group. Ours: Habitat keeps health on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Who runs it.
    pub member_id: MemberId,
    /// In which group.
    pub group: ServiceGroup,
    /// Counts the owner's statements about its health.
    pub incarnation: Incarnation,
    /// How it is.
    pub health: Health,
    /// The service was retracted, and its health with it.
    pub tombstone: bool,
}

impl ServiceHealth {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "service_health",
        key: &[Part::Group, Part::Member],
        noun: "health",
        news: "tells of its service's health",
        is_owned: true,
        is_versioned: false,
        is_fact: true,
        room: Room::SHARED,
    };

    /// Joins two statements: the higher incarnation; of equal ones a retraction, then the worse health, so that
    /// doubt never looks better than it is.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(
            self.member_id == other.member_id && self.group == other.group,
            "different rumors cannot be joined"
        );
        let rank = |s: &Self| (s.incarnation, s.tombstone, s.health);
        let newer = rank(other) > rank(self);
        if newer {
            self.clone_from(other);
        }
        newer
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Owner(&self.member_id)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        if self.tombstone { CensusEntry::Nothing } else { CensusEntry::Fares(self) }
    }
}
