//! A ban as a message.

use crate::model::error::DecodeError;
use crate::model::rumor::Departure;
use crate::wire::convert::{id_from_wire, id_to_wire};
use crate::wire::proto;

impl Departure {
    pub(crate) fn to_wire(&self) -> proto::Departure {
        proto::Departure { member_id: id_to_wire(&self.member_id) }
    }

    pub(crate) fn from_wire(d: Option<&proto::Departure>) -> Result<Self, DecodeError> {
        let d = d.ok_or(DecodeError::Missing("departure"))?;
        Ok(Self { member_id: id_from_wire(&d.member_id, "departed member")? })
    }
}
