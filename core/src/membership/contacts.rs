//! The members that this one tells rumors: two neighbours and a permanent peer, whatever chance says, and all others in
//! turn.
//!
//! Neighbours are the next members up and down the circle of ids. Each member tells each rumor to both, so that a rumor
//! that nothing is lost of reaches every member by construction; random targets only make it quick. (Voulgaris and van
//! Steen, "Hybrid dissemination", Middleware 2007.) Where zones meet only at a permanent peer, neighbours may be out of
//! reach, and the permanent peer is the way.
//!
//! The others come in an order of their own for each burst of rumors, and no member twice before all had their turn.

use alloc::vec::Vec;

use super::Membership;
use super::probe::{coprime_below, stands_here};
use crate::model::id::MemberId;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;

/// Members that each rumor is told to in any case: the next one up, the next one down, the next permanent peer.
pub(crate) const CONTACTS: usize = 3;

/// Those of them that there are.
pub(crate) type Contacts = [Option<MemberId>; CONTACTS];

/// An order of the table's places: `first + n * stride`, with a stride that visits every place.
#[derive(Debug, Default)]
pub(super) struct Turns {
    length: u64,
    first: u64,
    stride: u64,
    taken: u64,
}

impl Turns {
    fn next(&mut self) -> Option<usize> {
        assert!(self.length > 0, "a table holds this member at least");
        let offset = u128::from(self.taken) * u128::from(self.stride) + u128::from(self.first);
        // After the last place the first one follows again, in the same order.
        self.taken =
            (self.taken + 1) % mutated!(LastHasNoTurn, self.length, self.length.saturating_sub(1).max(1));
        usize::try_from(offset % u128::from(self.length)).ok()
    }
}

/// How far it is from one id up the circle to another.
fn way_up(from: &MemberId, to: &MemberId) -> u128 {
    u128::from_be_bytes(*to.as_bytes()).wrapping_sub(u128::from_be_bytes(*from.as_bytes()))
}

impl Membership {
    /// The members that each rumor is told to in any case.
    pub(crate) fn contacts(&mut self) -> Contacts {
        let contacts = self.contacts.unwrap_or_else(|| self.find_contacts());
        self.contacts = Some(contacts);
        assert!(!contacts.contains(&Some(self.me)), "a member tells itself nothing");
        contacts
    }

    fn find_contacts(&self) -> Contacts {
        let me = *self.own();
        let others = || self.table.iter().filter(|r| takes_part(r) && !stands_here(r, &me));
        let up = others().min_by_key(|r| way_up(&me.id, &r.id)).map(|r| r.id);
        let down = others().max_by_key(|r| way_up(&me.id, &r.id)).map(|r| r.id).filter(|id| Some(*id) != up);
        assert!(up.is_none() || up != down, "two neighbours are two members");
        let peers = others().filter(|r| r.permanent && r.state == State::Alive);
        let peer = peers.min_by_key(|r| way_up(&me.id, &r.id)).map(|r| r.id);
        [up, down, peer.filter(|id| Some(*id) != up && Some(*id) != down)]
    }

    /// Every other member that is alive; none where there are more than so many.
    pub(crate) fn others_alive(&self, max: usize) -> Option<Vec<MemberRecord>> {
        let me = *self.own();
        let others = self.table.iter().filter(|r| r.state == State::Alive && !stands_here(r, &me));
        let others: Vec<MemberRecord> = others.take(max + 1).copied().collect();
        assert!(others.iter().all(|r| r.id != me.id), "a member is none of its others");
        (others.len() <= max).then_some(others)
    }

    /// The next members in turn, without this one; with `anew` in a new order.
    pub(crate) fn next_members(&mut self, count: usize, anew: bool) -> Vec<MemberRecord> {
        let length = self.table.len() as u64;
        if anew || self.turns.length != length {
            let (first, stride) = (self.rng.below(length), coprime_below(length, &mut self.rng));
            self.turns = Turns { length, first, stride, taken: 0 };
        }
        assert!(self.turns.length == length && length > 0, "turns go over the whole table");
        let me = *self.own();
        let mut chosen: Vec<MemberRecord> = Vec::with_capacity(count);
        for _ in 0..length {
            if chosen.len() == count {
                break;
            }
            let next = self.turns.next().and_then(|slot| self.table.at(slot));
            chosen.extend(next.filter(|r| takes_part(r) && !stands_here(r, &me)));
        }
        assert!(chosen.len() <= count, "so many are chosen and no more");
        chosen
    }
}

const fn takes_part(record: &MemberRecord) -> bool {
    matches!(record.state, State::Alive | State::Suspect)
}
