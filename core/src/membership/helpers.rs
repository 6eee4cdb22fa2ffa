//! Chooses the members that are asked to probe for this one: first those that lately brought an answer, then permanent
//! peers, then any.
//!
//! Zones that meet only at a bastion would otherwise accuse each other: of the members that chance picks, most cannot
//! reach the other zone either. At least one is picked by chance all the same, so that a bastion that is itself in
//! trouble is not the only witness.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Membership;
use super::probe::{Probe, stands_here};
use crate::model::id::MemberId;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;

/// Answers that came through a helper and are remembered.
const WAYS_MAX: usize = 64;

/// The ways by which answers came, newest first: of which member, through which helper.
#[derive(Debug, Default)]
pub(super) struct Ways(VecDeque<(MemberId, MemberId)>);

impl Ways {
    /// A helper brought a member's answer.
    pub(super) fn worked(&mut self, target: MemberId, helper: MemberId) {
        assert!(target != helper, "a member does not help to probe itself");
        self.failed(&target, &helper);
        self.0.push_front((target, helper));
        self.0.truncate(WAYS_MAX);
        assert!(self.0.front() == Some(&(target, helper)), "the way that worked last comes first");
    }

    /// A helper did not reach a member.
    pub(super) fn failed(&mut self, target: &MemberId, helper: &MemberId) {
        self.0.retain(|way| mutated!(FailedWayStays, way != &(*target, *helper), true));
        assert!(self.0.len() <= WAYS_MAX, "ways have a limit");
    }

    /// The helpers that lately brought an answer: first of this member, then of any.
    fn helpers(&self, target: MemberId) -> impl Iterator<Item = MemberId> {
        let of_target = self.0.iter().filter(move |(of, _)| *of == target);
        let of_others = self.0.iter().filter(move |(of, _)| *of != target);
        of_target.chain(of_others).map(|(_, helper)| *helper)
    }
}

impl Membership {
    /// The members to ask about a probe's target. Those that chance picks are others than were asked before.
    pub(super) fn choose_helpers(&mut self, probe: &Probe) -> Vec<MemberRecord> {
        let count = self.timings.indirect_probes as usize;
        let target = probe.target;
        let mut chosen: Vec<MemberRecord> = Vec::with_capacity(count);
        if !self.planted.has(Bug::HelpersChosenBlindly) {
            // Where one helper is all that may be asked it is the likeliest one.
            let preferred_max = mutated!(HelpersArePeersOnly, count.saturating_sub(1).max(1), count.max(1));
            for helper in self.preferred_helpers(&target) {
                if chosen.len() < preferred_max && chosen.iter().all(|c| c.id != helper.id) {
                    chosen.push(helper);
                }
            }
        }
        let wanted = count + probe.asked.len() + chosen.len();
        let mut others = self.random_members(wanted, Some(&target));
        // Members that were not asked yet come first.
        others.sort_by_key(|other| probe.asked.contains(&other.id));
        for other in others {
            if chosen.len() < count && chosen.iter().all(|c| c.id != other.id) {
                chosen.push(other);
            }
        }
        assert!(chosen.len() <= count, "so many are asked and no more");
        chosen
    }

    pub(super) fn preferred_helpers(&mut self, target: &MemberId) -> Vec<MemberRecord> {
        let me = *self.own();
        let helps = |r: &&MemberRecord| r.id != *target && r.state == State::Alive && !stands_here(r, &me);
        let known = self.ways.helpers(*target).filter_map(|id| self.table.get(&id)).filter(helps);
        let mut preferred: Vec<MemberRecord> = known.take(1).copied().collect();
        let peers: Vec<MemberRecord> =
            self.table.iter().filter(|r| r.permanent).filter(helps).copied().collect();
        let picks = self.rng.sample(peers.len(), peers.len());
        preferred.extend(picks.into_iter().filter_map(|pick| peers.get(pick).copied()));
        assert!(
            preferred.iter().all(|r| r.id != *target && r.id != me.id),
            "others are asked about a target"
        );
        preferred
    }

    /// An answer came through the helper at this address.
    pub(super) fn note_way(&mut self, target: &MemberId, at: core::net::SocketAddr) {
        let asked = self.prober.asked(target);
        let record = |id: &&MemberId| self.table.get(id).is_some_and(|r| r.swim_addr() == at);
        if let Some(helper) = asked.iter().find(record).copied() {
            self.ways.worked(*target, helper);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MemberId {
        MemberId::from_bytes([n; 16])
    }

    #[test]
    fn the_way_that_worked_last_comes_first_and_one_that_failed_is_forgotten() {
        let mut ways = Ways::default();
        ways.worked(id(1), id(8));
        ways.worked(id(2), id(9));
        let helpers = |ways: &Ways, target| ways.helpers(id(target)).collect::<Vec<_>>();
        assert_eq!(helpers(&ways, 1), [id(8), id(9)]);
        assert_eq!(helpers(&ways, 2), [id(9), id(8)]);
        assert_eq!(helpers(&ways, 3), [id(9), id(8)], "a bridge to some may be one to others");
        ways.failed(&id(1), &id(8));
        assert_eq!(helpers(&ways, 1), [id(9)]);
        for n in 0..200 {
            ways.worked(id(n), id(201));
        }
        assert_eq!(ways.0.len(), WAYS_MAX);
    }
}
