//! A group's configuration as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use super::version::{self, ContenderMessage};
use crate::model::error::DecodeError;
use crate::model::limits::{SEALED_BYTES_MAX, SERVICE_CONFIG_BYTES_MAX};
use crate::model::rumor::{ServiceConfig, Version};

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
    /// Of a sealed one: the user's signature.
    #[prost(bytes = "vec", tag = "102")]
    signature: Vec<u8>,
}

impl ServiceConfigMessage {
    /// Whether its content is sealed; what it is about never is.
    pub(super) const fn is_sealed(&self) -> bool {
        self.encrypted
    }
}

impl ServiceConfig {
    pub(super) fn to_wire(&self, encrypted: bool) -> ServiceConfigMessage {
        let (config, signature) = version::body_to_wire(&self.version, encrypted);
        ServiceConfigMessage {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted,
            config,
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
            signature,
        }
    }

    pub(super) fn from_wire(c: Option<ServiceConfigMessage>) -> Result<Self, DecodeError> {
        let c = c.ok_or(DecodeError::Missing("service config"))?;
        let group = c.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let (limit, body) = match c.encrypted {
            true => (SEALED_BYTES_MAX, version::sealed_from_wire(&c.config, &c.signature)?),
            false => (SERVICE_CONFIG_BYTES_MAX, c.config),
        };
        let version = Version::from_wire(c.incarnation, body, &c.writer, &c.contenders, limit)?;
        Ok(Self { group, version })
    }
}
