//! Probes: SWIM's failure detector. Each period one member, in shuffled round-robin order; besides, members that a
//! suspicion gives reason to check.
//!
//! ```text
//! ping ──timeout──▶ ping-req to helpers, and a ping over a stream ──verdict──▶ failed
//!   └──refused────────▶ (the same, at once)
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use super::table::MemberTable;
use crate::id::{EventId, InputId, MemberId, ProbeSeq};
use crate::membership::{MemberRecord, State};
use crate::rng::Rng;
use crate::time::Instant;

/// Probes under way at one time: the round's own and the checks of suspects.
pub(super) const PROBES_MAX: usize = 32;

/// Why a member is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is its turn; the outcome also tells about this member's own health.
    Round,
    /// Somebody else suspects it; this node looks for itself.
    Check,
    /// Somebody else buried it; this node looks for itself.
    Verify,
}

/// One probe under way.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) target: MemberId,
    pub(super) seq: ProbeSeq,
    pub(super) purpose: Purpose,
    /// The input in which the ping left.
    pub(super) ping: InputId,
    /// The input in which the indirect probes left.
    pub(super) indirect: Option<InputId>,
    /// When the indirect probes are due; the ping is lost or late by then.
    pub(super) direct_by: Instant,
    /// When it has failed.
    pub(super) verdict_by: Instant,
    /// Members asked to help.
    pub(super) helpers: u32,
    /// Helpers that answered that they cannot reach it either.
    pub(super) nacks: u32,
    /// Its host said that nobody listens.
    pub(super) refused: bool,
    /// The event that gave reason for it.
    pub(super) cause: Option<EventId>,
}

impl Probe {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Instant {
        if self.indirect.is_none() { self.direct_by } else { self.verdict_by }
    }

    /// Whether waiting longer could still bring an answer.
    pub(super) const fn hopeless(&self) -> bool {
        self.refused && self.indirect.is_some() && self.nacks >= self.helpers
    }
}

/// The probes under way and the order of rounds.
#[derive(Debug)]
pub(super) struct Prober {
    active: Vec<Probe>,
    /// Places in the member table, shuffled; walked once, then shuffled again.
    order: Vec<u32>,
    cursor: usize,
    next_seq: u64,
    /// When the next round begins.
    pub(super) next_round: Instant,
}

impl Prober {
    pub(super) fn new(next_round: Instant) -> Self {
        Self { active: Vec::new(), order: Vec::new(), cursor: 0, next_seq: 1, next_round }
    }

    pub(super) fn seq(&mut self) -> ProbeSeq {
        let seq = ProbeSeq(self.next_seq);
        self.next_seq += 1;
        seq
    }

    /// Takes a new member into the rest of the current walk, at a random place (SWIM section 4.3).
    pub(super) fn insert(&mut self, slot: usize, rng: &mut Rng) {
        let last = self.order.len();
        if last == self.order.capacity() {
            self.order.reserve_exact(last / 8 + 8);
        }
        self.order.push(slot as u32);
        let place = self.cursor + rng.index(last + 1 - self.cursor);
        self.order.swap(place, last);
    }

    /// The next member whose turn it is.
    pub(super) fn next_target(
        &mut self,
        table: &MemberTable,
        me: &MemberId,
        rng: &mut Rng,
    ) -> Option<MemberRecord> {
        // Twice: the rest of this walk, and one whole walk.
        for _ in 0..2 {
            while let Some(slot) = self.order.get(self.cursor) {
                self.cursor += 1;
                if let Some(record) = table.at(*slot as usize)
                    && record.id != *me
                    && is_probed(record)
                {
                    return Some(*record);
                }
            }
            self.order.clear();
            self.order.reserve_exact(table.len());
            self.order.extend(0..table.len() as u32);
            rng.shuffle(&mut self.order);
            self.cursor = 0;
        }
        None
    }

    /// Begins a probe; false when too many are under way or one of this member is.
    pub(super) fn begin(&mut self, probe: Probe) -> bool {
        if self.active.len() >= PROBES_MAX || self.is_probing(&probe.target) {
            return false;
        }
        self.active.push(probe);
        true
    }

    /// Whether another check may begin; the round's own probe always has room.
    pub(super) fn has_room(&self) -> bool {
        self.active.len() + 1 < PROBES_MAX
    }

    pub(super) fn is_probing(&self, target: &MemberId) -> bool {
        self.active.iter().any(|p| p.target == *target)
    }

    pub(super) fn round_under_way(&self) -> bool {
        self.active.iter().any(|p| p.purpose == Purpose::Round)
    }

    /// Ends the probe that this ack answers.
    pub(super) fn acked(&mut self, from: &MemberId, seq: ProbeSeq) -> Option<Probe> {
        let at = self.active.iter().position(|p| p.target == *from && p.seq == seq)?;
        Some(self.active.swap_remove(at))
    }

    pub(super) fn nacked(&mut self, target: &MemberId, seq: ProbeSeq) {
        if let Some(probe) = self.active.iter_mut().find(|p| p.target == *target && p.seq == seq) {
            probe.nacks = (probe.nacks + 1).min(probe.helpers);
        }
    }

    /// Notes that a target's host refuses.
    pub(super) fn refused(&mut self, target: &MemberId, now: Instant) {
        for probe in self.active.iter_mut().filter(|p| p.target == *target) {
            probe.refused = true;
            probe.direct_by = probe.direct_by.min(now);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.active.iter().map(Probe::due).min()
    }

    /// The first probe whose time has come, or which nothing can save.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Probe> {
        let at = self.active.iter().position(|p| p.due() <= now || p.hopeless())?;
        Some(self.active.swap_remove(at))
    }

    pub(super) fn put_back(&mut self, probe: Probe) {
        self.active.push(probe);
    }

    /// Probes of a member that changed its state or is gone prove nothing any more.
    pub(super) fn cancel(&mut self, target: &MemberId) {
        self.active.retain(|p| p.target != *target);
    }

    /// After a stall the answers may be waiting or lost; nobody is to blame for them.
    pub(super) fn cancel_all(&mut self, next_round: Instant) {
        self.active.clear();
        self.next_round = next_round;
    }
}

/// Whether a member is probed when its turn comes (reference A7.2, but a departed one never is).
fn is_probed(record: &MemberRecord) -> bool {
    match record.state {
        State::Alive | State::Suspect => true,
        State::Confirmed => record.permanent,
        State::Departed => false,
    }
}

/// The times of a probe that begins now.
pub(super) fn times(now: Instant, timeout_ms: u64, verdict_ms: u64) -> (Instant, Instant) {
    (now + Duration::from_millis(timeout_ms), now + Duration::from_millis(verdict_ms))
}
