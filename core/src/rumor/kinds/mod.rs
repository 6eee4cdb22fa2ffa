//! All rumor kinds, and every match over them. A new kind is a file beside this one and an arm in each match here.

mod departure;
mod service;

pub use departure::Departure;
pub use service::ServiceRumor;

use crate::id::{MemberId, ServiceGroup};
use crate::membership::MemberRecord;

/// The kinds of rumor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RumorKind {
    /// A member's record. Kept by `membership`, spread like every other rumor.
    Member,
    /// A service that a member runs.
    Service,
    /// A ban.
    Departure,
}

impl RumorKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Member, Self::Service, Self::Departure];

    /// The word for it, as in metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Service => "service",
            Self::Departure => "departure",
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
}

impl RumorKey {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> RumorKind {
        match self {
            Self::Member(_) => RumorKind::Member,
            Self::Service { .. } => RumorKind::Service,
            Self::Departure(_) => RumorKind::Departure,
        }
    }
}

/// Something that the ring knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rumor {
    /// A member's record.
    Member(MemberRecord),
    /// A service that a member runs.
    Service(ServiceRumor),
    /// A ban.
    Departure(Departure),
}

impl Rumor {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> RumorKey {
        match self {
            Self::Member(m) => RumorKey::Member(m.id),
            Self::Service(s) => RumorKey::Service { group: s.group.clone(), member: s.member_id },
            Self::Departure(d) => RumorKey::Departure(d.member_id),
        }
    }
}
