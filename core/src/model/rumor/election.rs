//! The winner of an election of a service group, told to the whole ring.

use crate::model::election::ElectionId;
use crate::model::id::MemberId;
use crate::model::mutant::mutated;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};

/// The latest result of one election. Votes and leases travel between the voters only; every other member learns this
/// result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionRumor {
    /// Which election.
    pub election: ElectionId,
    /// The term that was won.
    pub term: u64,
    /// The winner.
    pub leader: MemberId,
    /// The winner leads no longer, and has no successor yet.
    pub ended: bool,
}

impl ElectionRumor {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "election",
        key: &[Part::Group, Part::Purpose],
        noun: "leader",
        news: "has news of its leader",
        is_owned: false,
        is_versioned: false,
        is_fact: true,
        room: Room::SHARED,
    };

    /// Joins two outcomes: the higher term; of one term, which only one member can win, the later statement. Where two
    /// halves of a ring that never met have both elected a leader, the greater id prevails everywhere.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.election == other.election, "different rumors cannot be joined");
        let newer = other.prevails_over(self);
        if newer {
            self.clone_from(other);
        }
        newer
    }

    /// Whether this is the later outcome.
    pub(crate) fn prevails_over(&self, other: &Self) -> bool {
        let rank = |r: &Self| (r.term, r.leader, mutated!(EndNotLater, r.ended, false));
        rank(self) > rank(other)
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Voters(self)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        CensusEntry::Leads(self)
    }
}
