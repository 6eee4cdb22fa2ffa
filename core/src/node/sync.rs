//! Anti-entropy: two nodes compare digests and ship what differs, nothing else.
//!
//! ```text
//! A ── begin: 64 digests ──▶ B      equal: that was all
//!   ◀── keys ──────────────         B's keys and versions where they differ
//!   ── records, want ──────▶        what B lacks; what A lacks
//!   ◀── records ───────────
//! ```
//! A newcomer, which holds next to nothing, gets the records at once instead of keys. The exchange is repeated
//! soon while it finds differences and rarely once it finds none.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use prost::Message as _;

use super::{Node, ctx};
use crate::membership::{Heard, digested};
use crate::model::config::Timings;
use crate::model::context::Context;
use crate::model::digest::{BUCKETS, bucket_of, hash_member};
use crate::model::event::EventKind;
use crate::model::id::MemberId;
use crate::model::limits::SYNC_RECORDS_MAX;
use crate::model::member::{MemberRecord, State};
use crate::model::planted::Bug;
use crate::model::rumor::Rumor;
use crate::model::time::Instant;
use crate::wire::stream::Body;

/// When the next exchange is due.
#[derive(Debug)]
pub(super) struct SyncTimer {
    pub(super) next: Instant,
    interval_ms: u64,
    heal_after: Instant,
}

impl SyncTimer {
    pub(super) fn new(now: Instant, timings: &Timings) -> Self {
        let interval_ms = timings.sync_period_ms_min;
        Self { next: now + Duration::from_millis(interval_ms), interval_ms, heal_after: now }
    }

    /// Whether another exchange out of turn may begin.
    pub(super) fn may_heal(&self, now: Instant) -> bool {
        self.heal_after <= now
    }

    pub(super) fn healed(&mut self, now: Instant, wait: Duration) {
        self.heal_after = now + wait;
    }
}

/// A newcomer holds less than one in this many of the other side's records.
const NEWCOMER_FACTOR: u32 = 4;
/// Records of one message, in bytes; more go into further messages.
const MESSAGE_BYTES: usize = 1024 * 1024;

impl Node {
    /// The periodic exchange with a random member.
    pub(super) fn run_sync(&mut self) {
        let interval_ms = self.sync.interval_ms;
        self.sync.interval_ms = (interval_ms * 2).min(self.config.timings.sync_period_ms);
        let wait_ms = self.rng.between(interval_ms * 3 / 4, interval_ms * 5 / 4);
        self.sync.next = self.now + Duration::from_millis(wait_ms.max(1));
        if let Some(member) = self.membership.random_members(1, None).first() {
            self.begin_sync(member.gossip_addr());
        }
    }

    /// Differences were found or are to be expected: look again soon.
    pub(super) fn expect_differences(&mut self) {
        let min_ms = self.config.timings.sync_period_ms_min;
        self.sync.interval_ms = min_ms;
        let soon = self.now + Duration::from_millis(self.rng.between(min_ms / 2, min_ms));
        self.sync.next = self.sync.next.min(soon);
    }

    pub(super) fn begin_sync(&mut self, to: SocketAddr) {
        self.metrics.syncs += 1;
        let digest = self.membership.table().digest().union(self.rumors.digest());
        let body =
            Body::SyncBegin { buckets: alloc::boxed::Box::new(*digest.buckets()), records: digest.records() };
        self.send_stream(to, &body);
    }

    pub(super) fn on_sync_begin(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        theirs: &[u64; BUCKETS],
        records: u32,
    ) {
        let digest = self.membership.table().digest().union(self.rumors.digest());
        let mask = digest.differences(theirs);
        if mask == 0 {
            return;
        }
        if records.saturating_mul(NEWCOMER_FACTOR) < digest.records() {
            let everything = self.records_in(mask).into_iter().map(|(_, _, rumor)| rumor).collect();
            self.send_records(from, reply_to, everything, Vec::new());
            return;
        }
        let mut hashes: Vec<(u64, u64)> = self.hashes_in(mask).into_iter().take(SYNC_RECORDS_MAX).collect();
        hashes.sort_unstable();
        self.send_stream(reply_to, &Body::SyncKeys { buckets: mask, hashes });
    }

    pub(super) fn on_sync_keys(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        mask: u64,
        hashes: &[(u64, u64)],
    ) {
        let mut theirs: BTreeMap<u64, u64> = hashes.iter().copied().collect();
        let mut rumors = Vec::new();
        for (key, version, rumor) in self.records_in(mask) {
            if theirs.get(&key) == Some(&version) {
                theirs.remove(&key);
            } else {
                rumors.push(rumor);
            }
        }
        // What they still hold and this node knows to be gone: tell them, and do not ask for it.
        for (key, rumor) in self.gone_in(mask) {
            if theirs.remove(&key).is_some() {
                rumors.push(rumor);
            }
        }
        let want: Vec<u64> = theirs.into_keys().filter(|key| mask & (1 << bucket_of(*key)) != 0).collect();
        if !rumors.is_empty() || !want.is_empty() {
            self.send_records(from, reply_to, rumors, want);
        }
    }

    pub(super) fn on_sync_records(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        told: &[Rumor],
        want: &[u64],
    ) {
        let mut learned = 0;
        let mut answers = Vec::new();
        // Members first: a service of an unknown member is worth nothing.
        let (members, others): (Vec<&Rumor>, Vec<&Rumor>) =
            told.iter().partition(|rumor| matches!(rumor, Rumor::Member(_)));
        for rumor in members.into_iter().chain(others) {
            let rumor = self.fill_in_address(rumor, from);
            match self.hear_rumor(&rumor, &from.id) {
                Heard::New => learned += 1,
                Heard::Stale => answers.extend(self.answer_to(&rumor)),
                Heard::Known => {}
            }
        }
        if !want.is_empty() {
            let mut wanted: Vec<u64> = want.to_vec();
            wanted.sort_unstable();
            let found = self.records_where(|key| wanted.binary_search(&key).is_ok());
            answers.extend(found.into_iter().map(|(_, _, rumor)| rumor));
        }
        self.metrics.sync_records_learned += u64::from(learned);
        if learned > 0 {
            self.report_sync(from.id, learned, 0);
            self.expect_differences();
        }
        if !answers.is_empty() {
            self.send_records(from, reply_to, answers, Vec::new());
        }
    }

    fn report_sync(&mut self, with: MemberId, learned: u32, sent: u32) {
        let ctx = ctx!(self);
        ctx.event(None, EventKind::Synced { with, learned, sent });
    }

    /// Sends records in as many messages as they need.
    fn send_records(&mut self, to: &MemberRecord, addr: SocketAddr, rumors: Vec<Rumor>, mut want: Vec<u64>) {
        want.truncate(SYNC_RECORDS_MAX);
        if !rumors.is_empty() {
            self.report_sync(to.id, 0, rumors.len() as u32);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for rumor in rumors {
            let size = rumor.to_wire().encoded_len();
            if bytes + size > MESSAGE_BYTES && !batch.is_empty() {
                let rumors = core::mem::take(&mut batch);
                self.send_stream(addr, &Body::SyncRecords { rumors, want: Vec::new() });
                bytes = 0;
            }
            bytes += size;
            batch.push(rumor);
        }
        self.send_stream(addr, &Body::SyncRecords { rumors: batch, want });
    }

    /// Key and version hashes in these buckets.
    fn hashes_in(&self, mask: u64) -> Vec<(u64, u64)> {
        let inside = |key: u64| mask & (1 << bucket_of(key)) != 0;
        let members = self.membership.table().iter().filter_map(digested);
        let covered = !self.config.planted.has(Bug::SyncMembersOnly);
        let rumors = self.rumors.digested().filter(|_| covered).map(|(key, version, _)| (key, version));
        members.chain(rumors).filter(|(key, _)| inside(*key)).collect()
    }

    /// Records in these buckets, with their hashes.
    fn records_in(&self, mask: u64) -> Vec<(u64, u64, Rumor)> {
        self.records_where(|key| mask & (1 << bucket_of(key)) != 0)
    }

    fn records_where(&self, inside: impl Fn(u64) -> bool) -> Vec<(u64, u64, Rumor)> {
        let mut records = Vec::new();
        for record in self.membership.table().iter() {
            if let Some((key, version)) = digested(record)
                && inside(key)
                && let Some(statement) = self.statement(&record.id)
            {
                records.push((key, version, Rumor::Member(statement)));
            }
        }
        let covered = !self.config.planted.has(Bug::SyncMembersOnly);
        let rumors = self.rumors.digested().filter(|(key, _, _)| covered && inside(*key));
        records.extend(rumors.map(|(key, version, rumor)| (key, version, rumor.clone())));
        records
    }

    /// Records that digests leave out because they are on their way to being forgotten.
    fn gone_in(&self, mask: u64) -> Vec<(u64, Rumor)> {
        let inside = |key: u64| mask & (1 << bucket_of(key)) != 0;
        let mut gone = Vec::new();
        for record in self.membership.table().iter().filter(|r| r.state == State::Departed) {
            let key = hash_member(&record.id);
            if inside(key) {
                gone.extend(self.statement(&record.id).map(|s| (key, Rumor::Member(s))));
            }
        }
        let tombstones = self.rumors.tombstones().filter(|(key, _)| inside(*key));
        gone.extend(tombstones.map(|(key, rumor)| (key, rumor.clone())));
        gone
    }
}
