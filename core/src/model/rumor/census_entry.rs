//! The entry that a rumor adds to the census and to the pictures that the gateways show.

use crate::model::id::{FileName, MemberId, ServiceGroup};
use crate::model::rumor::{ElectionRumor, ServiceHealth, ServiceRumor, Version};

/// The entry of one rumor. A withdrawn rumor adds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CensusEntry<'a> {
    /// A member runs a service.
    Runs(&'a ServiceRumor),
    /// How a member's service is.
    Fares(&'a ServiceHealth),
    /// Operators gave a group its configuration, or a file.
    Given {
        /// Which group.
        group: &'a ServiceGroup,
        /// Which file; none for the configuration.
        file: Option<&'a FileName>,
        /// The version that they gave.
        version: &'a Version,
        /// Whether the group's members alone can open it.
        is_sealed: bool,
    },
    /// How a group's election ended.
    Leads(&'a ElectionRumor),
    /// A member is banned.
    Banned(&'a MemberId),
    /// Nothing: membership shows it, or it was withdrawn.
    Nothing,
}
