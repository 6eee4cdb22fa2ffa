//! A member's statement about itself as a message.

use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::member::UNSPECIFIED;
use crate::model::rumor::MemberStatement;
use crate::wire::convert::{
    address_from_wire, address_to_wire, id_from_wire, id_to_wire, incarnation_from_wire,
};

/// What a member says of itself.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MemberStatementMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
    #[prost(bytes = "vec", tag = "3")]
    address: Vec<u8>,
    #[prost(uint32, tag = "4")]
    swim_port: u32,
    #[prost(uint32, tag = "5")]
    gossip_port: u32,
    #[prost(bool, tag = "6")]
    permanent: bool,
    #[prost(bool, tag = "7")]
    leaves: bool,
}

impl MemberStatement {
    pub(super) fn to_wire(&self) -> MemberStatementMessage {
        let address = self.address.map(|address| address_to_wire(address).as_slice().to_vec());
        MemberStatementMessage {
            member_id: id_to_wire(&self.member_id),
            incarnation: self.incarnation.0,
            address: address.unwrap_or_default(),
            swim_port: u32::from(self.swim_port),
            gossip_port: u32::from(self.gossip_port),
            permanent: self.permanent,
            leaves: self.leaves,
        }
    }

    pub(super) fn from_wire(s: Option<&MemberStatementMessage>) -> Result<Self, DecodeError> {
        let s = s.ok_or(DecodeError::Missing("statement"))?;
        let port = |port: u32, field| u16::try_from(port).map_err(|_| DecodeError::Invalid(field));
        let address = address_from_wire(&s.address)?;
        Ok(Self {
            member_id: id_from_wire(&s.member_id, "statement's member")?,
            incarnation: incarnation_from_wire(s.incarnation)?,
            permanent: s.permanent,
            address: Some(address).filter(|address| *address != UNSPECIFIED),
            swim_port: port(s.swim_port, "swim_port")?,
            gossip_port: port(s.gossip_port, "gossip_port")?,
            leaves: s.leaves,
        })
    }
}
