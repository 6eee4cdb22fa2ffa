//! Sends records to the disk. The node may not use a record that others or an operator rely on before the disk has
//! answered; records that the ring would teach it again go out in batches.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use super::knowledge::Knowledge;
use crate::model::config::Config;
use crate::model::context::{Context, earliest};
use crate::model::election::ElectionId;
use crate::model::id::{EffectId, Incarnation, MemberId, RequestId, ServiceName};
use crate::model::io::{Effect, EffectResult, WakeReason};
use crate::model::member::State;
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::row::{Table, Write};
use crate::model::rumor::{Departure, Rumor, RumorKey, Told, Version};
use crate::model::time::{Instant, UnixTime};
use crate::store::history::{History, HistoryEntry};
use crate::store::snapshot::{self, Takeover};

/// The purpose of a persist effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// The identity with which this node starts.
    Start,
    /// A higher incarnation, to refute an accusation.
    Raise(Incarnation),
    /// The incarnation with which this node says farewell.
    Farewell(Incarnation),
    /// A ban that an operator asked for, or that it is lifted.
    Departure { request: RequestId, told: Box<Told<'static>>, member: MemberId },
    /// A version that an operator gave: when, and the rows that hold it.
    Version { request: RequestId, told: Box<Told<'static>>, at: UnixTime, rows: Vec<Write> },
    /// A key that an operator brings into use.
    RingKey { request: RequestId, told: Box<Told<'static>> },
    /// The vote in this election.
    Vote(ElectionId),
    /// A batch of records that no component waits for, stored again later when they could not be.
    Batch(Vec<RumorKey>),
}

/// Records that one batch holds at most; the rest follows in the next.
const BATCH_RECORDS_MAX: usize = 4_096;

/// The records on their way to the disk, and those that have to go there.
#[derive(Debug)]
pub(super) struct Journal {
    me: MemberId,
    /// The purposes of the effects whose results the node itself awaits.
    pending: BTreeMap<EffectId, Pending>,
    /// Records that changed since the last batch went to the disk.
    dirty: BTreeSet<RumorKey>,
    /// Rows about builds that are to be written with the next batch.
    builds: BTreeMap<Vec<u8>, Write>,
    /// The time of the next batch.
    at: Instant,
    /// The time at which an identity that could not be stored is stored again.
    identity_at: Instant,
    /// The versions of groups' configuration and files that this member has had.
    history: History,
    /// Whether the disk remembered an earlier life.
    restored: bool,
    /// Rows on the disk that differ from what this version writes, until the node has started.
    outdated: Vec<RumorKey>,
    /// The records were another member's, until the node has started.
    takeover: Option<Takeover>,
    period: Duration,
    planted: Planted,
}

impl Journal {
    pub(super) fn new(
        config: &Config,
        me: MemberId,
        history: History,
        restored: bool,
        outdated: Vec<RumorKey>,
        takeover: Option<Takeover>,
    ) -> Self {
        Self {
            me,
            pending: BTreeMap::new(),
            dirty: BTreeSet::new(),
            builds: BTreeMap::new(),
            at: Instant::FAR_FUTURE,
            identity_at: Instant::FAR_FUTURE,
            history,
            restored,
            outdated,
            takeover,
            period: Duration::from_millis(config.timings.persist_period_ms),
            planted: config.planted,
        }
    }

    /// When the next batch is due.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Housekeeping)])
    }

    /// When the identity is to be stored again.
    pub(super) fn poll_identity(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.identity_at, WakeReason::Housekeeping)])
    }

    /// Records that have to be written anew, once.
    pub(super) fn take_outdated(&mut self) -> Vec<RumorKey> {
        core::mem::take(&mut self.outdated)
    }

    /// The member whose records these were, once: they are this member's now.
    pub(super) fn take_former(&mut self) -> Option<MemberId> {
        self.takeover.take().map(|takeover| takeover.former)
    }

    /// Whether the disk remembered an earlier life.
    pub(super) const fn is_restored(&self) -> bool {
        self.restored
    }

    /// Stores rows; `pending` says what the node does when they are stored.
    pub(super) fn store(&mut self, ctx: &mut Context<'_>, writes: Vec<Write>, sync: bool, pending: Pending) {
        assert!(!writes.is_empty(), "the disk is asked for something");
        assert!(sync || matches!(pending, Pending::Batch(_)), "rows that a step waits for are synced");
        let effect = ctx.effect(Effect::Persist { writes, sync });
        let before = self.pending.insert(effect, pending);
        assert!(before.is_none(), "an effect id is used once");
    }

    /// Stores the incarnation that this member is going to use.
    pub(super) fn store_identity(
        &mut self,
        ctx: &mut Context<'_>,
        incarnation: Incarnation,
        pending: Pending,
    ) {
        assert!(incarnation > Incarnation(0), "a life has an incarnation");
        let mut writes = alloc::vec![snapshot::identity_row(&self.me, incarnation)];
        // A disk that had the new identity and the old votes would hold votes that this member never gave.
        writes.extend(self.takeover.iter().flat_map(|takeover| takeover.rows.iter().cloned()));
        self.store(ctx, writes, true, pending);
    }

    /// Stores a ban that an operator asked for, or that it is lifted.
    pub(super) fn store_departure(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        request: RequestId,
        told: Told<'static>,
    ) {
        let Rumor::Departure(order) = told.rumor() else { panic!("only a ban is stored as one") };
        let member = order.member_id;
        let writes = departure_rows(know, &told, order);
        self.store(ctx, writes, true, Pending::Departure { request, told: Box::new(told), member });
    }

    /// Stores a ban that another member told of: no request waits for it, but it must not be lost either.
    pub(super) fn store_heard_departure(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        told: &Told<'_>,
        order: &Departure,
    ) {
        let member = order.member_id;
        assert!(told.rumor().key() == RumorKey::Departure(member), "only a ban is stored as one");
        if self.planted.has(Bug::BanNotStored) {
            return;
        }
        let keys = alloc::vec![RumorKey::Departure(member), RumorKey::Member(member)];
        self.store(ctx, departure_rows(know, told, order), true, Pending::Batch(keys));
    }

    /// Stores a version that an operator gave.
    pub(super) fn store_version(
        &mut self,
        ctx: &mut Context<'_>,
        wall: UnixTime,
        request: RequestId,
        told: Told<'static>,
    ) {
        let rumor = told.rumor();
        let key = rumor.key();
        let mut history = self.history.clone_of(&key);
        history.record(wall, &key, rumor.version().expect("only versions are stored as one"));
        let number = rumor.version().map_or(0, |version| version.number);
        assert!(number > self.storing(&key), "versions that operators give follow each other");
        let rows = alloc::vec![snapshot::rumor_row(&told), snapshot::history_row(&key, &history)];
        let pending = Pending::Version { request, told: Box::new(told), at: wall, rows: rows.clone() };
        self.store(ctx, rows, true, pending);
    }

    /// Stores a record as it is held now, at once: what the disk holds under its key must not come back.
    pub(super) fn store_record(&mut self, ctx: &mut Context<'_>, know: Knowledge<'_>, key: RumorKey) {
        let rows = self.rows(know, &key);
        self.dirty.remove(&key);
        assert!(rows.iter().all(|row| row.value.is_some()), "a record that is held has a row");
        self.store(ctx, rows, true, Pending::Batch(alloc::vec![key]));
    }

    /// The disk has answered for a version: `stored` are its rows, none when they could not be stored. Rows that match
    /// the record are not written again; a record that differs, and waited for this, is written with the next batch.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        know: Knowledge<'_>,
        key: RumorKey,
        stored: Option<&[Write]>,
    ) {
        assert!(key.kind().is_versioned(), "only versions are stored as one");
        if stored.is_some_and(|rows| mutated!(SettledUnseen, self.rows(know, &key) == rows, true)) {
            self.dirty.remove(&key);
        } else if self.dirty.contains(&key) {
            self.mark(now, key);
        }
    }

    /// The highest version under this key that is on its way to the disk; 0 when none is.
    pub(super) fn storing(&self, key: &RumorKey) -> u64 {
        let number = |pending: &Pending| match pending {
            Pending::Version { told, .. } if told.rumor().key() == *key => {
                told.rumor().version().map(|v| v.number)
            }
            Pending::Version { .. }
            | Pending::Start
            | Pending::Raise(_)
            | Pending::Farewell(_)
            | Pending::Departure { .. }
            | Pending::Vote(_)
            | Pending::RingKey { .. }
            | Pending::Batch(_) => None,
        };
        self.pending.values().filter_map(number).max().unwrap_or(0)
    }

    /// Takes the disk's answer: the purpose of the rows, and why they could not be stored. None for an effect that is
    /// not the journal's, and for a result of another kind, which does not answer the effect.
    pub(super) fn answered(
        &mut self,
        effect: EffectId,
        result: EffectResult,
    ) -> Option<(Pending, Option<String>)> {
        let failure = match result {
            EffectResult::Persisted => None,
            EffectResult::PersistFailed(reason) | EffectResult::PersistRefused(reason) => Some(reason),
            EffectResult::Prepared(_)
            | EffectResult::PrepareFailed { .. }
            | EffectResult::Spawned { .. }
            | EffectResult::SpawnFailed { .. }
            | EffectResult::Exited(_)
            | EffectResult::Signalled
            | EffectResult::Rendered(_)
            | EffectResult::RenderFailed { .. }
            | EffectResult::HookEnded(_)
            | EffectResult::HealthChecked { .. }
            | EffectResult::Inflight(_)
            | EffectResult::RingKey(_)
            | EffectResult::LookedUp { .. }
            | EffectResult::LookUpFailed { .. }
            | EffectResult::Fetched { .. }
            | EffectResult::FetchFailed { .. }
            | EffectResult::Preflighted { .. }
            | EffectResult::PreflightFailed { .. }
            | EffectResult::Leased
            | EffectResult::LeaseFailed { .. } => return None,
        };
        self.pending.remove(&effect).map(|pending| (pending, failure))
    }

    /// Notes that a record differs from what is on disk.
    pub(super) fn mark(&mut self, now: Instant, key: RumorKey) {
        if key == RumorKey::Member(self.me) {
            // The identity row stands for this member.
            return;
        }
        self.dirty.insert(key);
        if self.at == Instant::FAR_FUTURE {
            self.at = now + self.period;
        }
        assert!(
            !self.dirty.is_empty() && self.at < Instant::FAR_FUTURE,
            "a batch is planned while records are dirty"
        );
    }

    /// Notes a row about a service's builds, which is written with the next batch, durably.
    pub(super) fn note_build(&mut self, now: Instant, row: Write) {
        assert!(row.table == Table::Build, "other records have their own ways");
        self.builds.insert(row.key.clone(), row);
        if self.at == Instant::FAR_FUTURE {
            self.at = now + self.period;
        }
    }

    /// A service is unloaded: the row about its builds is deleted with its spec, and not written again.
    pub(super) fn forget_build(&mut self, service: &ServiceName) {
        self.builds.remove(service.as_str().as_bytes());
    }

    /// Sends a batch of changed records to the disk.
    pub(super) fn flush(&mut self, ctx: &mut Context<'_>, know: Knowledge<'_>) {
        self.at = Instant::FAR_FUTURE;
        // A batch that was queued behind a version on its way to the disk could put an older one in its place there,
        // although the operator is told that it is stored.
        let waiting = self.pending.values().filter_map(|pending| match pending {
            Pending::Version { told, .. } => Some(told.rumor().key()),
            Pending::Start
            | Pending::Raise(_)
            | Pending::Farewell(_)
            | Pending::Departure { .. }
            | Pending::Vote(_)
            | Pending::RingKey { .. }
            | Pending::Batch(_) => None,
        });
        let mut waiting: BTreeSet<RumorKey> =
            waiting.filter(|key| mutated!(StoreOvertaken, self.dirty.contains(key), false)).collect();
        self.dirty.retain(|key| !waiting.contains(key));
        let mut keys = Vec::new();
        while keys.len() < BATCH_RECORDS_MAX {
            let Some(key) = self.dirty.pop_first() else { break };
            keys.push(key);
        }
        let mut writes: Vec<Write> = keys.iter().flat_map(|key| self.rows(know, key)).collect();
        // The ring cannot tell again which build runs here.
        let sync = !self.builds.is_empty();
        writes.extend(core::mem::take(&mut self.builds).into_values());
        if !writes.is_empty() {
            self.store(ctx, writes, sync, Pending::Batch(keys));
        }
        if !self.dirty.is_empty() {
            self.at = ctx.now;
        }
        let is_planned = self.dirty.is_empty() || self.at <= ctx.now;
        assert!(is_planned, "records that do not fit into a batch follow at once");
        // These follow when the disk has answered.
        self.dirty.append(&mut waiting);
    }

    /// Plans to store the identity again after this time: a node may not speak before its identity is on disk.
    pub(super) fn retry_after(&mut self, now: Instant, wait: Duration) {
        assert!(!wait.is_zero(), "a disk that fails is not asked without a pause");
        self.identity_at = now + wait;
    }

    /// The identity is being stored again.
    pub(super) const fn retried(&mut self) {
        self.identity_at = Instant::FAR_FUTURE;
    }

    /// Notes a version that this member has from now on.
    pub(super) fn record(&mut self, wall: UnixTime, key: &RumorKey, version: &Version) {
        self.history.record(wall, key, version);
    }

    /// The versions that this member has had under this key, oldest first.
    pub(super) fn history_of(&self, key: &RumorKey) -> Vec<HistoryEntry> {
        self.history.of(key)
    }

    /// The rows that a record has to have now.
    fn rows(&self, know: Knowledge<'_>, key: &RumorKey) -> Vec<Write> {
        assert!(*key != RumorKey::Member(self.me), "the identity row stands for this member");
        if let RumorKey::Member(id) = key {
            let forgotten = Write { table: Table::Member, key: id.as_bytes().to_vec(), value: None };
            return alloc::vec![know.statement(id).map_or(forgotten, |m| snapshot::member_row(&m))];
        }
        let value = know.rumors.told(key);
        let row = Write { table: Table::Rumor, key: key.encode(), value };
        if mutated!(HistoryOfOthers, key.kind().is_versioned(), false) {
            return alloc::vec![row, snapshot::history_row(key, &self.history)];
        }
        alloc::vec![row]
    }
}

/// The ban, and the banned member's record from then on: after a restart this node still knows which member it keeps
/// out.
fn departure_rows(know: Knowledge<'_>, told: &Told<'_>, order: &Departure) -> Vec<Write> {
    let (mut writes, member) = (alloc::vec![snapshot::rumor_row(told)], order.member_id);
    if !order.lifted
        && let Some(mut statement) = know.statement(&member)
    {
        assert!(statement.record.id == member, "a statement is about its member");
        statement.record.state = State::Departed;
        writes.push(snapshot::member_row(&statement));
    }
    writes
}

impl Node {
    /// Notes that a record differs from what is on disk.
    pub(super) fn mark_dirty(&mut self, key: RumorKey) {
        self.journal.mark(self.clock.now(), key);
    }

    /// Rumors of departed owners may have outlived them on the disk, when the crash came between the ban and the next
    /// batch. No member could ever retract them.
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
}
