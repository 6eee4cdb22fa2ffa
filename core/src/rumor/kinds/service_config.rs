//! The configuration of a service group.

use alloc::string::ToString as _;

use super::Version;
use crate::error::DecodeError;
use crate::id::ServiceGroup;
use crate::limits::SERVICE_CONFIG_BYTES_MAX;
use crate::wire::proto;

/// What an operator applied to a service group (as in Habitat): one TOML text, replaced as a whole by a higher version.
///
/// There is no tombstone: the group's members may come later, so only an operator could say that it is no
/// longer wanted, and an empty text under a higher version says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Whose configuration.
    pub group: ServiceGroup,
    /// The TOML text.
    pub version: Version,
}

impl ServiceConfig {
    /// Joins two configurations of one group; see [`Version`].
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.group, other.group, "different rumors cannot be joined");
        self.version.merge(&other.version)
    }

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
