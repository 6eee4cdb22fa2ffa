//! A file of a service group.

use crate::model::id::{FileName, ServiceGroup};
use crate::model::rumor::Version;

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
}
