//! A member that an operator banned: the set of these only grows.

use crate::error::DecodeError;
use crate::id::MemberId;
use crate::wire::{id_from_wire, id_to_wire, proto};

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

    pub(crate) fn to_wire(&self) -> proto::Departure {
        proto::Departure { member_id: id_to_wire(&self.member_id) }
    }

    pub(crate) fn from_wire(d: Option<&proto::Departure>) -> Result<Self, DecodeError> {
        let d = d.ok_or(DecodeError::Missing("departure"))?;
        Ok(Self { member_id: id_from_wire(&d.member_id, "departed member")? })
    }
}
