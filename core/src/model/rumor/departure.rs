//! The ban of a member by an operator, and the order that lifts it.
//!
//! Orders about one member are counted: a ban, its lifting, the next ban, and so on, each one step above the one before.
//! So what is held only grows, and yet each order can be undone: a lifted ban stays lifted whatever member still tells of
//! the ban, and a later ban is one that its operator gave knowing of that. Of one state only one kind of order leads on, so
//! two halves of a ring never give different orders of one step.
//!
//! Within one epoch the lifting prevails over the ban that it answers. At the highest number of all, which no member comes
//! near, it would be the ban that could not be given, and not the lifting.

use crate::model::id::MemberId;
use crate::model::limits::{DEPARTURES_BY_ONE_MAX, DEPARTURES_BY_STRANGERS_MAX, DEPARTURES_MAX, Limit};
use crate::model::mutant::mutated;
use crate::model::reach;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Bound, Properties, Room};

/// The ban of one member (as in Habitat), or that it was lifted. Only an operator's next order undoes either, never the
/// member's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The banned member.
    pub member_id: MemberId,
    /// Which ban of this member it is, from 0.
    pub epoch: u64,
    /// Whether an operator has lifted it.
    pub lifted: bool,
}

impl Departure {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "departure",
        key: &[Part::Member],
        noun: "ban",
        news: "is banned, or its ban is lifted",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        room: Room {
            in_ring: Some(Bound {
                max: DEPARTURES_MAX,
                by_one: DEPARTURES_BY_ONE_MAX,
                strangers: DEPARTURES_BY_STRANGERS_MAX,
                limit: Limit::Departures,
            }),
            in_group: None,
            is_own: true,
        },
    };

    /// The first ban of a member.
    #[must_use]
    pub const fn ban(member_id: MemberId) -> Self {
        Self { member_id, epoch: 0, lifted: false }
    }

    /// The ban that follows what is held of this member; none where it is banned, or where no number follows.
    #[must_use]
    pub fn banned_again(held: Option<&Self>, member_id: MemberId) -> Option<Self> {
        let Some(held) = held else { return Some(Self::ban(member_id)) };
        assert!(held.member_id == member_id, "orders about one member follow each other");
        let epoch = held.epoch + mutated!(BanNotAbove, 1, 0);
        let follows = held.lifted && epoch <= reach::NUMBER_MAX;
        follows.then_some(Self { member_id, epoch, lifted: false })
    }

    /// The order that lifts this ban; none where it is lifted.
    #[must_use]
    pub fn lift(&self) -> Option<Self> {
        (!self.lifted).then_some(Self { lifted: true, ..*self })
    }

    /// Joins two orders about one member: the later one stays.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.member_id, other.member_id, "only bans of one member can be joined");
        let rank = |of: &Self| (of.epoch, mutated!(OldBanUndoesLift, of.lifted, !of.lifted));
        let is_later = rank(other) > rank(self);
        if is_later {
            self.clone_from(other);
        }
        assert!(rank(self) >= rank(other), "the later order stays");
        is_later
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Ban(self)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        if self.lifted { CensusEntry::Nothing } else { CensusEntry::Banned(&self.member_id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_one_step_above_the_one_that_it_answers() {
        let member = MemberId::from_bytes([7; 16]);
        let first = Departure::banned_again(None, member).expect("a first ban");
        assert_eq!(first, Departure::ban(member));
        assert_eq!(Departure::banned_again(Some(&first), member), None, "it is banned");
        let lifted = first.lift().expect("it is banned");
        assert_eq!(lifted.lift(), None, "it is lifted");
        let again = Departure::banned_again(Some(&lifted), member).expect("it is not banned");
        assert_eq!((again.epoch, again.lifted), (1, false));
        for (older, newer) in [(&first, &lifted), (&lifted, &again), (&first, &again)] {
            let mut held = newer.clone();
            assert!(!held.merge(older) && held == *newer, "what is older undoes nothing");
            let mut held = older.clone();
            assert!(held.merge(newer) && held == *newer);
        }
    }

    #[test]
    fn at_the_highest_number_a_ban_can_still_be_lifted() {
        let member_id = MemberId::from_bytes([7; 16]);
        let top = Departure { member_id, epoch: reach::NUMBER_MAX, lifted: false };
        let lifted = top.lift().expect("it is banned");
        let mut held = top.clone();
        assert!(held.merge(&lifted) && !held.merge(&top));
        assert_eq!(Departure::banned_again(Some(&lifted), member_id), None);
    }
}
