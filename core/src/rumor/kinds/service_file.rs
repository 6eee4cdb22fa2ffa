//! A file of a service group.

use alloc::string::ToString as _;

use super::Version;
use crate::error::DecodeError;
use crate::id::{FileName, ServiceGroup};
use crate::limits::SERVICE_FILE_BYTES_MAX;
use crate::wire::proto;

/// A file that an operator uploaded to a service group (as in Habitat, which also takes names that lead elsewhere).
///
/// There is no tombstone, for the reason that [`super::ServiceConfig`] gives: an empty file takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFile {
    /// Whose file.
    pub group: ServiceGroup,
    /// Its name in the service's directory of files.
    pub name: FileName,
    /// Its content.
    pub version: Version,
}

impl ServiceFile {
    /// Joins two versions of one file; see [`Version`].
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.group == other.group && self.name == other.name, "different rumors cannot be joined");
        self.version.merge(&other.version)
    }

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
