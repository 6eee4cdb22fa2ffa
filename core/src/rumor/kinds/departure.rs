//! A member that an operator banned: the set of these only grows.

use crate::id::MemberId;

/// The ban of one member (reference A3.8). Nothing undoes it, not even the member's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Who is banned.
    pub member_id: MemberId,
}
