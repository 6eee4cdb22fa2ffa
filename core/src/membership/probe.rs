//! Probes: SWIM's failure detector. Each period this member probes one other in shuffled round-robin order, and besides
//! it checks suspects. A probe only finds out; `detect` judges its outcome.
//!
//! ```text
//! ping ─▶ ping ─▶ ping ──timeout──▶ ping-req to helpers, stream ping ─▶ to other helpers ──verdict──▶ failed
//!   └──refused────────────────────▶ (the same, at once)
//! ```
//!
//! Pings are repeated within the timeout because one lost datagram in five would otherwise make every third probe
//! a suspicion; where nothing is lost the first is answered and the others never sent.

use alloc::vec::Vec;
use core::time::Duration;

use super::table::MemberTable;
use crate::model::context::Follows;
use crate::model::id::{InputId, MemberId, ProbeSeq};
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::rng::Rng;
use crate::model::time::Instant;

/// Probes under way at one time: the round's own and the checks of suspects.
pub(super) const PROBES_MAX: usize = 32;

/// The highest number of a probe: questions about other things have higher ones.
const SEQ_MAX: u64 = (1 << 61) - 1;

const _: () = assert!(PROBES_MAX > 1, "the round's own probe has room beside a check");

/// Why a member is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is its turn; the outcome also tells about this member's own health.
    Round,
    /// Another member suspects it; this node checks for itself.
    Check,
    /// Another member confirmed it dead; this node checks for itself.
    Verify,
}

/// One probe under way.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) target: MemberId,
    pub(super) seq: ProbeSeq,
    pub(super) purpose: Purpose,
    /// The input in which the first ping left.
    pub(super) ping: InputId,
    /// When the ping, or later the requests to helpers, are sent again, and how many times that may still happen.
    pub(super) again_at: Instant,
    pub(super) again: u32,
    /// The input in which the indirect probes left.
    pub(super) indirect: Option<InputId>,
    /// When the indirect probes are due; the ping is lost or late by then.
    pub(super) direct_by: Instant,
    /// When it has failed.
    pub(super) verdict_by: Instant,
    /// Members asked to help in time to send a nack.
    pub(super) helpers: u32,
    /// All members asked to help.
    pub(super) asked: Vec<MemberId>,
    /// Helpers that answered that they cannot reach it either.
    pub(super) nacks: u32,
    /// Its host said that no process listens on the port.
    pub(super) refused: bool,
    /// The event that gave reason for it.
    pub(super) cause: Follows,
}

impl Probe {
    /// The time of its next step.
    pub(super) fn due(&self) -> Instant {
        match self.indirect {
            Some(_) if self.again > 0 => self.again_at.min(self.verdict_by),
            Some(_) => self.verdict_by,
            None if self.again > 0 => self.again_at.min(self.direct_by),
            None => self.direct_by,
        }
    }

    /// Whether waiting longer could still bring an answer.
    pub(super) const fn hopeless(&self) -> bool {
        self.refused && self.indirect.is_some() && self.nacks >= self.helpers
    }
}

/// The order of rounds: every place of the member table once, in an order of its own each time.
///
/// A walk visits `first + i * stride` modulo its length, with a stride that has no divisor in common with the
/// length. That is as good as a shuffled list for spreading probes and needs no list, which in a simulation of
/// ten thousand members would be ten thousand lists of ten thousand.
#[derive(Debug, Default)]
struct Walk {
    length: u64,
    first: u64,
    stride: u64,
    visited: u64,
    /// Places that came into use since this walk began.
    newcomers: Vec<u32>,
}

impl Walk {
    fn new(length: u64, rng: &mut Rng) -> Self {
        let stride = coprime_below(length, rng);
        let first = if length == 0 { 0 } else { rng.below(length) };
        assert!(length == 0 || gcd(stride, length) == 1, "a walk visits every place");
        Self { length, first, stride, visited: 0, newcomers: Vec::new() }
    }

    /// The next place; a newcomer's turn comes at a random moment of the rest of the walk (SWIM section 4.3).
    fn next(&mut self, rng: &mut Rng) -> Option<usize> {
        assert!(self.visited <= self.length, "a walk visits every place once");
        let left = self.length - self.visited;
        let waiting = self.newcomers.len() as u64;
        if waiting > 0 && rng.chance(waiting, left + waiting) {
            let at = rng.index(self.newcomers.len());
            return Some(self.newcomers.swap_remove(at) as usize);
        }
        if left == 0 {
            return None;
        }
        let offset = u128::from(self.visited) * u128::from(self.stride) + u128::from(self.first);
        self.visited += 1;
        usize::try_from(offset % u128::from(self.length)).ok()
    }
}

/// A random number below this one that has no divisor in common with it.
pub(super) fn coprime_below(length: u64, rng: &mut Rng) -> u64 {
    if length <= 2 {
        return 1;
    }
    loop {
        let stride = rng.between(1, length - 1);
        if gcd(stride, length) == 1 {
            return stride;
        }
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The probes under way and the order of rounds.
#[derive(Debug)]
pub(super) struct Prober {
    active: Vec<Probe>,
    walk: Walk,
    /// Draws the numbers of probes, and nothing else.
    numbers: Rng,
    /// When the next round begins.
    pub(super) next_round: Instant,
}

impl Prober {
    pub(super) fn new(next_round: Instant, numbers: Rng) -> Self {
        Self { active: Vec::new(), walk: Walk::default(), numbers, next_round }
    }

    /// A number for a probe that cannot be guessed: an answer that repeats it comes from a host that the probe reached.
    pub(super) fn seq(&mut self) -> ProbeSeq {
        ProbeSeq(1 + self.numbers.below(SEQ_MAX))
    }

    /// Whether a probe of this member with this number is under way.
    pub(super) fn is_awaited(&self, target: &MemberId, seq: ProbeSeq) -> bool {
        self.active.iter().any(|p| p.target == *target && p.seq == seq)
    }

    /// Takes a new member into the rest of the current walk.
    pub(super) fn insert(&mut self, slot: usize) {
        if mutated!(NewcomersNotProbed, slot as u64 >= self.walk.length && self.walk.length > 0, false) {
            self.walk.newcomers.push(slot as u32);
        }
    }

    /// The next member whose turn it is.
    pub(super) fn next_target(
        &mut self,
        table: &MemberTable,
        me: &MemberRecord,
        rng: &mut Rng,
    ) -> Option<MemberRecord> {
        // The search covers the rest of this walk and one whole walk.
        for _ in 0..2 {
            while let Some(slot) = self.walk.next(rng) {
                if let Some(record) = table.at(slot)
                    && !stands_here(record, me)
                    && is_probed(record)
                {
                    assert!(record.id != me.id, "a member does not probe itself");
                    return Some(*record);
                }
            }
            self.walk = Walk::new(table.len() as u64, rng);
        }
        None
    }

    /// Begins a probe; false when too many are under way or one of this member is.
    pub(super) fn begin(&mut self, probe: Probe) -> bool {
        if self.active.len() >= PROBES_MAX || self.is_probing(&probe.target) {
            return false;
        }
        assert!(probe.direct_by <= probe.verdict_by, "others are asked before the verdict");
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

    /// The members that were asked to help to probe a target.
    pub(super) fn asked(&self, target: &MemberId) -> &[MemberId] {
        self.active.iter().find(|p| p.target == *target).map_or(&[], |p| &p.asked)
    }

    pub(super) fn round_under_way(&self) -> bool {
        self.active.iter().any(|p| p.purpose == Purpose::Round)
    }

    /// Ends the probe that this ack answers.
    pub(super) fn acked(&mut self, from: &MemberId, seq: ProbeSeq) -> Option<Probe> {
        let at = self
            .active
            .iter()
            .position(|p| p.target == *from && mutated!(AckOfAnyProbe, p.seq == seq, true))?;
        Some(self.active.swap_remove(at))
    }

    pub(super) fn nacked(&mut self, target: &MemberId, seq: ProbeSeq) {
        if let Some(probe) = self.active.iter_mut().find(|p| p.target == *target && p.seq == seq) {
            probe.nacks = mutated!(NacksNotCounted, (probe.nacks + 1).min(probe.helpers), probe.nacks);
            assert!(probe.nacks <= probe.helpers, "a helper answers once");
        }
    }

    /// Notes that a target's host refuses.
    pub(super) fn refused(&mut self, target: &MemberId, now: Instant) {
        for probe in self.active.iter_mut().filter(|p| p.target == *target) {
            probe.refused = true;
            probe.direct_by = mutated!(RefusalNotQuick, probe.direct_by.min(now), probe.direct_by);
            assert!(mutated!(RefusalNotQuick, probe.direct_by <= now, true), "a refusal is an answer");
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.active.iter().map(Probe::due).min()
    }

    /// The first probe whose time has come, or which nothing can save.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Probe> {
        assert!(self.active.len() <= PROBES_MAX, "probes have a limit");
        let at = self.active.iter().position(|p| p.due() <= now || p.hopeless())?;
        Some(self.active.swap_remove(at))
    }

    pub(super) fn put_back(&mut self, probe: Probe) {
        assert!(!self.is_probing(&probe.target), "a member is probed once at a time");
        assert!(self.active.len() < PROBES_MAX, "probes have a limit");
        self.active.push(probe);
    }

    /// Probes of a member that changed its state or is gone prove nothing any more.
    pub(super) fn cancel(&mut self, target: &MemberId) {
        self.active.retain(|p| p.target != *target);
    }

    /// After a stall the answers may be waiting or lost; no member is to blame for that.
    pub(super) fn cancel_all(&mut self, next_round: Instant) {
        self.active.clear();
        self.next_round = next_round;
    }
}

/// Whether it is this member itself, or an earlier one at its address: a host that lost its disk came back under a
/// new id, and this member cannot probe itself for the old one. The other members find out.
pub(super) fn stands_here(record: &MemberRecord, me: &MemberRecord) -> bool {
    record.id == me.id || (record.address == me.address && record.swim_port == me.swim_port)
}

/// Whether a member is probed when its turn comes (as in Habitat, but a departed one never is).
fn is_probed(record: &MemberRecord) -> bool {
    match record.state {
        State::Alive | State::Suspect => true,
        State::Confirmed => {
            mutated!(ConfirmedIsProbed, mutated!(PermanentNotProbed, record.permanent, false), true)
        }
        State::Departed => mutated!(DepartedIsProbed, false, record.permanent),
    }
}

/// The times of a probe that begins now.
pub(super) fn times(now: Instant, timeout_ms: u64, verdict_ms: u64) -> (Instant, Instant) {
    (now + Duration::from_millis(timeout_ms), now + Duration::from_millis(verdict_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_visits_every_place_once_newcomers_included() {
        let mut rng = Rng::from_seed([3; 32]);
        for length in 0..60_u64 {
            let mut walk = Walk::new(length, &mut rng);
            let mut seen: Vec<usize> = Vec::new();
            for step in 0..length + 3 {
                if step == length / 2 {
                    walk.newcomers.extend([length as u32, length as u32 + 1, length as u32 + 2]);
                }
                seen.extend(walk.next(&mut rng));
            }
            assert_eq!(walk.next(&mut rng), None);
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..length as usize + 3), "length {length}");
        }
    }

    fn table(count: u8) -> MemberTable {
        let mut table = MemberTable::default();
        for n in 0..count {
            table.put(member(n, State::Alive));
        }
        table
    }

    fn member(n: u8, state: State) -> MemberRecord {
        MemberRecord {
            id: MemberId::from_bytes([n; 16]),
            incarnation: crate::model::id::Incarnation(1),
            address: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, n)),
            swim_port: 9_638,
            gossip_port: 9_638,
            state,
            permanent: false,
        }
    }

    /// Who has its turn, so many times.
    fn turns(prober: &mut Prober, table: &MemberTable, rng: &mut Rng, count: usize) -> Vec<u8> {
        let me = member(0, State::Alive);
        let turn = |_| prober.next_target(table, &me, rng).map(|target| target.id.as_bytes()[0]);
        (0..count).filter_map(turn).collect()
    }

    #[test]
    fn a_newcomer_has_its_turn_before_any_other_has_a_second_one() {
        for seed in 0..50 {
            let mut rng = Rng::from_seed([seed; 32]);
            let (mut prober, mut table) = (Prober::new(Instant::ZERO, Rng::from_seed([1; 32])), table(10));
            let mut seen = turns(&mut prober, &table, &mut rng, 4);
            prober.insert(table.put(member(10, State::Alive)).expect("it is new"));
            seen.extend(turns(&mut prober, &table, &mut rng, 6));
            seen.sort_unstable();
            assert!(seen.into_iter().eq(1..=10), "seed {seed}");
        }
    }

    #[test]
    fn the_dead_have_no_turn_and_permanent_peers_have_one_until_they_depart() {
        let mut rng = Rng::from_seed([5; 32]);
        let (mut prober, mut table) = (Prober::new(Instant::ZERO, Rng::from_seed([1; 32])), table(2));
        let permanent = |n, state| MemberRecord { permanent: true, ..member(n, state) };
        table.put(member(2, State::Suspect));
        table.put(member(3, State::Confirmed));
        table.put(permanent(4, State::Confirmed));
        table.put(member(5, State::Departed));
        table.put(permanent(6, State::Departed));
        let mut seen = turns(&mut prober, &table, &mut rng, 60);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 4]);
    }
}
