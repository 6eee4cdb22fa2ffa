//! A service that a member runs.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::config::SysInfo;
use crate::model::id::{Incarnation, MemberId, ServiceGroup};
use crate::model::ident::PackageIdent;
use crate::model::mutant::mutated;
use crate::model::rumor::authority::Authority;
use crate::model::rumor::census_entry::CensusEntry;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};
use crate::model::service::{ObstacleKind, SlowHook};

/// One member's service in one group (as in Habitat). Only that member raises its incarnation.
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
    /// Whether it takes new work: it runs, and is neither being drained nor in maintenance. A member that does not say
    /// so takes work as long as its process runs.
    pub accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub maintenance: Option<String>,
    /// The version of the group's configuration that it runs with; 0 for none.
    pub config_incarnation: u64,
    /// In a group with topology leader: the smallest size that its electorate counts as (`--quorum`, otherwise
    /// three); 0 in every other group.
    pub electorate_min: u32,
    /// Tells whether it runs with the same configuration and files of its group as another member; 0 for none.
    pub versions_digest: u64,
    /// What keeps it from taking in what its group was given, by kind; its own supervisor tells the rest. The ring hears of
    /// no texts, which may quote secrets.
    pub held_back: BTreeSet<ObstacleKind>,
    /// A hook of it that takes its time, for those who wait elsewhere.
    pub slow_hook: Option<SlowHook>,
}

impl ServiceRumor {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "service",
        key: &[Part::Group, Part::Member],
        noun: "service",
        news: "tells of its service",
        is_owned: true,
        is_versioned: false,
        is_fact: true,
        room: Room::SHARED,
    };

    /// Joins two statements: the higher incarnation; of equal ones, which only a copied identity can make, a
    /// retraction, then the greater content, so that two nodes cannot disagree for ever (Habitat keeps what came
    /// first).
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(
            self.member_id == other.member_id && self.group == other.group,
            "different rumors cannot be joined"
        );
        let newer = (other.incarnation, other.content()) > (self.incarnation, self.content());
        if newer {
            self.clone_from(other);
        }
        newer
    }

    /// It runs no longer.
    pub(super) fn retract(&mut self) {
        self.tombstone = true;
        self.initialized = false;
        self.accepting = false;
        self.held_back.clear();
        self.slow_hook = None;
    }

    /// What it says, in an order that is total: two statements that differ are never equal here.
    fn content(&self) -> impl Ord + '_ {
        let runs = (
            self.tombstone,
            self.initialized,
            self.accepting,
            mutated!(MaintenanceDecidesNothing, &self.maintenance, &None),
        );
        let with = (self.pkg_incarnation, self.config_incarnation, self.versions_digest, self.electorate_min);
        (runs, with, &self.pkg, &self.cfg, &self.sys, (&self.held_back, self.slow_hook))
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Owner(&self.member_id)
    }

    pub(super) const fn census_entry(&self) -> CensusEntry<'_> {
        if self.tombstone { CensusEntry::Nothing } else { CensusEntry::Runs(self) }
    }
}
