//! A service's health as a message.

use alloc::string::ToString as _;

use crate::model::error::DecodeError;
use crate::model::rumor::ServiceHealth;
use crate::model::service::Health;
use crate::wire::convert::{id_from_wire, id_to_wire, incarnation_from_wire};
use crate::wire::proto;

impl ServiceHealth {
    pub(crate) fn to_wire(&self) -> proto::ServiceHealth {
        proto::ServiceHealth {
            member_id: id_to_wire(&self.member_id),
            service_group: self.group.to_string(),
            incarnation: self.incarnation.0,
            health: self.health as i32,
            tombstone: self.tombstone,
        }
    }

    pub(crate) fn from_wire(h: Option<&proto::ServiceHealth>) -> Result<Self, DecodeError> {
        let h = h.ok_or(DecodeError::Missing("service health"))?;
        let health = Health::ALL.iter().find(|known| **known as i32 == h.health);
        Ok(Self {
            member_id: id_from_wire(&h.member_id, "service health member")?,
            group: h.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?,
            incarnation: incarnation_from_wire(h.incarnation)?,
            health: *health.ok_or(DecodeError::Invalid("health"))?,
            tombstone: h.tombstone,
        })
    }
}
