//! The rules by which votes are counted and an electorate changes, as pure functions of a member's knowledge. They send
//! nothing and store nothing.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::model::ballot::{Electorate, Voter};
use crate::model::id::MemberId;
use crate::model::limits::ELECTORATE_MAX;
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};

/// A group's members as one member knows them by the ring's rumors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roll {
    /// The members that run a service of the group with topology leader, and whether each answers; departed ones are
    /// not in it.
    pub(crate) members: alloc::collections::BTreeMap<MemberId, bool>,
    /// Members of the electorate that departed or run the service no longer.
    pub(crate) gone: alloc::collections::BTreeSet<MemberId>,
    /// Members of the electorate that an operator banned: they are gone for good.
    pub(crate) banned: alloc::collections::BTreeSet<MemberId>,
    /// The smallest size that the electorate counts as (`--quorum`, three by default): the highest that a member says.
    pub(crate) size_min: u32,
}

/// The smallest electorate where no `--quorum` says otherwise: of two, neither could do without the other.
pub(crate) const SIZE_MIN: u32 = 3;

/// The rule by which votes are counted, for one group at one moment.
#[derive(Clone, Debug)]
pub(super) struct Count {
    /// The founded electorate, without those an operator banned; empty while none is founded.
    seated: BTreeSet<MemberId>,
    /// The members that fill up an electorate that is smaller than the smallest; none when it is large enough.
    filled: Option<BTreeSet<MemberId>>,
    size_min: usize,
}

/// More than half.
fn majority(of: usize) -> usize {
    mutated!(HalfIsAMajority, of / 2 + 1, of.div_ceil(2))
}

impl Count {
    /// How votes for a request with this electorate are counted.
    pub(super) fn new(electorate: &Electorate, roll: &Roll, planted: Planted) -> Self {
        let size_min = if planted.has(Bug::QuorumOfTheLiving) { 1 } else { roll.size_min as usize };
        let excluded = |id: &MemberId| {
            let dead = planted.has(Bug::QuorumOfTheLiving) && roll.members.get(id) != Some(&true);
            roll.banned.contains(id) || dead
        };
        let mut seated = BTreeSet::new();
        if electorate.is_founded() {
            seated.extend(electorate.members.iter().filter(|id| !excluded(id)).copied());
        }
        let filled = (seated.len() < size_min).then(|| {
            let others: BTreeSet<MemberId> = if electorate.is_founded() {
                roll.members.keys().filter(|id| !roll.banned.contains(*id)).copied().collect()
            } else {
                electorate.members.iter().copied().collect()
            };
            seated.iter().copied().chain(others).take(ELECTORATE_MAX).collect()
        });
        let count = Self { seated, filled, size_min };
        assert!(
            count.filled.is_none() || count.seated.len() < size_min,
            "a large electorate is not filled up"
        );
        assert!(
            count.filled.as_ref().is_none_or(|f| f.len() <= ELECTORATE_MAX),
            "more voters than the limit"
        );
        count
    }

    /// The voters to ask.
    pub(super) fn voters(&self) -> BTreeSet<MemberId> {
        self.filled.as_ref().unwrap_or(&self.seated).clone()
    }

    /// The number of votes that a quorum needs.
    pub(super) fn needed(&self) -> usize {
        let needed = majority(self.voters().len().max(self.size_min));
        assert!(needed * 2 > self.voters().len(), "two quorums share a voter");
        needed
    }

    /// Whether these members' votes carry. A voter that does not run the service counts only while there are more
    /// seats than the smallest electorate has: until the leader has taken its seat away.
    pub(super) fn carries(&self, votes: &BTreeMap<MemberId, Voter>) -> bool {
        let counts = |id: &MemberId| {
            votes.get(id).is_some_and(|voter| {
                mutated!(StrangersVote, voter.is_member, true) || self.seated.len() > self.size_min
            })
        };
        let seats = self.seated.iter().filter(|id| counts(id)).count();
        if !self.seated.is_empty() && seats < majority(self.seated.len()) {
            return false;
        }
        let voters = self.filled.as_ref().unwrap_or(&self.seated);
        voters.iter().filter(|id| counts(id)).count() >= self.needed()
    }
}

/// The next electorate that the leader puts down, one member away from this one; none when nothing is to change.
///
/// In this order: members that are gone go while seats remain; the dead make room at even sizes, where their seats
/// only raise the quorum; members without a seat come, by id. No seat goes where most of the others are dead: the rest could
/// not elect any more, and a member that is gone may be one that has just started again.
pub(super) fn next(electorate: &Electorate, roll: &Roll, me: &MemberId) -> Option<Electorate> {
    if electorate.next_version() == electorate.version {
        // Each list of one term has a number of its own; the next leader's term makes room for others.
        return None;
    }
    let size_min = roll.size_min as usize;
    let seats = electorate.members.len();
    assert!(seats <= ELECTORATE_MAX, "more voters than the limit");
    let has_room = mutated!(ShrinksBelowTheLeast, seats > size_min, seats > 1);
    let is_gone = |id: &&MemberId| *id != me && (roll.gone.contains(*id) || roll.banned.contains(*id));
    let is_dead =
        |id: &&MemberId| *id != me && roll.members.get(*id) != Some(&true) && !roll.gone.contains(*id);
    let leaver =
        electorate.members.iter().find(is_gone).filter(|_| mutated!(SeatsOfTheGoneStay, has_room, false));
    let dead = electorate
        .members
        .iter()
        .find(is_dead)
        .filter(|_| has_room && mutated!(DeadMakeRoomAlways, seats.is_multiple_of(2), true));
    let lives = |id: &&MemberId| *id == me || roll.members.get(*id) == Some(&true);
    let elects = |out: &&MemberId| {
        let alive = electorate.members.iter().filter(|id| id != out).filter(lives).count();
        assert!(alive < seats, "the one whose seat goes is not counted");
        alive * 2 > seats - 1
    };
    if let Some(leaver) = leaver.or(dead).filter(elects) {
        let members = electorate.members.iter().filter(|id| *id != leaver).copied();
        return Some(changed(electorate, members));
    }
    let comer = roll.members.iter().find(|(id, alive)| **alive && !electorate.contains(id));
    let (comer, _) = comer.filter(|_| mutated!(NewcomersGetNoSeat, seats < ELECTORATE_MAX, false))?;
    Some(changed(electorate, electorate.members.iter().copied().chain([*comer])))
}

fn changed(from: &Electorate, members: impl Iterator<Item = MemberId>) -> Electorate {
    let proposal = Electorate::proposal(members);
    let (before, after) = (from.members.len(), proposal.members.len());
    assert!(before.abs_diff(after) == 1, "an electorate changes by one member at a time");
    Electorate { term: from.term, version: from.next_version(), members: proposal.members }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn id(n: u8) -> MemberId {
        MemberId::from_bytes([n; 16])
    }

    fn list(members: &[u8]) -> Electorate {
        Electorate { term: 1, version: 1, members: members.iter().map(|n| id(*n)).collect() }
    }

    fn roll(alive: &[u8], dead: &[u8], gone: &[u8]) -> Roll {
        let known = alive.iter().map(|n| (id(*n), true)).chain(dead.iter().map(|n| (id(*n), false)));
        let gone = gone.iter().map(|n| id(*n)).collect();
        Roll { members: known.collect(), gone, banned: BTreeSet::new(), size_min: SIZE_MIN }
    }

    #[test]
    fn seats_follow_the_group_one_at_a_time() {
        let then = |members: &[u8], roll: &Roll| -> Option<Vec<u8>> {
            let next = next(&list(members), roll, &id(1))?;
            assert_eq!(next.stamp(), (1, 2));
            Some(next.members.iter().map(|id| id.as_bytes()[0]).collect())
        };
        let (four, five) = ([1, 2, 3, 4], [1, 2, 3, 4, 5]);
        assert_eq!(then(&four, &roll(&four, &[], &[])), None);
        assert_eq!(then(&four, &roll(&[1, 3, 4], &[], &[2])), Some([1, 3, 4].into()), "it left");
        assert_eq!(then(&[1, 2, 3], &roll(&[1, 3], &[], &[2])), None, "three seats are the least");
        assert_eq!(then(&four, &roll(&[1, 3, 4], &[2], &[])), Some([1, 3, 4].into()), "a dead one, of four");
        assert_eq!(then(&five, &roll(&[1, 3, 4, 5], &[2], &[])), None, "of five its seat raises no quorum");
        assert_eq!(then(&[1, 2, 3], &roll(&four, &[], &[])), Some(four.into()), "a newcomer");
        assert_eq!(then(&[1, 2, 3], &roll(&[1, 2, 3], &[4], &[])), None, "one that is dead gets no seat");
        assert_eq!(then(&five, &roll(&[1, 3, 4], &[2], &[5])), Some(four.into()), "three of four live");
        assert_eq!(then(&five, &roll(&[1, 3], &[2, 4], &[5])), None, "two of four could not elect");
        let last = roll(&[2, 3], &[1], &[1]);
        assert_eq!(then(&[1, 2, 3, 4], &last), Some([1, 2, 3].into()), "the leader keeps its own seat");
    }

    #[test]
    fn a_voter_without_the_service_counts_only_beyond_the_least() {
        let carries = |members: &[u8], votes: &[(u8, bool)]| {
            let count = Count::new(&list(members), &roll(members, &[], &[]), Planted::default());
            let voter = |is_member| Voter { is_member, ..Voter::default() };
            count.carries(&votes.iter().map(|(n, is_member)| (id(*n), voter(*is_member))).collect())
        };
        assert!(carries(&[1, 2, 3], &[(1, true), (2, true)]));
        assert!(!carries(&[1, 2, 3], &[(1, true), (2, false)]));
        assert!(carries(&[1, 2, 3, 4], &[(1, true), (2, true), (3, false)]));
        assert!(!carries(&[1, 2, 3, 4], &[(1, true), (2, true)]), "half is no majority");
    }
}
