//! Rumors as messages: one file for each kind, and the matches over them.

mod departure;
mod election;
mod member;
mod service;
mod service_config;
mod service_file;
mod service_health;
#[cfg(test)]
mod tests;
mod version;

use alloc::vec::Vec;
use prost::Message as _;

use crate::model::error::DecodeError;
use crate::model::limits::RUMOR_BYTES_MAX;
use crate::model::rumor::{
    Departure, ElectionRumor, MemberRumor, Rumor, ServiceConfig, ServiceFile, ServiceHealth, ServiceRumor,
};
use crate::wire::convert::id_to_wire;
use crate::wire::proto;

impl Rumor {
    /// The rumor as bytes: the row's value in the durable state, and what equal rumors have in common.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Reads [`Self::encode`] back.
    ///
    /// # Errors
    /// Not a rumor, or one beyond the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RUMOR_BYTES_MAX + 64 {
            return Err(DecodeError::TooLong { bytes: bytes.len(), limit: RUMOR_BYTES_MAX });
        }
        let rumor = proto::Rumor::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
        Self::from_wire(rumor)?.ok_or(DecodeError::Invalid("rumor type"))
    }

    pub(crate) fn to_wire(&self) -> proto::Rumor {
        let mut rumor = proto::Rumor::default();
        match self {
            Self::Member(m) => {
                rumor.kind = proto::rumor_kind::MEMBER;
                rumor.member = Some(m.to_wire());
            }
            Self::Service(s) => {
                rumor.kind = proto::rumor_kind::SERVICE;
                rumor.from_id = id_to_wire(&s.member_id);
                rumor.service = Some(s.to_wire());
            }
            Self::Departure(d) => {
                rumor.kind = proto::rumor_kind::DEPARTURE;
                rumor.departure = Some(d.to_wire());
            }
            Self::ServiceHealth(h) => {
                rumor.kind = proto::rumor_kind::SERVICE_HEALTH;
                rumor.from_id = id_to_wire(&h.member_id);
                rumor.service_health = Some(h.to_wire());
            }
            Self::ServiceConfig(c) => {
                rumor.kind = proto::rumor_kind::SERVICE_CONFIG;
                rumor.from_id = c.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_config = Some(c.to_wire());
            }
            Self::ServiceFile(f) => {
                rumor.kind = proto::rumor_kind::SERVICE_FILE;
                rumor.from_id = f.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_file = Some(f.to_wire());
            }
            Self::Election(e) => {
                rumor.kind = proto::rumor_kind::ELECTION;
                rumor.from_id = id_to_wire(&e.leader);
                rumor.election = Some(e.to_wire());
            }
        }
        rumor
    }

    /// None for what this version does not know or cannot use: others may tell of it.
    pub(crate) fn from_wire(rumor: proto::Rumor) -> Result<Option<Self>, DecodeError> {
        let known = match rumor.kind {
            proto::rumor_kind::MEMBER => Self::Member(MemberRumor::from_wire(rumor.member.as_ref())?),
            proto::rumor_kind::SERVICE => Self::Service(ServiceRumor::from_wire(rumor.service)?),
            proto::rumor_kind::DEPARTURE => Self::Departure(Departure::from_wire(rumor.departure.as_ref())?),
            proto::rumor_kind::SERVICE_HEALTH => {
                Self::ServiceHealth(ServiceHealth::from_wire(rumor.service_health.as_ref())?)
            }
            proto::rumor_kind::SERVICE_CONFIG => match ServiceConfig::from_wire(rumor.service_config)? {
                Some(config) => Self::ServiceConfig(config),
                None => return Ok(None),
            },
            proto::rumor_kind::SERVICE_FILE => match ServiceFile::from_wire(rumor.service_file)? {
                Some(file) => Self::ServiceFile(file),
                None => return Ok(None),
            },
            proto::rumor_kind::ELECTION => {
                Self::Election(ElectionRumor::from_wire(&rumor.from_id, rumor.election.as_ref())?)
            }
            _ => return Ok(None),
        };
        Ok(Some(known))
    }
}
