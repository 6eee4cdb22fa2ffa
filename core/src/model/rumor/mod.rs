//! All rumor kinds: the content of each and how two statements of it join.
//!
//! A kind's file states all rules of it. This file holds the matches over the kinds and no rule of any of
//! them. A new kind is a file here and an arm in each match of this file, and the same in `wire::rumor`, which encodes
//! it; other modules may only ask for properties, and name a kind only where they serve that kind alone.

mod authority;
mod census_entry;
mod departure;
mod election;
mod key;
mod member;
mod member_keys;
mod member_statement;
mod opaque;
mod properties;
mod ring_key;
mod sealed;
mod service;
mod service_config;
mod service_file;
mod service_health;
#[cfg(test)]
pub(crate) mod tests;
mod told;
mod version;

pub use authority::Authority;
pub use census_entry::CensusEntry;
pub use departure::Departure;
pub use election::ElectionRumor;
pub use key::KeyParts;
pub use member::MemberRumor;
pub use member_keys::{MemberKeys, OpenKey};
pub use member_statement::MemberStatement;
pub use opaque::Opaque;
pub use ring_key::RingKey;
pub use sealed::Sealed;
pub use service::ServiceRumor;
pub use service_config::ServiceConfig;
pub use service_file::ServiceFile;
pub use service_health::ServiceHealth;
pub use told::Told;
pub(crate) use version::Proof;
pub use version::{Contender, Version};

pub(crate) use key::Part;
use properties::Properties;
pub(crate) use properties::{Bound, Room};

use crate::model::election::ElectionId;
use crate::model::id::{FileName, Incarnation, MemberId, ServiceGroup};
use crate::model::ring_key::RingKeyId;

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
    /// Who won an election of a group.
    Election,
    /// A group's configuration that its members alone can open.
    SealedConfig,
    /// A group's file that its members alone can open.
    SealedFile,
    /// A key of the ring.
    RingKey,
    /// The ring keys that a member can open.
    MemberKeys,
    /// What a member says of itself.
    Statement,
    /// What only a later version understands.
    Opaque,
}

impl RumorKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Member,
        Self::Service,
        Self::Departure,
        Self::ServiceHealth,
        Self::ServiceConfig,
        Self::ServiceFile,
        Self::Election,
        Self::SealedConfig,
        Self::SealedFile,
        Self::RingKey,
        Self::MemberKeys,
        Self::Statement,
        Self::Opaque,
    ];

    /// The word for it, as in metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.properties().name
    }

    /// Whether operators replace such a rumor as a whole, version by version.
    #[must_use]
    pub const fn is_versioned(self) -> bool {
        self.properties().is_versioned
    }

    /// Whether a service finds such a rumor among the facts of its groups.
    pub(crate) const fn is_fact(self) -> bool {
        self.properties().is_fact
    }

    /// How many such rumors there may be.
    pub(crate) const fn room(self) -> &'static Room {
        &self.properties().room
    }

    const fn properties(self) -> &'static Properties {
        match self {
            Self::Member => &MemberRumor::PROPERTIES,
            Self::Service => &ServiceRumor::PROPERTIES,
            Self::Departure => &Departure::PROPERTIES,
            Self::ServiceHealth => &ServiceHealth::PROPERTIES,
            Self::ServiceConfig => &ServiceConfig::PROPERTIES,
            Self::ServiceFile => &ServiceFile::PROPERTIES,
            Self::Election => &ElectionRumor::PROPERTIES,
            Self::SealedConfig => &ServiceConfig::SEALED,
            Self::SealedFile => &ServiceFile::SEALED,
            Self::RingKey => &RingKey::PROPERTIES,
            Self::MemberKeys => &MemberKeys::PROPERTIES,
            Self::Statement => &MemberStatement::PROPERTIES,
            Self::Opaque => &Opaque::PROPERTIES,
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
        /// The member that runs it.
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
    /// The winner of this election.
    Election(ElectionId),
    /// This group's sealed configuration. It stands beside the plain one, which displaces it never.
    SealedConfig(ServiceGroup),
    /// This sealed file of this group.
    SealedFile {
        /// The group.
        group: ServiceGroup,
        /// The file's name.
        name: FileName,
    },
    /// This key of the ring.
    RingKey(RingKeyId),
    /// The ring keys that this member can open.
    MemberKeys(MemberId),
    /// What this member says of itself.
    Statement(MemberId),
    /// What this version does not understand. The last in order, so that the greatest of them are found.
    Opaque {
        /// A hash of what it is about.
        subject: u64,
        /// The number of its kind.
        number: u32,
    },
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
            Self::SealedConfig(_) => RumorKind::SealedConfig,
            Self::SealedFile { .. } => RumorKind::SealedFile,
            Self::RingKey(_) => RumorKind::RingKey,
            Self::MemberKeys(_) => RumorKind::MemberKeys,
            Self::Statement(_) => RumorKind::Statement,
            Self::Opaque { .. } => RumorKind::Opaque,
        }
    }

    /// What the key consists of.
    #[must_use]
    pub const fn parts(&self) -> KeyParts<'_> {
        let (group, member, file) = match self {
            Self::Member(member)
            | Self::Departure(member)
            | Self::MemberKeys(member)
            | Self::Statement(member) => (None, Some(member), None),
            Self::Service { group, member } | Self::ServiceHealth { group, member } => {
                (Some(group), Some(member), None)
            }
            Self::ServiceConfig(group) | Self::SealedConfig(group) => (Some(group), None, None),
            Self::ServiceFile { group, name } | Self::SealedFile { group, name } => {
                (Some(group), None, Some(name))
            }
            Self::Election(ElectionId { group, purpose }) => {
                return KeyParts { group: Some(group), purpose: Some(*purpose), ..KeyParts::NONE };
            }
            Self::RingKey(key) => return KeyParts { ring_key: Some(*key), ..KeyParts::NONE },
            Self::Opaque { subject, number } => {
                return KeyParts { unknown: Some((*subject, *number)), ..KeyParts::NONE };
            }
        };
        KeyParts { group, member, file, ..KeyParts::NONE }
    }

    /// The key of this kind that consists of these parts; none when it takes others.
    #[must_use]
    pub fn from_parts(kind: RumorKind, parts: KeyParts<'_>) -> Option<Self> {
        let (group, member) = (parts.group.cloned(), parts.member.copied());
        let key = match kind {
            RumorKind::Member => Self::Member(member?),
            RumorKind::Service => Self::Service { group: group?, member: member? },
            RumorKind::Departure => Self::Departure(member?),
            RumorKind::ServiceHealth => Self::ServiceHealth { group: group?, member: member? },
            RumorKind::ServiceConfig => Self::ServiceConfig(group?),
            RumorKind::ServiceFile => Self::ServiceFile { group: group?, name: parts.file?.clone() },
            RumorKind::Election => Self::Election(ElectionId { group: group?, purpose: parts.purpose? }),
            RumorKind::SealedConfig => Self::SealedConfig(group?),
            RumorKind::SealedFile => Self::SealedFile { group: group?, name: parts.file?.clone() },
            RumorKind::RingKey => Self::RingKey(parts.ring_key?),
            RumorKind::MemberKeys => Self::MemberKeys(member?),
            RumorKind::Statement => Self::Statement(member?),
            RumorKind::Opaque => {
                let (subject, number) = parts.unknown?;
                Self::Opaque { subject, number }
            }
        };
        (key.parts() == parts).then_some(key)
    }

    /// The key of a group's file, or of its configuration.
    #[must_use]
    pub fn given(group: ServiceGroup, file: Option<FileName>) -> Self {
        match file {
            Some(name) => Self::ServiceFile { group, name },
            None => Self::ServiceConfig(group),
        }
    }

    /// The key of a group's sealed file, or of its sealed configuration.
    #[must_use]
    pub fn sealed(group: ServiceGroup, file: Option<FileName>) -> Self {
        match file {
            Some(name) => Self::SealedFile { group, name },
            None => Self::SealedConfig(group),
        }
    }
}

/// A statement that the ring knows.
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
    /// Who won an election of a group.
    Election(ElectionRumor),
    /// A group's configuration that its members alone can open: the body is a [`Sealed`].
    SealedConfig(ServiceConfig),
    /// A group's file that its members alone can open: the body is a [`Sealed`].
    SealedFile(ServiceFile),
    /// A key of the ring.
    RingKey(RingKey),
    /// The ring keys that a member can open.
    MemberKeys(MemberKeys),
    /// What a member says of itself.
    Statement(MemberStatement),
    /// What this version does not understand.
    Opaque(Opaque),
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
            Self::Election(e) => RumorKey::Election(e.election.clone()),
            Self::SealedConfig(c) => RumorKey::SealedConfig(c.group.clone()),
            Self::SealedFile(f) => RumorKey::SealedFile { group: f.group.clone(), name: f.name.clone() },
            Self::RingKey(k) => RumorKey::RingKey(k.key),
            Self::MemberKeys(k) => RumorKey::MemberKeys(k.member_id),
            Self::Statement(s) => RumorKey::Statement(s.member_id),
            Self::Opaque(o) => RumorKey::Opaque { subject: o.subject(), number: o.number() },
        }
    }

    /// Joins two rumors with the same key; true when this one changed.
    ///
    /// Of every kind this is commutative, associative and idempotent: members that hear the same rumors, in any order
    /// and any number of times, end up with the same state.
    pub fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(a), Self::Member(b)) => a.merge(b),
            (Self::Service(a), Self::Service(b)) => a.merge(b),
            (Self::Departure(a), Self::Departure(b)) => a.merge(b),
            (Self::ServiceHealth(a), Self::ServiceHealth(b)) => a.merge(b),
            (Self::ServiceConfig(a), Self::ServiceConfig(b))
            | (Self::SealedConfig(a), Self::SealedConfig(b)) => a.merge(b),
            (Self::ServiceFile(a), Self::ServiceFile(b)) | (Self::SealedFile(a), Self::SealedFile(b)) => {
                a.merge(b)
            }
            (Self::Election(a), Self::Election(b)) => a.merge(b),
            (Self::RingKey(a), Self::RingKey(b)) => a.merge(b),
            (Self::MemberKeys(a), Self::MemberKeys(b)) => a.merge(b),
            (Self::Statement(a), Self::Statement(b)) => a.merge(b),
            (Self::Opaque(a), Self::Opaque(b)) => a.merge(b),
            (a, b) => panic!("rumors of kinds {:?} and {:?} have no join", a.key().kind(), b.key().kind()),
        }
    }

    /// Whether it is a tombstone, which can be forgotten after a while.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        match self {
            Self::Service(s) => s.tombstone,
            Self::ServiceHealth(h) => h.tombstone,
            // Members that left are forgotten after a while.
            Self::Statement(s) => s.leaves,
            Self::Opaque(o) => o.is_withdrawn(),
            // The ring must know that a group has no leader until it has one again.
            Self::Member(_)
            | Self::Departure(_)
            | Self::ServiceConfig(_)
            | Self::ServiceFile(_)
            | Self::SealedConfig(_)
            | Self::SealedFile(_)
            | Self::RingKey(_)
            | Self::MemberKeys(_)
            | Self::Election(_) => false,
        }
    }

    /// On whose word it stands.
    #[must_use]
    pub const fn authority(&self) -> Authority<'_> {
        match self {
            Self::Member(m) => m.authority(),
            Self::Service(s) => s.authority(),
            Self::Departure(d) => d.authority(),
            Self::ServiceHealth(h) => h.authority(),
            Self::ServiceConfig(c) | Self::SealedConfig(c) => c.authority(),
            Self::ServiceFile(f) | Self::SealedFile(f) => f.authority(),
            Self::Election(e) => e.authority(),
            Self::RingKey(k) => k.authority(),
            Self::MemberKeys(k) => k.authority(),
            Self::Statement(s) => s.authority(),
            Self::Opaque(o) => Authority::Unknown(o),
        }
    }

    /// The member whose departure makes it worthless.
    #[must_use]
    pub const fn owner(&self) -> Option<MemberId> {
        match self.authority() {
            Authority::Owner(member) => Some(*member),
            Authority::Unknown(opaque) => opaque.owner(),
            Authority::Members(_)
            | Authority::Operator(_)
            | Authority::Ban(_)
            | Authority::Itself(_)
            | Authority::Voters(_)
            | Authority::Key(_) => None,
        }
    }

    /// The version of what operators replace as a whole; none for the other kinds.
    #[must_use]
    pub const fn version(&self) -> Option<&Version> {
        match self.authority() {
            Authority::Operator(version) => Some(version),
            Authority::Members(_)
            | Authority::Itself(_)
            | Authority::Owner(_)
            | Authority::Ban(_)
            | Authority::Voters(_)
            | Authority::Key(_)
            | Authority::Unknown(_) => None,
        }
    }

    /// The same, to note what was found out about it.
    pub(crate) const fn version_mut(&mut self) -> Option<&mut Version> {
        match self {
            Self::ServiceConfig(c) | Self::SealedConfig(c) => Some(&mut c.version),
            Self::ServiceFile(f) | Self::SealedFile(f) => Some(&mut f.version),
            Self::Member(_)
            | Self::Service(_)
            | Self::Departure(_)
            | Self::ServiceHealth(_)
            | Self::Election(_)
            | Self::RingKey(_)
            | Self::MemberKeys(_)
            | Self::Statement(_)
            | Self::Opaque(_) => None,
        }
    }

    /// Counts what is said under one key: of two numbers the higher one is newer. 0 where nothing is counted.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Service(s) => s.incarnation.0,
            Self::ServiceHealth(h) => h.incarnation.0,
            Self::ServiceConfig(c) | Self::SealedConfig(c) => c.version.number,
            Self::ServiceFile(f) | Self::SealedFile(f) => f.version.number,
            Self::Election(e) => e.term,
            Self::Statement(s) => s.incarnation.0,
            Self::Opaque(o) => o.version(),
            Self::MemberKeys(k) => k.incarnation.0,
            Self::RingKey(k) => k.is_current as u64,
            Self::Departure(d) => d.epoch,
            Self::Member(_) => 0,
        }
    }

    /// Its owner states it anew.
    pub(crate) fn restate(&mut self, incarnation: Incarnation) {
        match self {
            Self::Service(s) => s.incarnation = incarnation,
            Self::ServiceHealth(h) => h.incarnation = incarnation,
            Self::MemberKeys(k) => k.incarnation = incarnation,
            Self::Member(_)
            | Self::Departure(_)
            | Self::ServiceConfig(_)
            | Self::ServiceFile(_)
            | Self::SealedConfig(_)
            | Self::SealedFile(_)
            | Self::Election(_)
            | Self::RingKey(_)
            | Self::Statement(_)
            | Self::Opaque(_) => panic!("a {} has no owner that could state it anew", self.key()),
        }
    }

    /// Its owner takes it back.
    pub(crate) fn retract(&mut self) {
        match self {
            Self::Service(s) => s.retract(),
            Self::ServiceHealth(h) => h.tombstone = true,
            Self::Member(_)
            | Self::Departure(_)
            | Self::ServiceConfig(_)
            | Self::ServiceFile(_)
            | Self::SealedConfig(_)
            | Self::SealedFile(_)
            | Self::Election(_)
            | Self::RingKey(_)
            | Self::MemberKeys(_)
            | Self::Statement(_)
            | Self::Opaque(_) => panic!("a {} has no owner that could take it back", self.key()),
        }
    }

    /// What it adds to the census.
    #[must_use]
    pub const fn census_entry(&self) -> CensusEntry<'_> {
        match self {
            Self::Member(_) | Self::Statement(_) | Self::Opaque(_) => CensusEntry::Nothing,
            Self::Service(s) => s.census_entry(),
            Self::Departure(d) => d.census_entry(),
            Self::ServiceHealth(h) => h.census_entry(),
            Self::ServiceConfig(c) => c.census_entry(false),
            Self::ServiceFile(f) => f.census_entry(false),
            Self::SealedConfig(c) => c.census_entry(true),
            Self::SealedFile(f) => f.census_entry(true),
            Self::Election(e) => e.census_entry(),
            Self::RingKey(k) => k.census_entry(),
            Self::MemberKeys(k) => k.census_entry(),
        }
    }
}
