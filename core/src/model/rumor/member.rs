//! A member's record, and its accusers while it is suspect. The rules of SWIM that change it are in `membership`.

use crate::model::accusers::Accusers;
use crate::model::member::{MemberRecord, State};
use crate::model::rumor::authority::Authority;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};

/// What is told about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRumor {
    /// The statement.
    pub record: MemberRecord,
    /// While it says `Suspect`: who says so of its own knowledge.
    pub accusers: Accusers,
}

impl MemberRumor {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "member",
        key: &[Part::Member],
        noun: "record",
        news: "has news",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        room: Room::SHARED,
    };

    /// A statement without accusers.
    #[must_use]
    pub fn new(record: MemberRecord) -> Self {
        Self { record, accusers: Accusers::default() }
    }

    /// Joins two statements about one member: the prevailing one, and the accusers of both when they are
    /// the same suspicion. True when this one changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.record.id, other.record.id, "only statements about one member can be joined");
        if other.record.prevails_over(&self.record) {
            let same_suspicion = other.record.state == State::Suspect
                && self.record.state == State::Suspect
                && other.record.incarnation == self.record.incarnation;
            let accusers = self.accusers;
            *self = *other;
            if same_suspicion {
                self.accusers.merge(&accusers);
            }
            return true;
        }
        self.record.state == State::Suspect
            && other.record.state == State::Suspect
            && other.record.incarnation == self.record.incarnation
            && self.accusers.merge(&other.accusers)
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Members(self)
    }
}
