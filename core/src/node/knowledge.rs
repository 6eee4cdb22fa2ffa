//! Members and rumors as one read-only view, lent to gossip, sync and the journal. It may change neither.

use alloc::vec::Vec;

use prost::Message as _;

use crate::membership::{Membership, digested};
use crate::model::digest::{Digest, bucket_of, hash_member};
use crate::model::id::MemberId;
use crate::model::member::{MemberRecord, State};
use crate::model::planted::{Bug, Planted};
use crate::model::row::Write;
use crate::model::rumor::{MemberRumor, Rumor, RumorKey};
use crate::rumor::RumorStore;
use crate::store::snapshot;

/// Members and rumors, to be read.
#[derive(Clone, Copy)]
pub(super) struct Knowledge<'a> {
    pub(super) me: MemberId,
    pub(super) membership: &'a Membership,
    pub(super) rumors: &'a RumorStore,
    pub(super) planted: Planted,
}

impl Knowledge<'_> {
    /// The rumor about a member.
    pub(super) fn statement(&self, id: &MemberId) -> Option<MemberRumor> {
        self.membership.statement(id).map(|(record, accusers)| MemberRumor { record, accusers })
    }

    /// The rows of these members, as far as they are known and others. They go to the disk with a vote that counts on them:
    /// a leader that is started again renews at their addresses at once, whatever else its disk has lost.
    pub(super) fn member_rows(&self, members: &[MemberId]) -> Vec<Write> {
        let others = members.iter().filter(|id| **id != self.me);
        others.filter_map(|id| self.statement(id).map(|statement| snapshot::member_row(&statement))).collect()
    }

    /// This member's record as it states it to the ring now.
    pub(super) fn own_word(&self) -> MemberRecord {
        let (own, _) = self.membership.statement(&self.me).expect("this member is in its own list");
        assert!(
            own.state == State::Alive || own.state == State::Departed,
            "a member never calls itself dead"
        );
        own
    }

    /// The length of a rumor on the wire; none when the node no longer knows it.
    pub(super) fn encoded_len(&self, key: &RumorKey) -> Option<usize> {
        if let RumorKey::Member(id) = key {
            return self.statement(id).map(|m| m.to_wire().encoded_len());
        }
        self.rumors.told_len(key)
    }

    /// The newer record that answers a rumor that lags behind, encoded.
    pub(super) fn answer_to(&self, rumor: &Rumor) -> Option<Vec<u8>> {
        let Rumor::Member(about) = rumor else { return self.rumors.told(&rumor.key()) };
        let id = about.record.id;
        if self.membership.is_banned(&id) {
            return self.rumors.told(&RumorKey::Departure(id));
        }
        self.farewell_of(&id).or_else(|| self.statement(&id).map(|m| Rumor::Member(m).encode()))
    }

    /// A member's own word that it left: of its record alone no member believes that.
    fn farewell_of(&self, id: &MemberId) -> Option<Vec<u8>> {
        let has_left = self.membership.table().get(id).is_some_and(|r| r.state == State::Departed);
        self.rumors.told(&RumorKey::Statement(*id)).filter(|_| has_left)
    }

    /// The hash of all records, equal at two nodes that hold the same, and hardly ever at two that do not.
    pub(super) fn digest_hash(&self) -> u64 {
        self.membership.table().digest().hash() ^ self.rumors.digest().hash()
    }

    /// The digest of all records, equal at two nodes that hold the same.
    pub(super) fn digest(&self) -> Digest {
        self.membership.table().digest().union(self.rumors.digest())
    }

    /// Key and version hashes in these buckets.
    pub(super) fn hashes_in(&self, mask: u64) -> Vec<(u64, u64)> {
        let members = self.membership.table().iter().filter_map(digested);
        let covered = !self.planted.has(Bug::SyncMembersOnly);
        let rumors = self.rumors.digested().filter(|_| covered);
        members.chain(rumors).filter(|(key, _)| is_inside(mask, *key)).collect()
    }

    /// Records whose key hash is wanted, encoded.
    pub(super) fn told_where(&self, is_wanted: impl Fn(u64) -> bool) -> Vec<Vec<u8>> {
        let mut told = Vec::new();
        for record in self.membership.table().iter() {
            if let Some((key, _)) = digested(record)
                && is_wanted(key)
                && let Some(statement) = self.statement(&record.id)
            {
                told.push(Rumor::Member(statement).encode());
            }
        }
        if !self.planted.has(Bug::SyncMembersOnly) {
            told.extend(self.rumors.told_where(is_wanted));
        }
        told
    }

    /// Records that digests leave out because they are on their way to being forgotten, encoded.
    pub(super) fn gone_in(&self, mask: u64) -> Vec<(u64, Vec<u8>)> {
        let mut gone = Vec::new();
        for record in self.membership.table().iter().filter(|r| r.state == State::Departed) {
            let key = hash_member(&record.id);
            if is_inside(mask, key) {
                let told = self.farewell_of(&record.id);
                let told = told.or_else(|| self.statement(&record.id).map(|s| Rumor::Member(s).encode()));
                gone.extend(told.map(|told| (key, told)));
            }
        }
        gone.extend(self.rumors.tombstones().filter(|(key, _)| is_inside(mask, *key)));
        gone
    }
}

/// Whether a key hash lies in one of these buckets.
pub(super) const fn is_inside(mask: u64, key: u64) -> bool {
    mask & (1 << bucket_of(key)) != 0
}
