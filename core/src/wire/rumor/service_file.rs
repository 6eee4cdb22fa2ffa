//! A group's file as a message.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use prost::Message;

use super::opaque;
use super::version::ContenderMessage;
use crate::model::error::DecodeError;
use crate::model::limits::SERVICE_FILE_BYTES_MAX;
use crate::model::rumor::{Opaque, ServiceFile, Version};

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
}

impl ServiceFileMessage {
    /// What it is about is not sealed, even where its content is.
    pub(super) fn sealed(&self, kind: u32, bytes: &[u8]) -> Option<Result<Opaque, DecodeError>> {
        self.encrypted
            .then(|| opaque::sealed(kind, &self.service_group, &self.filename, self.incarnation, bytes))
    }
}

impl ServiceFile {
    pub(super) fn to_wire(&self) -> ServiceFileMessage {
        ServiceFileMessage {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted: false,
            filename: self.name.to_string(),
            body: self.version.body.clone(),
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
        }
    }

    pub(super) fn from_wire(f: Option<ServiceFileMessage>) -> Result<Self, DecodeError> {
        let f = f.ok_or(DecodeError::Missing("service file"))?;
        let group = f.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let name = f.filename.parse().map_err(|_| DecodeError::Invalid("filename"))?;
        let limit = SERVICE_FILE_BYTES_MAX;
        let version = Version::from_wire(f.incarnation, f.body, &f.writer, &f.contenders, limit)?;
        Ok(Self { group, name, version })
    }
}
