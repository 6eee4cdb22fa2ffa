//! A file of a service group.

use crate::model::id::{FileName, ServiceGroup};
use crate::model::limits::{
    Limit, SERVICE_FILES_BY_ONE_MAX, SERVICE_FILES_MAX, SERVICE_FILES_PER_GROUP_BY_ONE_MAX,
    SERVICE_FILES_PER_GROUP_MAX,
};
use crate::model::rumor::Version;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Bound, Properties, Room};

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
    pub(super) const PROPERTIES: Properties = Properties {
        name: "service_file",
        key: &[Part::Group, Part::File],
        noun: "file",
        news: "has a new file",
        is_owned: false,
        is_versioned: true,
        is_fact: false,
        room: Room {
            in_ring: Some(Bound {
                max: SERVICE_FILES_MAX,
                by_one: SERVICE_FILES_BY_ONE_MAX,
                strangers: SERVICE_FILES_BY_ONE_MAX,
                limit: Limit::GroupFiles,
            }),
            in_group: Some(Bound {
                max: SERVICE_FILES_PER_GROUP_MAX,
                by_one: SERVICE_FILES_PER_GROUP_BY_ONE_MAX,
                strangers: SERVICE_FILES_PER_GROUP_BY_ONE_MAX,
                limit: Limit::FilesOfOneGroup,
            }),
            is_own: false,
        },
    };

    /// As [`ServiceConfig::SEALED`](super::ServiceConfig).
    pub(super) const SEALED: Properties = Properties {
        name: "sealed_file",
        noun: "sealed file",
        news: "has a new sealed file",
        ..Self::PROPERTIES
    };

    /// Joins two versions of one file; see [`Version`].
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(self.group == other.group && self.name == other.name, "different rumors cannot be joined");
        self.version.merge(&other.version)
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Operator(&self.version)
    }

    pub(super) const fn census_entry(&self, is_sealed: bool) -> CensusEntry<'_> {
        CensusEntry::Given { group: &self.group, file: Some(&self.name), version: &self.version, is_sealed }
    }
}
