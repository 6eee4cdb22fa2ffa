//! A group's configuration as a message.

use alloc::string::ToString as _;

use crate::model::error::DecodeError;
use crate::model::limits::SERVICE_CONFIG_BYTES_MAX;
use crate::model::rumor::{ServiceConfig, Version};
use crate::wire::proto;

impl ServiceConfig {
    pub(crate) fn to_wire(&self) -> proto::ServiceConfig {
        proto::ServiceConfig {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted: false,
            config: self.version.body.clone(),
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
        }
    }

    /// None for an encrypted one: no key is known here, so it could be neither checked nor used.
    pub(crate) fn from_wire(c: Option<proto::ServiceConfig>) -> Result<Option<Self>, DecodeError> {
        let c = c.ok_or(DecodeError::Missing("service config"))?;
        if c.encrypted {
            return Ok(None);
        }
        let group = c.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let limit = SERVICE_CONFIG_BYTES_MAX;
        let version = Version::from_wire(c.incarnation, c.config, &c.writer, &c.contenders, limit)?;
        Ok(Some(Self { group, version }))
    }
}
