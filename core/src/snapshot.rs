//! What must survive a restart: typed records, and their encoding as rows of a few tables.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use prost::Message as _;

use crate::election::vote::{self, Vote};
use crate::error::{DecodeError, SnapshotError};
use crate::history::{self, History, HistoryEntry};
use crate::id::{Incarnation, MemberId, ServiceGroup, ServiceName};
use crate::ident::PackageIdent;
use crate::membership::MemberRecord;
use crate::rumor::{MemberRumor, Rumor, RumorKey};
use crate::service::{ServiceSpec, record};
use crate::time::UnixTime;
use crate::wire::{id_from_wire, id_to_wire, proto};

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
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::Member, Self::Rumor, Self::Service, Self::History, Self::Election];

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

impl Write {
    /// For a row of [`Table::Service`]: the service that it is about, and its spec unless it is deleted. A runtime
    /// that keeps specs as files for people reads them from here. None for rows of other tables.
    ///
    /// # Errors
    /// The row is not one that the core writes.
    pub fn service(&self) -> Option<Result<(ServiceName, Option<ServiceSpec>), DecodeError>> {
        (self.table == Table::Service).then(|| {
            let name = core::str::from_utf8(&self.key).ok().and_then(|key| key.parse().ok());
            let name = name.ok_or(DecodeError::Invalid("key"))?;
            let spec = self.value.as_deref().map(|value| record::decode(&self.key, value)).transpose()?;
            Ok((name, spec))
        })
    }

    /// The row that stores this spec; what [`Write::service`] reads back.
    #[must_use]
    pub fn of_service(spec: &ServiceSpec) -> Self {
        record::store(spec)
    }

    /// The row that deletes this service's spec.
    #[must_use]
    pub fn no_service(service: &ServiceName) -> Self {
        record::delete(service)
    }
}

/// What a node starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Who this member is.
    pub member_id: MemberId,
    /// The incarnation it last used. It starts with a higher one.
    pub incarnation: Incarnation,
    /// Other members, as they were last known.
    pub members: Vec<MemberRecord>,
    /// Rumors of every kind but `member`.
    pub rumors: Vec<Rumor>,
    /// Loaded services.
    pub services: Vec<ServiceSpec>,
    /// Which versions of group configuration and files this member has had, oldest first.
    pub history: Vec<(RumorKey, Vec<HistoryEntry>)>,
    /// Service processes that outlived the last supervisor. No table: the runtime fills it in from whoever kept
    /// them.
    pub running: Vec<RunningService>,
    /// What this member has voted in elections.
    pub votes: Vec<(ServiceGroup, Vote)>,
}

/// A service's process that outlived its supervisor.
///
/// The node adopts it when it is what the spec would start, and stops it otherwise, also when there is no spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningService {
    /// Which service.
    pub service: ServiceName,
    /// Its process, whose identity the runtime has checked.
    pub pid: u32,
    /// The fully qualified package that it was started from.
    pub ident: PackageIdent,
    /// When it was started.
    pub since: UnixTime,
}

const IDENTITY_KEY: &[u8] = b"self";

impl Snapshot {
    /// A member that has never run: no incarnation was used.
    #[must_use]
    pub const fn new(member_id: MemberId) -> Self {
        Self {
            member_id,
            incarnation: Incarnation(0),
            members: Vec::new(),
            rumors: Vec::new(),
            services: Vec::new(),
            running: Vec::new(),
            history: Vec::new(),
            votes: Vec::new(),
        }
    }

    /// Reads rows back; none when there are none, that is on a new disk.
    ///
    /// # Errors
    /// A damaged row, or records without an identity: half a database is not started from.
    pub fn decode<'a>(
        rows: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Option<Self>, SnapshotError> {
        let mut identity = None;
        let mut rest = Self::new(MemberId::from_bytes([0; 16]));
        let mut any = false;
        for (table, key, value) in rows {
            any = true;
            let read = match table {
                Table::Identity => decode_identity(value).map(|found| identity = Some(found)),
                Table::Member => decode_member(value).map(|m| rest.members.push(m)),
                Table::Rumor => Rumor::decode(value).map(|r| rest.rumors.push(r)),
                Table::Service => record::decode(key, value).map(|s| rest.services.push(s)),
                Table::History => history::decode(value).map(|h| rest.history.push(h)),
                Table::Election => vote::decode(key, value).map(|v| rest.votes.push(v)),
            };
            read.map_err(|error| SnapshotError::Record { table: table.name(), key: printable(key), error })?;
        }
        match identity {
            Some((member_id, incarnation)) => Ok(Some(Self { member_id, incarnation, ..rest })),
            None if any => Err(SnapshotError::NoIdentity),
            None => Ok(None),
        }
    }
}

fn decode_identity(value: &[u8]) -> Result<(MemberId, Incarnation), DecodeError> {
    let identity = proto::Identity::decode(value).map_err(|_| DecodeError::Protobuf)?;
    Ok((id_from_wire(&identity.id, "member id")?, Incarnation(identity.incarnation)))
}

fn decode_member(value: &[u8]) -> Result<MemberRecord, DecodeError> {
    let member = proto::Membership::decode(value).map_err(|_| DecodeError::Protobuf)?;
    Ok(MemberRumor::from_wire(Some(&member))?.record)
}

/// Keys are names or ids; either way they are shown without control characters.
fn printable(key: &[u8]) -> String {
    let mut text = String::new();
    for byte in key {
        if byte.is_ascii_graphic() {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The row that holds who this member is and the highest incarnation it may have used.
pub(crate) fn identity_row(id: &MemberId, incarnation: Incarnation) -> Write {
    let identity = proto::Identity { id: id_to_wire(id), incarnation: incarnation.0 };
    Write { table: Table::Identity, key: IDENTITY_KEY.to_vec(), value: Some(identity.encode_to_vec()) }
}

/// The row of one rumor.
pub(crate) fn rumor_row(rumor: &Rumor) -> Write {
    Write { table: Table::Rumor, key: rumor.key().encode(), value: Some(rumor.encode()) }
}

/// The row of the versions that this member has had of one configuration or file.
pub(crate) fn history_row(key: &RumorKey, history: &History) -> Write {
    Write { table: Table::History, key: key.encode(), value: history.encode(key) }
}
