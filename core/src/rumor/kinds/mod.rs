//! All rumor kinds, and every match over them. A new kind is a file beside this one and an arm in each match here.

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
use prost::Message as _;

use crate::digest;
use crate::error::DecodeError;
use crate::id::{FileName, MemberId, ServiceGroup};
use crate::limits::RUMOR_BYTES_MAX;
use crate::wire::{id_to_wire, proto};

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

    /// The rumor as bytes: the row's value in the durable state, and what equal rumors have in common.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Reads [`Self::encode`] back.
    ///
    /// # Errors
    /// Not a rumor, or one beyond the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RUMOR_BYTES_MAX + 64 {
            return Err(DecodeError::TooLong { bytes: bytes.len(), limit: RUMOR_BYTES_MAX });
        }
        let rumor = proto::Rumor::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
        Self::from_wire(rumor)?.ok_or(DecodeError::Invalid("rumor type"))
    }

    pub(crate) fn to_wire(&self) -> proto::Rumor {
        let mut rumor = proto::Rumor::default();
        match self {
            Self::Member(m) => {
                rumor.kind = proto::rumor_kind::MEMBER;
                rumor.member = Some(m.to_wire());
            }
            Self::Service(s) => {
                rumor.kind = proto::rumor_kind::SERVICE;
                rumor.from_id = id_to_wire(&s.member_id);
                rumor.service = Some(s.to_wire());
            }
            Self::Departure(d) => {
                rumor.kind = proto::rumor_kind::DEPARTURE;
                rumor.departure = Some(d.to_wire());
            }
            Self::ServiceHealth(h) => {
                rumor.kind = proto::rumor_kind::SERVICE_HEALTH;
                rumor.from_id = id_to_wire(&h.member_id);
                rumor.service_health = Some(h.to_wire());
            }
            Self::ServiceConfig(c) => {
                rumor.kind = proto::rumor_kind::SERVICE_CONFIG;
                rumor.from_id = c.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_config = Some(c.to_wire());
            }
            Self::ServiceFile(f) => {
                rumor.kind = proto::rumor_kind::SERVICE_FILE;
                rumor.from_id = f.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_file = Some(f.to_wire());
            }
            Self::Election(e) => {
                rumor.kind = proto::rumor_kind::ELECTION;
                rumor.from_id = id_to_wire(&e.leader);
                rumor.election = Some(e.to_wire());
            }
        }
        rumor
    }

    /// None for what this version does not know or cannot use: others may tell of it.
    pub(crate) fn from_wire(rumor: proto::Rumor) -> Result<Option<Self>, DecodeError> {
        let known = match rumor.kind {
            proto::rumor_kind::MEMBER => Self::Member(MemberRumor::from_wire(rumor.member.as_ref())?),
            proto::rumor_kind::SERVICE => Self::Service(ServiceRumor::from_wire(rumor.service)?),
            proto::rumor_kind::DEPARTURE => Self::Departure(Departure::from_wire(rumor.departure.as_ref())?),
            proto::rumor_kind::SERVICE_HEALTH => {
                Self::ServiceHealth(ServiceHealth::from_wire(rumor.service_health.as_ref())?)
            }
            proto::rumor_kind::SERVICE_CONFIG => match ServiceConfig::from_wire(rumor.service_config)? {
                Some(config) => Self::ServiceConfig(config),
                None => return Ok(None),
            },
            proto::rumor_kind::SERVICE_FILE => match ServiceFile::from_wire(rumor.service_file)? {
                Some(file) => Self::ServiceFile(file),
                None => return Ok(None),
            },
            proto::rumor_kind::ELECTION => {
                Self::Election(ElectionRumor::from_wire(&rumor.from_id, rumor.election.as_ref())?)
            }
            _ => return Ok(None),
        };
        Ok(Some(known))
    }
}
