//! Rows: the form in which records go to the disk. How a record is encoded stands in `store`.

use alloc::vec::Vec;

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
    /// One row per group configuration and group file: the versions that this member has had.
    History,
    /// One row per election that this member has voted in.
    Election,
    /// One row per service that was started: the build that runs, and what is known of others.
    Build,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::Member,
        Self::Rumor,
        Self::Service,
        Self::History,
        Self::Election,
        Self::Build,
    ];

    /// A stable name, for databases and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Member => "member",
            Self::Rumor => "rumor",
            Self::Service => "service",
            Self::History => "history",
            Self::Election => "election",
            Self::Build => "build",
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
