//! What must survive a restart: typed records, and their encoding as rows of four tables.

use alloc::vec::Vec;

use crate::error::SnapshotError;
use crate::id::{Incarnation, MemberId};
use crate::membership::MemberRecord;
use crate::rumor::Rumor;
use crate::service::ServiceSpec;

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row: member id and incarnation.
    Identity,
    /// One row per known member.
    Member,
    /// One row per rumor of every other kind.
    Rumor,
    /// One row per loaded service.
    Service,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Member, Self::Rumor, Self::Service];

    /// A stable name, for databases and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Member => "member",
            Self::Rumor => "rumor",
            Self::Service => "service",
        }
    }
}

/// One row to store or to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// The row's value; none deletes the row.
    pub value: Option<Vec<u8>>,
}

/// What a node starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Who this member is.
    pub member_id: MemberId,
    /// The incarnation it last used. It starts with a higher one.
    pub incarnation: Incarnation,
    /// Whether an operator banned it.
    pub members: Vec<MemberRecord>,
    /// Rumors of every kind but `member`.
    pub rumors: Vec<Rumor>,
    /// Loaded services.
    pub services: Vec<ServiceSpec>,
}
