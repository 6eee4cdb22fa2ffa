//! A group's file as a message.

use alloc::string::ToString as _;

use crate::model::error::DecodeError;
use crate::model::limits::SERVICE_FILE_BYTES_MAX;
use crate::model::rumor::{ServiceFile, Version};
use crate::wire::proto;

impl ServiceFile {
    pub(crate) fn to_wire(&self) -> proto::ServiceFile {
        proto::ServiceFile {
            service_group: self.group.to_string(),
            incarnation: self.version.number,
            encrypted: false,
            filename: self.name.to_string(),
            body: self.version.body.clone(),
            writer: self.version.writer_to_wire(),
            contenders: self.version.contenders_to_wire(),
        }
    }

    /// None for an encrypted one: no key is known here.
    pub(crate) fn from_wire(f: Option<proto::ServiceFile>) -> Result<Option<Self>, DecodeError> {
        let f = f.ok_or(DecodeError::Missing("service file"))?;
        if f.encrypted {
            return Ok(None);
        }
        let group = f.service_group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
        let name = f.filename.parse().map_err(|_| DecodeError::Invalid("filename"))?;
        let limit = SERVICE_FILE_BYTES_MAX;
        let version = Version::from_wire(f.incarnation, f.body, &f.writer, &f.contenders, limit)?;
        Ok(Some(Self { group, name, version }))
    }
}
