//! All rumor kinds: what each says and how two statements of it join.
//!
//! A new kind is a file here and an arm in each match of this module, and the same in `wire::rumor`, which encodes it.

mod departure;
mod election;
mod member;
mod service;
mod service_config;
mod service_file;
mod service_health;
#[cfg(test)]
pub(crate) mod tests;
mod version;

pub use departure::Departure;
pub use election::ElectionRumor;
pub use member::MemberRumor;
pub use service::ServiceRumor;
pub use service_config::ServiceConfig;
pub use service_file::ServiceFile;
pub use service_health::ServiceHealth;
pub use version::{Contender, Version};

use alloc::vec::Vec;

use crate::model::digest;
use crate::model::id::{FileName, MemberId, ServiceGroup};

/// The kinds of rumor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RumorKind {
    /// A member's record. Kept by `membership`, spread like every other rumor.
    Member,
    /// A service that a member runs.
    Service,
    /// A ban.
    Departure,
    /// How a member's service is.
    ServiceHealth,
    /// A group's configuration.
    ServiceConfig,
    /// A group's file.
    ServiceFile,
    /// Who leads a group.
    Election,
}

impl RumorKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Member,
        Self::Service,
        Self::Departure,
        Self::ServiceHealth,
        Self::ServiceConfig,
        Self::ServiceFile,
        Self::Election,
    ];

    /// The word for it, as in metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Service => "service",
            Self::Departure => "departure",
            Self::ServiceHealth => "service_health",
            Self::ServiceConfig => "service_config",
            Self::ServiceFile => "service_file",
            Self::Election => "election",
        }
    }
}

/// Identifies what a rumor is about: of two rumors with the same key, one replaces the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RumorKey {
    /// This member's record.
    Member(MemberId),
    /// This member's service in this group.
    Service {
        /// The group.
        group: ServiceGroup,
        /// Who runs it.
        member: MemberId,
    },
    /// The ban of this member.
    Departure(MemberId),
    /// How this member's service in this group is.
    ServiceHealth {
        /// The group.
        group: ServiceGroup,
        /// Who runs it.
        member: MemberId,
    },
    /// This group's configuration.
    ServiceConfig(ServiceGroup),
    /// This file of this group.
    ServiceFile {
        /// The group.
        group: ServiceGroup,
        /// The file's name.
        name: FileName,
    },
    /// Who leads this group.
    Election(ServiceGroup),
}

impl RumorKey {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> RumorKind {
        match self {
            Self::Member(_) => RumorKind::Member,
            Self::Service { .. } => RumorKind::Service,
            Self::Departure(_) => RumorKind::Departure,
            Self::ServiceHealth { .. } => RumorKind::ServiceHealth,
            Self::ServiceConfig(_) => RumorKind::ServiceConfig,
            Self::ServiceFile { .. } => RumorKind::ServiceFile,
            Self::Election(_) => RumorKind::Election,
        }
    }

    /// The service group that it says something about, where it does.
    #[must_use]
    pub const fn group(&self) -> Option<&ServiceGroup> {
        match self {
            Self::Service { group, .. }
            | Self::ServiceHealth { group, .. }
            | Self::ServiceConfig(group)
            | Self::ServiceFile { group, .. }
            | Self::Election(group) => Some(group),
            Self::Member(_) | Self::Departure(_) => None,
        }
    }

    /// The key as bytes, for the durable state; distinct for distinct keys.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(self.kind().name().as_bytes());
        bytes.push(0);
        match self {
            Self::Member(id) | Self::Departure(id) => bytes.extend_from_slice(id.as_bytes()),
            Self::Service { group, member } | Self::ServiceHealth { group, member } => {
                bytes.extend_from_slice(group.as_str().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(member.as_bytes());
            }
            Self::ServiceConfig(group) => bytes.extend_from_slice(group.as_str().as_bytes()),
            Self::ServiceFile { group, name } => {
                bytes.extend_from_slice(group.as_str().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(name.as_str().as_bytes());
            }
            Self::Election(group) => bytes.extend_from_slice(group.as_str().as_bytes()),
        }
        bytes
    }

    pub(crate) fn hash(&self) -> u64 {
        match self {
            Self::Member(id) => digest::hash_member(id),
            Self::Service { .. }
            | Self::Departure(_)
            | Self::ServiceHealth { .. }
            | Self::ServiceConfig(_)
            | Self::ServiceFile { .. }
            | Self::Election(_) => digest::hash_bytes(&self.encode()),
        }
    }
}

/// Something that the ring knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rumor {
    /// A member's record.
    Member(MemberRumor),
    /// A service that a member runs.
    Service(ServiceRumor),
    /// A ban.
    Departure(Departure),
    /// How a member's service is.
    ServiceHealth(ServiceHealth),
    /// A group's configuration.
    ServiceConfig(ServiceConfig),
    /// A group's file.
    ServiceFile(ServiceFile),
    /// Who leads a group.
    Election(ElectionRumor),
}

impl Rumor {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> RumorKey {
        match self {
            Self::Member(m) => RumorKey::Member(m.record.id),
            Self::Service(s) => RumorKey::Service { group: s.group.clone(), member: s.member_id },
            Self::Departure(d) => RumorKey::Departure(d.member_id),
            Self::ServiceHealth(h) => RumorKey::ServiceHealth { group: h.group.clone(), member: h.member_id },
            Self::ServiceConfig(c) => RumorKey::ServiceConfig(c.group.clone()),
            Self::ServiceFile(f) => RumorKey::ServiceFile { group: f.group.clone(), name: f.name.clone() },
            Self::Election(e) => RumorKey::Election(e.group.clone()),
        }
    }

    /// Joins two rumors with the same key; true when this one changed.
    ///
    /// Of every kind this is commutative, associative and idempotent: in whatever order and however often
    /// members hear the same rumors, they end up knowing the same.
    pub fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(a), Self::Member(b)) => a.merge(b),
            (Self::Service(a), Self::Service(b)) => a.merge(b),
            (Self::Departure(a), Self::Departure(b)) => a.merge(b),
            (Self::ServiceHealth(a), Self::ServiceHealth(b)) => a.merge(b),
            (Self::ServiceConfig(a), Self::ServiceConfig(b)) => a.merge(b),
            (Self::ServiceFile(a), Self::ServiceFile(b)) => a.merge(b),
            (Self::Election(a), Self::Election(b)) => a.merge(b),
            (a, b) => panic!("rumors of kinds {:?} and {:?} have no join", a.key().kind(), b.key().kind()),
        }
    }

    /// Whether it says that something is no more, so that it can be forgotten after a while.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        match self {
            Self::Service(s) => s.tombstone,
            Self::ServiceHealth(h) => h.tombstone,
            // That nobody leads is worth telling until somebody does.
            Self::Member(_)
            | Self::Departure(_)
            | Self::ServiceConfig(_)
            | Self::ServiceFile(_)
            | Self::Election(_) => false,
        }
    }

    /// The member whose departure makes it worthless.
    #[must_use]
    pub const fn owner(&self) -> Option<MemberId> {
        match self {
            Self::Service(s) => Some(s.member_id),
            Self::ServiceHealth(h) => Some(h.member_id),
            Self::Member(_)
            | Self::Departure(_)
            | Self::ServiceConfig(_)
            | Self::ServiceFile(_)
            | Self::Election(_) => None,
        }
    }

    /// The version of what operators replace as a whole; none for the other kinds.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        match self {
            Self::ServiceConfig(c) => Some(&c.version),
            Self::ServiceFile(f) => Some(&f.version),
            Self::Member(_)
            | Self::Service(_)
            | Self::Departure(_)
            | Self::ServiceHealth(_)
            | Self::Election(_) => None,
        }
    }
}
