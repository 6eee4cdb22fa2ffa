//! Records on their way to the disk. What others or an operator rely on is awaited before it is used; what the
//! ring would teach this node again goes out in batches.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use prost::Message as _;

use super::{Node, ctx};
use crate::model::context::Context;
use crate::model::id::{Incarnation, MemberId, RequestId, ServiceGroup};
use crate::model::io::Effect;
use crate::model::member::State;
use crate::model::planted::Bug;
use crate::model::row::{Table, Write};
use crate::model::rumor::{Rumor, RumorKey, RumorKind};
use crate::model::time::Instant;
use crate::store::snapshot;

/// What a persist effect is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// The identity with which this node starts.
    Start,
    /// A higher incarnation, to refute an accusation.
    Raise(Incarnation),
    /// The incarnation with which this node says farewell.
    Farewell(Incarnation),
    /// A ban that an operator asked for.
    Departure { request: RequestId, member: MemberId },
    /// A version that an operator gave.
    Version { request: RequestId, rumor: Box<Rumor> },
    /// What was voted in this group's election.
    Vote(ServiceGroup),
    /// Records that nobody waits for, stored again later when they could not be.
    Batch(Vec<RumorKey>),
}

/// Records that one batch holds at most; the rest follows in the next.
const BATCH_RECORDS_MAX: usize = 4_096;

impl Node {
    pub(super) fn persist_identity(&mut self, incarnation: Incarnation, pending: Pending) {
        let writes = alloc::vec![snapshot::identity_row(&self.me, incarnation)];
        self.persist(writes, true, pending);
    }

    fn persist(&mut self, writes: Vec<Write>, sync: bool, pending: Pending) {
        let ctx = ctx!(self);
        let effect = ctx.effect(Effect::Persist { writes, sync });
        self.pending.insert(effect, pending);
    }

    pub(super) fn persist_departure(&mut self, request: RequestId, rumor: &Rumor) {
        let RumorKey::Departure(member) = rumor.key() else { panic!("only a ban is stored as one") };
        let writes = self.departure_rows(rumor, member);
        self.persist(writes, true, Pending::Departure { request, member });
    }

    pub(super) fn persist_version(&mut self, request: RequestId, rumor: Rumor) {
        let key = rumor.key();
        let mut history = self.history.clone_of(&key);
        history.record(self.wall, &key, rumor.version().expect("only versions are stored as one"));
        let writes = alloc::vec![snapshot::rumor_row(&rumor), snapshot::history_row(&key, &history)];
        self.persist(writes, true, Pending::Version { request, rumor: Box::new(rumor) });
    }

    /// The ban, and the banned member's record as it is from then on: after a restart this node still knows whom
    /// it keeps out.
    fn departure_rows(&self, rumor: &Rumor, member: MemberId) -> Vec<Write> {
        let mut writes = alloc::vec![snapshot::rumor_row(rumor)];
        if let Some(mut statement) = self.statement(&member) {
            statement.record.state = State::Departed;
            let value = Some(statement.to_wire().encode_to_vec());
            writes.push(Write { table: Table::Member, key: member.as_bytes().to_vec(), value });
        }
        writes
    }

    /// A ban that another member told of: nobody waits for it, but it must not be lost either.
    pub(super) fn persist_heard_departure(&mut self, rumor: &Rumor, member: MemberId) {
        if self.config.planted.has(Bug::BanNotStored) {
            return;
        }
        let writes = self.departure_rows(rumor, member);
        let keys = alloc::vec![RumorKey::Departure(member), RumorKey::Member(member)];
        self.persist(writes, true, Pending::Batch(keys));
    }

    /// A batch could not be stored.
    pub(super) fn store_again(&mut self, keys: Vec<RumorKey>) {
        for key in keys {
            self.mark_dirty(key);
        }
    }

    /// Rumors of owners that are gone may have outlived them on the disk, when the crash came between the ban and
    /// the next batch. Nobody could ever retract them.
    pub(super) fn forget_orphans(&mut self) {
        let gone = |owner: &MemberId| {
            let state = self.membership.table().get(owner).map(|r| r.state);
            state.is_none_or(|state| state == State::Departed)
        };
        let owners: BTreeSet<MemberId> = self.rumors.iter().filter_map(Rumor::owner).filter(gone).collect();
        for owner in owners {
            for key in self.rumors.forget_owned_by(&owner) {
                self.mark_dirty(key);
            }
        }
    }

    /// Notes that a record differs from what is on disk.
    pub(super) fn mark_dirty(&mut self, key: RumorKey) {
        if key.kind() == RumorKind::Member && key == RumorKey::Member(self.me) {
            // The identity row holds what matters of this member.
            return;
        }
        self.dirty.insert(key);
        if self.persist_at == Instant::FAR_FUTURE {
            self.persist_at = self.now + Duration::from_millis(self.config.timings.persist_period_ms);
        }
    }

    pub(super) fn flush_dirty(&mut self) {
        self.persist_at = Instant::FAR_FUTURE;
        let mut keys = Vec::new();
        while keys.len() < BATCH_RECORDS_MAX {
            let Some(key) = self.dirty.pop_first() else { break };
            keys.push(key);
        }
        if !keys.is_empty() {
            let writes = keys.iter().flat_map(|key| self.rows(key)).collect();
            self.persist(writes, false, Pending::Batch(keys));
        }
        if !self.dirty.is_empty() {
            self.persist_at = self.now;
        }
    }

    /// The rows that a record has to have now.
    fn rows(&self, key: &RumorKey) -> Vec<Write> {
        let row = match key {
            RumorKey::Member(id) => {
                let value = self.statement(id).map(|m| m.to_wire().encode_to_vec());
                Write { table: Table::Member, key: id.as_bytes().to_vec(), value }
            }
            _ => {
                let value = self.rumors.get(key).map(Rumor::encode);
                Write { table: Table::Rumor, key: key.encode(), value }
            }
        };
        if matches!(key, RumorKey::ServiceConfig(_) | RumorKey::ServiceFile { .. }) {
            return alloc::vec![row, snapshot::history_row(key, &self.history)];
        }
        alloc::vec![row]
    }
}
