//! A ban as a message.

use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::rumor::Departure;
use crate::wire::convert::{id_from_wire, id_to_wire};

/// `Departure`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DepartureMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
}

impl Departure {
    pub(super) fn to_wire(&self) -> DepartureMessage {
        DepartureMessage { member_id: id_to_wire(&self.member_id) }
    }

    pub(super) fn from_wire(d: Option<&DepartureMessage>) -> Result<Self, DecodeError> {
        let d = d.ok_or(DecodeError::Missing("departure"))?;
        Ok(Self { member_id: id_from_wire(&d.member_id, "departed member")? })
    }
}
