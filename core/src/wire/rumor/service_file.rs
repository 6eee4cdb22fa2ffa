//! A group's file as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use super::version::{self, ContenderMessage};
use crate::model::error::DecodeError;
use crate::model::limits::{SEALED_BYTES_MAX, SERVICE_FILE_BYTES_MAX};
use crate::model::rumor::{ServiceFile, Version};

/// `ServiceFile`, with its writer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceFileMessage {
    #[prost(string, tag = "1")]
    service_group: String,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
    #[prost(bool, tag = "3")]
    encrypted: bool,
    #[prost(string, tag = "4")]
    filename: String,
    #[prost(bytes = "vec", tag = "5")]
    body: Vec<u8>,
    #[prost(bytes = "vec", tag = "100")]
    writer: Vec<u8>,
    #[prost(message, repeated, tag = "101")]
    contenders: Vec<ContenderMessage>,
    /// Of a sealed one: the user's signature.
    #[prost(bytes = "vec", tag = "102")]
    signature: Vec<u8>,
}

impl ServiceFileMessage {
    /// Whether its content is sealed; what it is about never is.
    pub(super) const fn is_sealed(&self) -> bool {
        self.encrypted
    }
}

impl ServiceFile {
    pub(super) fn to_wire(&self, encrypted: bool) -> ServiceFileMessage {
        let (body, signature) = version::body_to_wire(&self.version, encrypted);
        ServiceFileMessage {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted,
            filename: self.name.to_string(),
            body,
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
            signature,
        }
    }

    pub(super) fn from_wire(f: Option<ServiceFileMessage>) -> Result<Self, DecodeError> {
        let f = f.ok_or(DecodeError::Missing("service file"))?;
        let group = f.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let name = f.filename.parse().map_err(|_| DecodeError::Invalid("filename"))?;
        let (limit, body) = match f.encrypted {
            true => (SEALED_BYTES_MAX, version::sealed_from_wire(&f.body, &f.signature)?),
            false => (SERVICE_FILE_BYTES_MAX, f.body),
        };
        let version = Version::from_wire(f.incarnation, body, &f.writer, &f.contenders, limit)?;
        Ok(Self { group, name, version })
    }
}
