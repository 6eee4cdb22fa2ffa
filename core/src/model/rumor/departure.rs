//! A member that an operator banned: the set of these only grows.

use crate::model::id::MemberId;

/// The ban of one member (as in Habitat). Nothing undoes it, not even the member's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Who is banned.
    pub member_id: MemberId,
}

impl Departure {
    /// Joins two bans of one member: there is nothing to choose.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.member_id, other.member_id, "only bans of one member can be joined");
        false
    }
}
