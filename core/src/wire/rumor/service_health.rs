//! A service's health as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::rumor::ServiceHealth;
use crate::model::service::Health;
use crate::wire::convert::{id_from_wire, id_to_wire, incarnation_from_wire};

/// The health of a member's service.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceHealthMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(string, tag = "2")]
    service_group: String,
    #[prost(uint64, tag = "3")]
    incarnation: u64,
    #[prost(int32, tag = "4")]
    health: i32,
    #[prost(bool, tag = "5")]
    tombstone: bool,
}

impl ServiceHealth {
    pub(super) fn to_wire(&self) -> ServiceHealthMessage {
        ServiceHealthMessage {
            member_id: id_to_wire(&self.member_id),
            service_group: self.group.to_string(),
            incarnation: self.incarnation.0,
            health: self.health as i32,
            tombstone: self.tombstone,
        }
    }

    pub(super) fn from_wire(h: Option<&ServiceHealthMessage>) -> Result<Self, DecodeError> {
        let h = h.ok_or(DecodeError::Missing("service health"))?;
        let health = Health::ALL.iter().find(|known| **known as i32 == h.health);
        Ok(Self {
            member_id: id_from_wire(&h.member_id, "service health member")?,
            group: h.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?,
            incarnation: incarnation_from_wire(h.incarnation)?,
            // A word of a later version is told on as it came.
            health: health.copied().unwrap_or(Health::Unknown),
            tombstone: h.tombstone,
        })
    }
}
