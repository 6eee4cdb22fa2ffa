//! A ban as a message.

use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::reach::NUMBER_MAX;
use crate::model::rumor::Departure;
use crate::wire::convert::{id_from_wire, id_to_wire};

/// `Departure`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DepartureMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(uint64, tag = "100")]
    epoch: u64,
    #[prost(bool, tag = "101")]
    lifted: bool,
}

impl Departure {
    pub(super) fn to_wire(&self) -> DepartureMessage {
        let member_id = id_to_wire(&self.member_id);
        DepartureMessage { member_id, epoch: self.epoch, lifted: self.lifted }
    }

    pub(super) fn from_wire(d: Option<&DepartureMessage>) -> Result<Self, DecodeError> {
        let d = d.ok_or(DecodeError::Missing("departure"))?;
        if d.epoch > NUMBER_MAX {
            return Err(DecodeError::Invalid("epoch of a ban"));
        }
        let member_id = id_from_wire(&d.member_id, "departed member")?;
        Ok(Self { member_id, epoch: d.epoch, lifted: d.lifted })
    }
}
