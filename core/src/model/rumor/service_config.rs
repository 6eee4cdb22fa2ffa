//! The configuration of a service group.

use crate::model::id::ServiceGroup;
use crate::model::rumor::Version;

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
}
