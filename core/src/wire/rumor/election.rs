//! An election's outcome as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::error::DecodeError;
use crate::model::limits::ELECTION_TERM_MAX;
use crate::model::mutant::mutated;
use crate::model::rumor::ElectionRumor;
use crate::wire::convert::{id_from_wire, id_to_wire};

/// `Election`, without the votes: those travel between the voters.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ElectionMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(string, tag = "2")]
    service_group: String,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(uint64, tag = "4")]
    suitability: u64,
    #[prost(int32, tag = "5")]
    status: i32,
}

impl ElectionRumor {
    pub(super) fn to_wire(&self) -> ElectionMessage {
        ElectionMessage {
            member_id: id_to_wire(&self.leader),
            service_group: self.election.group.to_string(),
            term: self.term,
            suitability: 0,
            status: if self.ended { STATUS_RUNNING } else { STATUS_FINISHED },
        }
    }

    pub(super) fn from_wire(
        purpose: ElectionPurpose,
        from_id: &[u8],
        e: Option<&ElectionMessage>,
    ) -> Result<Self, DecodeError> {
        let e = e.ok_or(DecodeError::Missing("election"))?;
        if e.term > ELECTION_TERM_MAX {
            return Err(DecodeError::Invalid("term"));
        }
        let group = e.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        Ok(Self {
            election: ElectionId { group, purpose },
            term: e.term,
            leader: id_from_wire(from_id, "elected member")?,
            ended: mutated!(EndUntold, e.status != STATUS_FINISHED, false),
        })
    }
}

/// Habitat's numbers.
const STATUS_RUNNING: i32 = 1;

const STATUS_FINISHED: i32 = 3;
