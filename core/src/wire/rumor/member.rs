//! A member's record and accusers as a message.

use prost::Message as _;

use crate::model::accusers::Accusers;
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::member::State;
use crate::model::rumor::MemberRumor;
use crate::wire::convert::{health_from_wire, health_to_wire, member_from_wire, member_to_wire};
use crate::wire::member::Membership;

impl MemberRumor {
    pub(crate) fn to_wire(self) -> Membership {
        let mut membership = Membership::new(member_to_wire(&self.record), health_to_wire(self.record.state));
        for id in self.accusers.iter() {
            membership.accuse(*id.as_bytes());
        }
        membership
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let membership = Membership::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
        Self::from_wire(Some(&membership))
    }

    pub(crate) fn from_wire(m: Option<&Membership>) -> Result<Self, DecodeError> {
        let m = m.ok_or(DecodeError::Missing("membership"))?;
        let mut record = member_from_wire(m.member.as_ref())?;
        record.state = record.state.max(health_from_wire(m.health));
        let mut accusers = Accusers::default();
        if record.state == State::Suspect {
            for id in m.accusers() {
                accusers.add(MemberId::from_bytes(*id));
            }
        }
        Ok(Self { record, accusers })
    }
}
