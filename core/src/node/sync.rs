//! Anti-entropy: two nodes compare digests and send each other the records that differ, and no others.
//!
//! ```text
//! A ── begin: 64 digests ──▶ B      equal: that was all
//!   ◀── keys ──────────────         B's keys and versions where they differ
//!   ── records, want ──────▶        records that B lacks; keys that A lacks
//!   ◀── records ───────────
//! ```
//! A newcomer, which holds next to nothing, gets the records at once instead of keys. The exchange is repeated
//! soon while it finds differences and rarely once it finds none. Between, pings carry one hash of everything that their
//! senders hold, and a difference there begins an exchange at once.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::knowledge::{Knowledge, is_inside};
use super::offers::Offers;
use super::{Node, ctx, know, transmit};
use crate::membership::Heard;
use crate::model::channel::Channel;
use crate::model::config::Timings;
use crate::model::context::{Context, Follows, earliest};
use crate::model::digest::BUCKETS;
use crate::model::event::EventKind;
use crate::model::id::MemberId;
use crate::model::io::WakeReason;
use crate::model::limits::{RUMOR_BYTES_MAX, STREAM_BYTES_MAX, SYNC_RECORDS_MAX};
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::rng::Rng;
use crate::model::rumor::{Rumor, Told};
use crate::model::time::Instant;
use crate::wire::stream::Body;

/// A newcomer holds less than one in this many of the other side's records.
const NEWCOMER_FACTOR: u32 = 4;
/// Records of one message, in bytes; more go into further messages.
const MESSAGE_BYTES: usize = 1024 * 1024;

const _: () =
    assert!(MESSAGE_BYTES + RUMOR_BYTES_MAX < STREAM_BYTES_MAX, "the record that fills a message fits too");
/// The hashes of this member and of another one over which an exchange was begun.
#[derive(Clone, Copy, Debug)]
struct Compared {
    mine: u64,
    theirs: u64,
    /// Over the same two the next one begins no earlier than this.
    again_at: Instant,
    wait_ms: u64,
}

/// Pairs of hashes that are remembered.
const COMPARED_MAX: usize = 16;

const _: () = assert!(NEWCOMER_FACTOR > 1, "a member that holds as much is no newcomer");

/// The time of the next exchange: soon while there are differences, late once there are none.
#[derive(Debug)]
pub(super) struct Sync {
    next: Instant,
    interval_ms: u64,
    heal_after: Instant,
    /// No exchange begins by a ping's hash before this.
    compare_after: Instant,
    /// What exchanges were begun over, newest last.
    compared: VecDeque<Compared>,
    offers: Offers,
    wants: Offers,
    interval_ms_min: u64,
    interval_ms_max: u64,
}

impl Sync {
    pub(super) fn new(now: Instant, timings: &Timings) -> Self {
        let interval_ms = timings.sync_period_ms_min;
        assert!(0 < interval_ms && interval_ms <= timings.sync_period_ms, "a configuration is checked");
        Self {
            next: now + Duration::from_millis(interval_ms),
            interval_ms,
            heal_after: now,
            compare_after: now,
            compared: VecDeque::new(),
            offers: Offers::default(),
            wants: Offers::default(),
            interval_ms_min: interval_ms,
            interval_ms_max: timings.sync_period_ms,
        }
    }

    /// When the next exchange begins.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.next, WakeReason::Sync)])
    }

    /// An exchange begins now: plans the one after it.
    fn begun(&mut self, now: Instant, rng: &mut Rng) {
        let interval_ms = self.interval_ms;
        assert!(interval_ms >= self.interval_ms_min, "exchanges never follow each other too soon");
        self.interval_ms = mutated!(SyncNeverSlows, (interval_ms * 2).min(self.interval_ms_max), interval_ms);
        let wait_ms = rng.between(interval_ms * 3 / 4, interval_ms * 5 / 4);
        self.next = now + Duration::from_millis(wait_ms.max(1));
        assert!(self.next > now, "one exchange is followed by a pause");
    }

    /// Differences were found or are likely: the next exchange comes soon.
    fn expect_differences(&mut self, now: Instant, rng: &mut Rng) {
        self.interval_ms = self.interval_ms_min;
        let soon = now + Duration::from_millis(rng.between(self.interval_ms_min / 2, self.interval_ms_min));
        self.next = mutated!(SyncStaysSlow, self.next.min(soon), self.next);
        assert!(mutated!(SyncStaysSlow, self.next <= soon, true), "an exchange follows soon");
    }

    /// Whether an exchange may begin because a ping's hash differs. One that was begun over the same two hashes and
    /// changed neither hardly has more to find, so it is repeated ever more rarely.
    fn disagrees(&mut self, now: Instant, mine: u64, theirs: u64) -> bool {
        assert!(mine != theirs, "equal hashes leave nothing to compare");
        let is_same = |compared: &&Compared| (compared.mine, compared.theirs) == (mine, theirs);
        let last = self.compared.iter().find(is_same).copied();
        let is_early = last.is_some_and(|last| last.again_at > now);
        if is_early || self.compare_after > now {
            return false;
        }
        self.compare_after = now + Duration::from_millis(self.interval_ms_min / 2);
        let wait_ms = last.map_or(self.interval_ms_min, |last| last.wait_ms * 2).min(self.interval_ms_max);
        self.compared.retain(|compared| !is_same(&compared));
        if self.compared.len() >= COMPARED_MAX {
            self.compared.pop_front();
        }
        let again_at = now + Duration::from_millis(wait_ms);
        assert!(again_at > now, "one exchange is followed by a pause");
        self.compared.push_back(Compared { mine, theirs, again_at, wait_ms });
        assert!(self.compared.len() <= COMPARED_MAX, "pairs of hashes have a limit");
        true
    }

    /// Whether an exchange out of turn may begin, as it does when a member comes back. It counts as begun.
    fn heal(&mut self, now: Instant) -> bool {
        let may = self.heal_after <= now;
        if may {
            self.heal_after = now + Duration::from_millis(self.interval_ms_min / 2);
        }
        assert!(self.heal_after > now, "exchanges out of turn follow each other with a pause");
        may
    }
}

/// One side of an exchange with a member that is reached at this address.
struct Exchange<'a, 'c> {
    ctx: &'a mut Context<'c>,
    know: Knowledge<'a>,
    with: SocketAddr,
}

impl Exchange<'_, '_> {
    fn send(&mut self, body: Body<Vec<u8>>) {
        transmit::stream(self.ctx, self.know, self.with, body);
    }

    fn report(&mut self, with: MemberId, learned: u32, sent: u32) {
        assert!(learned > 0 || sent > 0, "an exchange without a difference is not worth a word");
        // The input is the other side's message.
        self.ctx.event(Follows::Input, EventKind::Synced { with, learned, sent });
    }

    /// Sends digests for the other side to compare.
    fn begin(&mut self) {
        self.ctx.metrics.syncs += 1;
        let digest = self.know.digest();
        self.send(Body::SyncBegin { buckets: Box::new(*digest.buckets()), records: digest.records() });
    }

    /// Compares, and answers with keys where there are differences; a newcomer gets the records themselves.
    fn answer_digest(&mut self, from: &MemberRecord, theirs: &[u64; BUCKETS], records: u32) {
        let digest = self.know.digest();
        let mask = digest.differences(theirs);
        if mask == 0 {
            return;
        }
        if records.saturating_mul(NEWCOMER_FACTOR) < digest.records() {
            let everything = self.know.told_where(|key| is_inside(mask, key));
            // Where the other side alone holds something it is asked for that.
            if !everything.is_empty() {
                return self.send_records(from.id, everything, Vec::new());
            }
        }
        let mut hashes: Vec<(u64, u64)> =
            self.know.hashes_in(mask).into_iter().take(SYNC_RECORDS_MAX).collect();
        hashes.sort_unstable();
        assert!(hashes.len() <= SYNC_RECORDS_MAX, "an answer has a bound");
        self.send(Body::SyncKeys { buckets: mask, hashes });
    }

    /// Answers with the records that the other side lacks, and asks for those that this one lacks.
    fn answer_keys(
        &mut self,
        (offers, wants): (&mut Offers, &mut Offers),
        from: &MemberRecord,
        mask: u64,
        hashes: &[(u64, u64)],
    ) {
        let mut theirs: BTreeMap<u64, u64> = hashes.iter().copied().collect();
        let mut lacking = Vec::new();
        for (key, version) in self.know.hashes_in(mask) {
            if theirs.get(&key) == Some(&version) {
                theirs.remove(&key);
            } else {
                lacking.push((key, version));
            }
        }
        let lacking = offers.worth_making(self.ctx.now, &from.id, lacking);
        let mut rumors = self.know.told_where(|key| lacking.contains(&key));
        // The other side still holds records that this node knows to be gone: it gets the tombstones, and is not asked
        // for those records.
        for (key, rumor) in self.know.gone_in(mask) {
            if theirs.remove(&key).is_some() {
                rumors.push(rumor);
            }
        }
        assert!(theirs.len() <= hashes.len(), "this node asks only for records of the other side");
        let want = theirs
            .into_iter()
            .filter(|(key, _)| mutated!(NothingWanted, is_inside(mask, *key), false))
            .collect();
        let want: Vec<u64> = wants.worth_making(self.ctx.now, &from.id, want).into_iter().collect();
        if !rumors.is_empty() || !want.is_empty() {
            self.send_records(from.id, rumors, want);
        }
    }

    /// Answers after the other side's records were taken in: `answers` are newer records than theirs, `want` the keys
    /// of records that the other side lacks.
    fn conclude(&mut self, from: &MemberRecord, learned: u32, mut answers: Vec<Vec<u8>>, want: &[u64]) {
        if mutated!(WantNotAnswered, !want.is_empty(), false) {
            let mut wanted: Vec<u64> = want.to_vec();
            wanted.sort_unstable();
            answers.extend(self.know.told_where(|key| wanted.binary_search(&key).is_ok()));
        }
        self.ctx.metrics.sync_records_learned += u64::from(learned);
        if learned > 0 {
            self.report(from.id, learned, 0);
        }
        if !answers.is_empty() {
            self.send_records(from.id, answers, Vec::new());
        }
    }

    /// Sends records in as many messages as they need.
    fn send_records(&mut self, to: MemberId, rumors: Vec<Vec<u8>>, mut want: Vec<u64>) {
        assert!(to != self.know.me, "a member compares notes with others");
        want.truncate(SYNC_RECORDS_MAX);
        if !rumors.is_empty() {
            self.report(to, 0, rumors.len() as u32);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for rumor in rumors {
            let size = rumor.len();
            if mutated!(OneMessageForAll, bytes + size > MESSAGE_BYTES, false) && !batch.is_empty() {
                let rumors = core::mem::take(&mut batch);
                self.send(Body::SyncRecords { rumors, want: Vec::new() });
                bytes = 0;
            }
            bytes += size;
            batch.push(rumor);
        }
        self.send(Body::SyncRecords { rumors: batch, want });
    }
}

/// One side of an exchange, with the parts that it borrows of the node.
macro_rules! exchange {
    ($node:ident, $with:expr) => {
        Exchange { ctx: ctx!($node), know: know!($node), with: $with }
    };
}

impl Node {
    /// The periodic exchange with a random member.
    pub(super) fn run_sync(&mut self) {
        self.repair_strays();
        self.sync.begun(self.clock.now(), &mut self.rng);
        if let Some(member) = self.membership.random_members(1, None).first() {
            self.begin_sync(member.gossip_addr());
        }
    }

    pub(super) fn begin_sync(&mut self, to: SocketAddr) {
        exchange!(self, to).begin();
    }

    /// A ping carried the hash of what its sender holds. This member compares once it has told everything itself.
    pub(super) fn compare(&mut self, from: &MemberRecord, theirs: u64) {
        assert!(theirs != 0, "a hash of 0 says nothing");
        let now = self.clock.now();
        let mine = know!(self).digest_hash();
        if mine != theirs && self.gossip.is_quiet(now) && self.sync.disagrees(now, mine, theirs) {
            self.begin_sync(from.gossip_addr());
        }
    }

    /// Exchanges digests with a member that was believed dead or was never seen before.
    pub(super) fn sync_soon_with(&mut self, id: &MemberId) {
        let Some(record) = self.membership.table().get(id).copied() else { return };
        let now = self.clock.now();
        self.sync.expect_differences(now, &mut self.rng);
        if mutated!(NoSyncOnHeal, self.sync.heal(now), false) {
            self.begin_sync(record.gossip_addr());
            // A stream to a host that was down may hang in a try to connect that began then.
            mutated!(NotToldBack, self.gossip.tell_back(ctx!(self), know!(self), &record), ());
        }
    }

    pub(super) fn on_sync_begin(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        theirs: &[u64; BUCKETS],
        records: u32,
    ) {
        exchange!(self, reply_to).answer_digest(from, theirs, records);
    }

    pub(super) fn on_sync_keys(
        &mut self,
        from: &MemberRecord,
        reply_to: SocketAddr,
        mask: u64,
        hashes: &[(u64, u64)],
    ) {
        let mut offers = core::mem::take(&mut self.sync.offers);
        let mut wants = core::mem::take(&mut self.sync.wants);
        exchange!(self, reply_to).answer_keys((&mut offers, &mut wants), from, mask, hashes);
        self.sync.offers = offers;
        self.sync.wants = wants;
    }

    pub(super) fn on_sync_records(
        &mut self,
        from: &MemberRecord,
        source: SocketAddr,
        told: &[Told<'_>],
        want: &[u64],
    ) {
        let mut learned = 0;
        let mut lagging = Vec::new();
        // Members first: a service of an unknown member is worth nothing.
        let (members, others): (Vec<&Told<'_>>, Vec<&Told<'_>>) =
            told.iter().partition(|told| matches!(told.rumor(), Rumor::Member(_)));
        let (first, then) = mutated!(ServicesBeforeMembers, (members, others), (others, members));
        for told in first.into_iter().chain(then) {
            let told = self.fill_in_address(told, from);
            match self.hear_rumor(&told, &from.id, (source, Channel::Stream)) {
                Heard::New => learned += 1,
                Heard::Stale => lagging.push(told),
                Heard::Known => {}
            }
        }
        assert!(learned as usize <= told.len(), "a node learns only records that it was told");
        // What was heard may have this member say something new, which is the answer then.
        self.wire_up();
        let newer = |told: &Cow<'_, Told<'_>>| know!(self).answer_to(told.rumor());
        let answers: Vec<Vec<u8>> = lagging.iter().filter_map(newer).collect();
        let answers = mutated!(StaleNotCorrected, answers, Vec::new());
        assert!(answers.len() <= told.len(), "one record is answered once");
        if learned > 0 {
            self.sync.expect_differences(self.clock.now(), &mut self.rng);
        }
        exchange!(self, from.gossip_addr()).conclude(from, learned, answers, want);
    }
}
