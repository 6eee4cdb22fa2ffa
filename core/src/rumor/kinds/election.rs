//! Who leads a service group: the outcome of its election, told to the whole ring.

use alloc::string::ToString as _;

use crate::error::DecodeError;
use crate::id::{MemberId, ServiceGroup};
use crate::limits::ELECTION_TERM_MAX;
use crate::wire::{id_from_wire, id_to_wire, proto};

/// The result of one group's latest election. Votes and leases travel between the voters only; this is what
/// everybody else learns of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionRumor {
    /// Which group.
    pub group: ServiceGroup,
    /// The term that was won.
    pub term: u64,
    /// Who won it.
    pub leader: MemberId,
    /// It leads no longer, and nobody does yet.
    pub ended: bool,
}

impl ElectionRumor {
    /// Joins two outcomes: the higher term; of one term, which only one member can win, what came later. Where two
    /// halves of a ring that never met have both elected somebody, the greater id prevails everywhere.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.group == other.group, "different rumors cannot be joined");
        let newer = other.prevails_over(self);
        if newer {
            self.clone_from(other);
        }
        newer
    }

    /// Whether this is the later outcome.
    pub(crate) fn prevails_over(&self, other: &Self) -> bool {
        let rank = |r: &Self| (r.term, r.leader, r.ended);
        rank(self) > rank(other)
    }

    pub(crate) fn to_wire(&self) -> proto::Election {
        proto::Election {
            member_id: id_to_wire(&self.leader),
            service_group: self.group.to_string(),
            term: self.term,
            suitability: 0,
            status: if self.ended { STATUS_RUNNING } else { STATUS_FINISHED },
        }
    }

    pub(crate) fn from_wire(from_id: &[u8], e: Option<&proto::Election>) -> Result<Self, DecodeError> {
        let e = e.ok_or(DecodeError::Missing("election"))?;
        if e.term > ELECTION_TERM_MAX {
            return Err(DecodeError::Invalid("term"));
        }
        Ok(Self {
            group: e.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?,
            term: e.term,
            leader: id_from_wire(from_id, "elected member")?,
            ended: e.status != STATUS_FINISHED,
        })
    }
}

/// Habitat's numbers.
const STATUS_RUNNING: i32 = 1;
const STATUS_FINISHED: i32 = 3;
