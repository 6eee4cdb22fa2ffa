//! An election's outcome as a message.

use alloc::string::ToString as _;

use crate::model::error::DecodeError;
use crate::model::limits::ELECTION_TERM_MAX;
use crate::model::rumor::ElectionRumor;
use crate::wire::convert::{id_from_wire, id_to_wire};
use crate::wire::proto;

impl ElectionRumor {
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
