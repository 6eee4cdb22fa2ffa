//! A service that a member runs.

use alloc::vec::Vec;

use crate::config::SysInfo;
use crate::id::{Incarnation, MemberId, ServiceGroup};
use crate::ident::PackageIdent;

/// One member's service in one group (reference A3.4). Only that member raises its incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRumor {
    /// Who runs it.
    pub member_id: MemberId,
    /// In which group.
    pub group: ServiceGroup,
    /// Counts the owner's statements about it.
    pub incarnation: Incarnation,
    /// Whether the process has been started.
    pub initialized: bool,
    /// What runs.
    pub pkg: PackageIdent,
    /// Exported configuration, TOML text.
    pub cfg: Vec<u8>,
    /// Where it runs.
    pub sys: SysInfo,
    /// Counts the group's updates.
    pub pkg_incarnation: u64,
    /// It runs no longer: the owner stopped or unloaded it. Collected after a while.
    pub tombstone: bool,
}
