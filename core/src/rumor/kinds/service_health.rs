//! How well a member's service is: a ring fact, so that those who depend on it need not ask each host.

use alloc::string::ToString as _;

use crate::error::DecodeError;
use crate::id::{Incarnation, MemberId, ServiceGroup};
use crate::service::Health;
use crate::wire::swim::incarnation_from_wire;
use crate::wire::{id_from_wire, id_to_wire, proto};

/// The health of one member's service in one group. Ours: Habitat keeps health on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Who runs it.
    pub member_id: MemberId,
    /// In which group.
    pub group: ServiceGroup,
    /// Counts the owner's statements about its health.
    pub incarnation: Incarnation,
    /// How it is.
    pub health: Health,
    /// The service was retracted, and its health with it.
    pub tombstone: bool,
}

impl ServiceHealth {
    /// Joins two statements: the higher incarnation; of equal ones a retraction, then the worse health, so that
    /// doubt never looks better than it is.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(
            self.member_id == other.member_id && self.group == other.group,
            "different rumors cannot be joined"
        );
        let rank = |s: &Self| (s.incarnation, s.tombstone, s.health);
        let newer = rank(other) > rank(self);
        if newer {
            self.clone_from(other);
        }
        newer
    }

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
