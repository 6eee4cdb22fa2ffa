//! The configuration of a service group.

use crate::model::id::ServiceGroup;
use crate::model::limits::{Limit, SERVICE_CONFIGS_BY_ONE_MAX, SERVICE_CONFIGS_MAX};
use crate::model::rumor::Version;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Bound, Properties, Room};

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
    pub(super) const PROPERTIES: Properties = Properties {
        name: "service_config",
        key: &[Part::Group],
        noun: "configuration",
        news: "has a new configuration",
        is_owned: false,
        is_versioned: true,
        is_fact: false,
        room: Room {
            in_ring: Some(Bound {
                max: SERVICE_CONFIGS_MAX,
                by_one: SERVICE_CONFIGS_BY_ONE_MAX,
                strangers: SERVICE_CONFIGS_BY_ONE_MAX,
                limit: Limit::GroupConfigs,
            }),
            in_group: None,
            is_own: false,
        },
    };

    /// What came sealed has a key of its own, so that a plain version takes the place of none.
    pub(super) const SEALED: Properties = Properties {
        name: "sealed_config",
        noun: "sealed configuration",
        news: "has a new sealed configuration",
        ..Self::PROPERTIES
    };

    /// Joins two configurations of one group; see [`Version`].
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.group, other.group, "different rumors cannot be joined");
        self.version.merge(&other.version)
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Operator(&self.version)
    }

    pub(super) const fn census_entry(&self, is_sealed: bool) -> CensusEntry<'_> {
        CensusEntry::Given { group: &self.group, file: None, version: &self.version, is_sealed }
    }
}
