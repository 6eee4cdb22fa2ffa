//! The questions that a service may ask about the ring. The node answers them, so that this feature need not name the
//! features that know.

use alloc::vec::Vec;

use crate::model::census::Census;
use crate::model::facts::{GroupConfig, GroupFile, SealedFacts};
use crate::model::id::{MemberId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::service::Topology;

/// The ring as this member sees it at the moment.
pub(crate) trait Around {
    /// This member.
    fn me(&self) -> MemberId;
    /// Those of these groups that a member serves.
    fn census(&self, groups: &[ServiceGroup]) -> Census;
    /// The configuration that was applied to a group.
    fn config(&self, group: &ServiceGroup) -> Option<GroupConfig>;
    /// The files that were given to a group, in order of name.
    fn files(&self, group: &ServiceGroup) -> Vec<GroupFile>;
    /// What was sealed for a group.
    fn sealed(&self, group: &ServiceGroup) -> SealedFacts;
    /// Whether this member knows of no other that is alive.
    fn is_alone(&self) -> bool;
    /// The groups in which the ring believes a service of this name here, and whether they have a leader.
    fn announced(&self, service: &ServiceName) -> Vec<(ServiceGroup, Topology)>;
    /// The build of a service that is to run, of those that this ident allows; none where none was chosen yet.
    fn build(&self, service: &ServiceName, of: &PackageIdent) -> Option<PackageIdent>;
    /// Whether every member that can be reached knows this member's last word on its service in this group, or the word has
    /// had the time to get there.
    fn is_told(&self, group: &ServiceGroup) -> bool;
}
