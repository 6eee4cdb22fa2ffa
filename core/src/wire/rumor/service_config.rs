//! A group's configuration as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use super::opaque;
use super::version::ContenderMessage;
use crate::model::error::DecodeError;
use crate::model::limits::SERVICE_CONFIG_BYTES_MAX;
use crate::model::rumor::{Opaque, ServiceConfig, Version};

/// `ServiceConfig`, with its writer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceConfigMessage {
    #[prost(string, tag = "1")]
    service_group: String,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
    #[prost(bool, tag = "3")]
    encrypted: bool,
    #[prost(bytes = "vec", tag = "4")]
    config: Vec<u8>,
    #[prost(bytes = "vec", tag = "100")]
    writer: Vec<u8>,
    #[prost(message, repeated, tag = "101")]
    contenders: Vec<ContenderMessage>,
}

impl ServiceConfigMessage {
    /// What it is about is not sealed, even where its content is.
    pub(super) fn sealed(&self, kind: u32, bytes: &[u8]) -> Option<Result<Opaque, DecodeError>> {
        self.encrypted.then(|| opaque::sealed(kind, &self.service_group, "", self.incarnation, bytes))
    }
}

impl ServiceConfig {
    pub(super) fn to_wire(&self) -> ServiceConfigMessage {
        ServiceConfigMessage {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted: false,
            config: self.version.body.clone(),
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
        }
    }

    pub(super) fn from_wire(c: Option<ServiceConfigMessage>) -> Result<Self, DecodeError> {
        let c = c.ok_or(DecodeError::Missing("service config"))?;
        let group = c.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let limit = SERVICE_CONFIG_BYTES_MAX;
        let version = Version::from_wire(c.incarnation, c.config, &c.writer, &c.contenders, limit)?;
        Ok(Self { group, version })
    }
}
