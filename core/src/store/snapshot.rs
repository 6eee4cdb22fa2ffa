//! The snapshot that a node starts from: typed records, read back from the rows of every table. It is refused as a
//! whole when a row is damaged; half a database must not start a node.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use prost::Message as _;

use crate::model::election::ElectionId;
use crate::model::error::{DecodeError, SnapshotError};
use crate::model::id::{Incarnation, MemberId, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::lease::Resume;
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::row::{Table, Write};
use crate::model::rumor::{MemberRumor, RumorKey, RumorKind, Told};
use crate::model::service::{Health, ServiceSpec};
use crate::model::time::UnixTime;
use crate::store::build::{self, Builds};
use crate::store::history::{self, History, HistoryEntry};
use crate::store::service;
use crate::store::vote::{self, Vote};
use crate::wire::convert::{id_from_wire, id_to_wire, incarnation_from_wire};
use crate::wire::proto;

/// The records that a node starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// This member's id.
    pub member_id: MemberId,
    /// The incarnation it last used. The node starts with a higher one.
    pub incarnation: Incarnation,
    /// Other members, as they were last known.
    pub members: Vec<MemberRecord>,
    /// Rumors of every kind but `member`.
    pub rumors: Vec<Told<'static>>,
    /// Under which keys rumors were stored that an earlier version did not understand and this one does.
    pub outdated: Vec<RumorKey>,
    /// Rows about keys of the ring that cannot be read, each as its removal, and why. The ring tells them again, so that a
    /// member starts without them.
    pub passed_over: Vec<(Write, DecodeError)>,
    /// Loaded services.
    pub services: Vec<ServiceSpec>,
    /// Which versions of group configuration and files this member has had, oldest first.
    pub history: Vec<(RumorKey, Vec<HistoryEntry>)>,
    /// Service processes that outlived the last supervisor. No table: the runtime asks the launcher that kept them.
    pub running: Vec<RunningService>,
    /// The rows of the elections that this member has voted in.
    pub votes: Vec<(ElectionId, Vote)>,
    /// Which builds of services run here.
    pub builds: Vec<Builds>,
}

/// A service's process that outlived its supervisor.
///
/// The node adopts it when the spec would start the same package, and stops it otherwise, also when there is no spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningService {
    /// The service.
    pub service: ServiceName,
    /// Its process, whose identity the runtime has checked.
    pub pid: u32,
    /// The fully qualified package that it was started from.
    pub ident: PackageIdent,
    /// When it was started.
    pub since: UnixTime,
    /// The restarts of its service until then.
    pub restarts: u32,
    /// How long its polite stop may take, in milliseconds, as its package had it; none where the launcher does not know.
    pub shutdown_timeout_ms: Option<u64>,
    /// The right to go on leading its group, as its guard holds it.
    pub resume: Option<Resume>,
    /// What was last found of this very process; none where none of its checks has ended, and where the launcher does not
    /// know.
    pub health: Option<Health>,
}

const IDENTITY_KEY: &[u8] = b"self";

/// Records of another member that a member goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    /// Whose records they were.
    pub(crate) former: MemberId,
    /// What has to change on the disk together with the identity.
    pub(crate) rows: Vec<Write>,
}

impl Snapshot {
    /// A member that has never run: no incarnation was used.
    #[must_use]
    pub const fn new(member_id: MemberId) -> Self {
        Self {
            member_id,
            incarnation: Incarnation(0),
            members: Vec::new(),
            rumors: Vec::new(),
            outdated: Vec::new(),
            passed_over: Vec::new(),
            services: Vec::new(),
            running: Vec::new(),
            history: Vec::new(),
            votes: Vec::new(),
            builds: Vec::new(),
        }
    }

    /// Reads rows back; none when there are none, that is on a new disk.
    ///
    /// # Errors
    /// A damaged row, or records without an identity.
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
                Table::Rumor => rest.read_rumor(key, value),
                Table::Service => service::decode(key, value).map(|s| rest.services.push(s)),
                Table::History => history::decode(key, value).map(|h| rest.history.push(h)),
                Table::Election => vote::decode(key, value).map(|v| rest.votes.push(v)),
                Table::Build => build::decode(key, value).map(|b| rest.builds.push(b)),
            };
            read.map_err(|error| SnapshotError::Record { table: table.name(), key: printable(key), error })?;
        }
        match identity {
            Some((member_id, incarnation)) => Ok(Some(Self { member_id, incarnation, ..rest })),
            None if mutated!(RecordsOfNoMember, any, false) => Err(SnapshotError::NoIdentity),
            None => Ok(None),
        }
    }

    /// The rows of these records, as a node would store them; [`Self::decode`] reads them back. Processes have none.
    ///
    /// # Panics
    /// The member has used no incarnation yet.
    #[must_use]
    pub fn rows(&self) -> Vec<Write> {
        let mut rows = alloc::vec![identity_row(&self.member_id, self.incarnation)];
        rows.extend(self.members.iter().map(|record| member_row(&MemberRumor::new(*record))));
        rows.extend(self.rumors.iter().map(rumor_row));
        rows.extend(self.services.iter().map(service::store));
        let history = History::new(self.history.clone());
        rows.extend(self.history.iter().map(|(key, _)| history_row(key, &history)));
        rows.extend(self.votes.iter().map(|(election, vote)| vote::store(election, vote)));
        rows.extend(self.builds.iter().map(build::store));
        rows
    }

    /// Makes these records those of this member. Of another member's stays what the ring and its operators said; its
    /// votes and what it told of itself go, for it was another voter and another author. None where they were this member's.
    pub(crate) fn take_over(&mut self, me: MemberId) -> Option<Takeover> {
        let former = core::mem::replace(&mut self.member_id, me);
        if former == me {
            return None;
        }
        self.incarnation = Incarnation(0);
        self.members.retain(|member| member.id != me);
        let votes = core::mem::take(&mut self.votes);
        let mut rows: Vec<Write> = votes.iter().map(|(id, vote)| vote::store(id, vote)).collect();
        self.rumors.retain(|told| {
            let is_own = told.rumor().owner() == Some(former);
            if is_own {
                rows.push(rumor_row(told));
            }
            !is_own
        });
        rows.iter_mut().for_each(|row| row.value = None);
        assert!(self.votes.is_empty(), "a member gives no other member's votes");
        assert!(self.member_id == me && former != me, "records are taken over from another member");
        Some(Takeover { former, rows })
    }

    fn read_rumor(&mut self, key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
        let told = match Told::decode(value) {
            Ok(told) => told.into_owned(),
            Err(error) if is_about_keys(key) => {
                self.passed_over.push((Write { table: Table::Rumor, key: key.to_vec(), value: None }, error));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let stored = RumorKey::decode_opaque(key);
        self.outdated
            .extend(stored.filter(|stored| mutated!(OldRowsStay, *stored != told.rumor().key(), false)));
        self.rumors.push(told);
        Ok(())
    }
}

/// Whether a row's key is one of what the ring says of its keys.
fn is_about_keys(key: &[u8]) -> bool {
    let is_of =
        |kind: RumorKind| key.strip_prefix(kind.name().as_bytes()).is_some_and(|rest| rest.starts_with(&[0]));
    is_of(RumorKind::RingKey) || is_of(RumorKind::MemberKeys)
}

fn decode_identity(value: &[u8]) -> Result<(MemberId, Incarnation), DecodeError> {
    let identity = proto::Identity::decode(value).map_err(|_| DecodeError::Protobuf)?;
    // A life has used one before anything else of it was stored, and none beyond the highest that others believe.
    let incarnation = incarnation_from_wire(identity.incarnation)?;
    if incarnation == Incarnation(0) {
        return Err(DecodeError::Missing("incarnation"));
    }
    Ok((id_from_wire(&identity.id, "member id")?, incarnation))
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

/// The row that holds this member's id and the highest incarnation it may have used.
pub(crate) fn identity_row(id: &MemberId, incarnation: Incarnation) -> Write {
    assert!(incarnation > Incarnation(0), "a life has an incarnation");
    let identity = proto::Identity { id: id_to_wire(id), incarnation: incarnation.0 };
    Write { table: Table::Identity, key: IDENTITY_KEY.to_vec(), value: Some(identity.encode_to_vec()) }
}

/// The row of another member's record.
pub(crate) fn member_row(statement: &MemberRumor) -> Write {
    let key = statement.record.id.as_bytes().to_vec();
    Write { table: Table::Member, key, value: Some(statement.to_wire().encode_to_vec()) }
}

/// The row of one rumor.
pub(crate) fn rumor_row(told: &Told<'_>) -> Write {
    Write { table: Table::Rumor, key: told.rumor().key().encode(), value: Some(told.encode()) }
}

/// The row of the versions that this member has had of one configuration or file.
pub(crate) fn history_row(key: &RumorKey, history: &History) -> Write {
    assert!(key.group().is_some(), "only configuration and files of groups have a history");
    Write { table: Table::History, key: key.encode(), value: history.encode(key) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::INCARNATION_MAX;
    use crate::model::rumor::Rumor;

    #[test]
    fn an_identity_without_an_incarnation_or_with_one_beyond_belief_starts_no_member() {
        let id = MemberId::from_bytes([1; 16]);
        let read = |incarnation: u64| {
            let value = proto::Identity { id: id_to_wire(&id), incarnation }.encode_to_vec();
            Snapshot::decode([(Table::Identity, IDENTITY_KEY, value.as_slice())]).map(|read| read.is_some())
        };
        assert_eq!(read(1), Ok(true));
        assert_eq!(read(INCARNATION_MAX), Ok(true));
        for damaged in [0, INCARNATION_MAX + 1, u64::MAX] {
            assert!(matches!(read(damaged), Err(SnapshotError::Record { .. })), "{damaged}");
        }
    }

    #[test]
    fn a_row_about_keys_that_cannot_be_read_is_passed_over() {
        use crate::model::ring_key::RingKeyId;
        use crate::model::rumor::{MemberKeys, OpenKey};
        let me = MemberId::from_bytes([1; 16]);
        let key = RingKeyId { revision: RingKeyId::REVISION_MAX + 1, fingerprint: [3; 16] };
        let (opens, incarnation) = (alloc::vec![OpenKey { key, until: None }], Incarnation(1));
        let own = Rumor::MemberKeys(MemberKeys {
            member_id: me,
            incarnation,
            opens,
            speaks: key,
            box_key: [0; 32],
        });
        let bad = rumor_row(&Told::from(own));
        let identity = identity_row(&me, Incarnation(1));
        let rows =
            [&identity, &bad].map(|row| (row.table, &row.key[..], row.value.as_deref().expect("a row")));
        let read = Snapshot::decode(rows).expect("a member starts").expect("its identity");
        assert_eq!((read.rumors.len(), read.passed_over.len()), (0, 1));
        assert_eq!(read.passed_over[0].0, Write { value: None, ..bad.clone() });
        let other = (Table::Rumor, &b"service\0x"[..], &b"\xff"[..]);
        assert!(Snapshot::decode([rows[0], other]).is_err(), "half a database starts no member");
    }

    #[test]
    fn of_another_members_records_its_votes_and_its_own_words_go() {
        use crate::model::rumor::{Departure, ServiceHealth};
        let [former, me, other] = [1, 2, 3].map(|n| MemberId::from_bytes([n; 16]));
        let group: crate::model::id::ServiceGroup = "redis.prod".parse().expect("valid");
        let health = |member_id| {
            let health = crate::model::service::Health::Ok;
            let (group, incarnation) = (group.clone(), Incarnation(1));
            Rumor::ServiceHealth(ServiceHealth { member_id, group, incarnation, health, tombstone: false })
        };
        let ban = Rumor::Departure(Departure::ban(MemberId::from_bytes([9; 16])));
        let votes = alloc::vec![(ElectionId::leader(group.clone()), Vote { term: 3, ..Vote::default() })];
        let rumors = [health(former), health(other), ban.clone()].map(Told::from).to_vec();
        let before = Snapshot { incarnation: Incarnation(4), rumors, votes, ..Snapshot::new(former) };
        let mut own = before.clone();
        assert_eq!(own.take_over(former), None);
        assert_eq!(own, before, "a member's own records are its own");
        let mut taken = before.clone();
        let takeover = taken.take_over(me).expect("they are another member's");
        assert_eq!(takeover.former, former);
        assert_eq!((taken.member_id, taken.incarnation, taken.votes.len()), (me, Incarnation(0), 0));
        let kept: Vec<Rumor> = taken.rumors.iter().map(|told| told.rumor().clone()).collect();
        assert_eq!(kept, [health(other), ban]);
        let gone: Vec<(Table, bool)> =
            takeover.rows.iter().map(|row| (row.table, row.value.is_none())).collect();
        assert_eq!(gone, [(Table::Election, true), (Table::Rumor, true)]);
    }

    #[test]
    fn what_a_snapshot_writes_it_reads_back() {
        let id = MemberId::from_bytes([1; 16]);
        let ban = Rumor::Departure(crate::model::rumor::Departure::ban(MemberId::from_bytes([2; 16])));
        let key = RumorKey::given("redis.prod".parse().expect("valid"), None);
        let entry =
            HistoryEntry { version: 3, at: UnixTime::from_millis(7), writer: Some(id), bytes: 4, hash: 5 };
        let group: crate::model::id::ServiceGroup = "redis.prod".parse().expect("valid");
        let snapshot = Snapshot {
            incarnation: Incarnation(4),
            rumors: alloc::vec![ban.into()],
            history: alloc::vec![(key, alloc::vec![entry])],
            votes: alloc::vec![(ElectionId::leader(group), Vote::default())],
            ..Snapshot::new(id)
        };
        let rows = snapshot.rows();
        let rows =
            rows.iter().map(|row| (row.table, row.key.as_slice(), row.value.as_deref().expect("stored")));
        let read = Snapshot::decode(rows).expect("readable").expect("there");
        let rumors = |of: &Snapshot| of.rumors.iter().map(|told| told.rumor().clone()).collect::<Vec<_>>();
        assert_eq!(rumors(&read), rumors(&snapshot));
        assert_eq!(
            (read.incarnation, read.history, read.votes),
            (Incarnation(4), snapshot.history, snapshot.votes)
        );
    }

    #[test]
    fn a_disk_that_holds_records_and_no_identity_starts_no_member() {
        assert_eq!(Snapshot::decode([]), Ok(None), "a new disk begins a new member");
        let id = MemberId::from_bytes([1; 16]);
        let ban = rumor_row(&Rumor::Departure(crate::model::rumor::Departure::ban(id)).into());
        let value = ban.value.expect("a store has a value");
        let rows = [(ban.table, ban.key.as_slice(), value.as_slice())];
        assert_eq!(
            Snapshot::decode(rows),
            Err(SnapshotError::NoIdentity),
            "another member would forget the ban"
        );
        let identity = identity_row(&id, Incarnation(7));
        let of_id = identity.value.expect("a store has a value");
        let read =
            Snapshot::decode(rows.into_iter().chain([(identity.table, &identity.key[..], &of_id[..])]));
        let read = read.expect("readable").expect("there");
        assert_eq!((read.member_id, read.incarnation, read.rumors.len()), (id, Incarnation(7), 1));
    }
}
