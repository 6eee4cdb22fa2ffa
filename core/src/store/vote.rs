//! The row of a voter for each election: its term, its vote, its electorate and its longest promise. The voter stores
//! it before it acts upon it and must never forget it.

use alloc::vec::Vec;
use prost::Message as _;

use crate::model::ballot::Electorate;
use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_MAX, LEASE_MS_MAX};
use crate::model::mutant::mutated;
use crate::model::row::{Table, Write};
use crate::wire::convert::{ids_from_wire, ids_to_wire};

/// The state of one election that a voter must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    /// The highest term that this voter took part in.
    pub(crate) term: u64,
    /// The candidate it voted for in that term, if it did.
    pub(crate) candidate: Option<MemberId>,
    /// The latest electorate that it knows.
    pub(crate) electorate: Electorate,
    /// The longest lease that it ever promised, in milliseconds: how long it may still be bound after a restart.
    pub(crate) lease_ms: u64,
}

impl Vote {
    /// The highest term that this voter took part in.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct VoteRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(bytes = "vec", tag = "2")]
    candidate: Vec<u8>,
    #[prost(uint64, tag = "3")]
    electorate_term: u64,
    #[prost(uint64, tag = "4")]
    electorate_version: u64,
    #[prost(bytes = "vec", tag = "5")]
    electorate: Vec<u8>,
    #[prost(uint64, tag = "6")]
    lease_ms: u64,
}

/// The row's key: the group; a purpose other than to lead it follows a zero byte, which no group has.
fn key(election: &ElectionId) -> Vec<u8> {
    let mut key = election.group.as_str().as_bytes().to_vec();
    match election.purpose {
        ElectionPurpose::Leader => {}
        ElectionPurpose::Update => {
            key.push(0);
            key.extend_from_slice(election.purpose.name().as_bytes());
        }
    }
    key
}

fn election_of(key: &[u8]) -> Option<ElectionId> {
    let (group, purpose) = match key.iter().position(|byte| *byte == 0) {
        None => (key, ElectionPurpose::Leader),
        Some(at) if key.get(at + 1..) == Some(ElectionPurpose::Update.name().as_bytes()) => {
            (key.get(..at)?, ElectionPurpose::Update)
        }
        Some(_) => return None,
    };
    let group = core::str::from_utf8(group).ok()?.parse().ok()?;
    Some(ElectionId { group, purpose })
}

/// The row that stores this vote.
pub(crate) fn store(election: &ElectionId, vote: &Vote) -> Write {
    let record = VoteRecord {
        term: vote.term,
        candidate: vote.candidate.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        electorate_term: vote.electorate.term,
        electorate_version: vote.electorate.version,
        electorate: ids_to_wire(&vote.electorate.members),
        lease_ms: mutated!(LeaseForgotten, vote.lease_ms, 0),
    };
    assert!(vote.term <= ELECTION_TERM_MAX && vote.lease_ms <= LEASE_MS_MAX, "a stored row can be read back");
    assert!(vote.electorate.members.len() <= ELECTORATE_MAX, "a stored row can be read back");
    assert!(vote.electorate.is_believable(), "a stored row can be read back");
    Write { table: Table::Election, key: key(election), value: Some(record.encode_to_vec()) }
}

/// Reads a row of the election table back.
///
/// # Errors
/// Not a vote, or one beyond the limits.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<(ElectionId, Vote), DecodeError> {
    let election = election_of(key).ok_or(DecodeError::Invalid("service_group"))?;
    let record = VoteRecord::decode(value).map_err(|_| DecodeError::Protobuf)?;
    let candidate = match record.candidate.as_slice() {
        [] => None,
        bytes => Some(ids_from_wire(bytes, 1, "candidate")?).and_then(|ids| ids.first().copied()),
    };
    let mut members = ids_from_wire(&record.electorate, ELECTORATE_MAX, "electorate")?;
    members.sort_unstable();
    members.dedup();
    assert!(members.len() * 16 <= record.electorate.len(), "every voter was read from the row");
    if record.term > ELECTION_TERM_MAX || record.lease_ms > LEASE_MS_MAX {
        return Err(DecodeError::Invalid("term"));
    }
    let electorate = Electorate { term: record.electorate_term, version: record.electorate_version, members };
    if !electorate.is_believable() {
        return Err(DecodeError::Invalid("electorate"));
    }
    assert!(electorate.members.len() <= ELECTORATE_MAX, "a list that was read is within its limit");
    assert!(electorate.members.is_sorted(), "voters stand in order of id");
    Ok((election, Vote { term: record.term, candidate, electorate, lease_ms: record.lease_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::ELECTORATE_VERSION_MAX;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            term in 0..ELECTION_TERM_MAX, candidate in proptest::option::of(any::<[u8; 16]>()),
            version in 0..ELECTORATE_VERSION_MAX, members in proptest::collection::btree_set(any::<[u8; 16]>(), 0..ELECTORATE_MAX),
            lease_ms in 0..LEASE_MS_MAX, purpose in proptest::sample::select(&ElectionPurpose::ALL),
        ) {
            let members: Vec<MemberId> = members.into_iter().map(MemberId::from_bytes).collect();
            let electorate = Electorate { term, version, members };
            let vote = Vote { term, candidate: candidate.map(MemberId::from_bytes), electorate, lease_ms };
            let election = ElectionId { group: "redis.prod@acme".parse().expect("a valid group"), purpose };
            let row = store(&election, &vote);
            prop_assert_eq!(decode(&row.key, &row.value.expect("a store has a value")), Ok((election, vote)));
        }

        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&key, &value);
        }
    }

    #[test]
    fn a_list_that_none_can_follow_is_no_row() {
        let election = ElectionId::leader("redis.prod".parse().expect("a valid group"));
        let read = |term: u64, version: u64| {
            let record = VoteRecord {
                electorate_term: term,
                electorate_version: version,
                ..VoteRecord::decode(&[][..]).expect("an empty one")
            };
            decode(&key(&election), &record.encode_to_vec()).map(|(_, vote)| vote.electorate.next_version())
        };
        assert_eq!(read(1, 1), Ok(2));
        assert_eq!(read(ELECTION_TERM_MAX, ELECTORATE_VERSION_MAX), Ok(ELECTORATE_VERSION_MAX));
        for (term, version) in [(1, ELECTORATE_VERSION_MAX + 1), (1, u64::MAX), (u64::MAX, 1)] {
            assert_eq!(read(term, version), Err(DecodeError::Invalid("electorate")));
        }
    }

    #[test]
    fn rows_of_leaders_elections_are_named_by_the_group_alone() {
        let group: crate::model::id::ServiceGroup = "redis.prod".parse().expect("a valid group");
        let row = store(&ElectionId::leader(group.clone()), &Vote::default());
        assert_eq!(row.key, b"redis.prod");
        let value = row.value.expect("a store has a value");
        let other = store(&ElectionId { group, purpose: ElectionPurpose::Update }, &Vote::default());
        assert_eq!(other.key, b"redis.prod\0update");
        for unknown in [&b"redis.prod\0"[..], b"redis.prod\0leader", b"redis.prod\0update\0", b"\0update"] {
            assert_eq!(decode(unknown, &value), Err(DecodeError::Invalid("service_group")));
        }
    }
}
