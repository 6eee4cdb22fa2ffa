//! Elections, E1: at most one member ever wins a term of a group, and no member votes for two in one term, across all
//! crashes in between. A vote is given when its row is on disk. One whose row a supervisor took down with it, and that no
//! victory rests on, was told to no candidate: after its restart the voter has it to give once more.

use std::collections::BTreeMap;

use annulus_core::{ElectionEvent, ElectionId, EventKind, MemberId};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneWinner {
    members: BTreeMap<HostId, MemberId>,
    winners: BTreeMap<(ElectionId, u64), MemberId>,
    votes: BTreeMap<(ElectionId, u64, MemberId), MemberId>,
}

impl OneWinner {
    /// A supervisor starts again, with these rows on its disk.
    fn restored(&mut self, host: HostId, rows: &[(ElectionId, u64)]) {
        let Some(member) = self.members.get(&host) else { return };
        let stored =
            |election: &ElectionId| rows.iter().find(|(of, _)| of == election).map_or(0, |(_, term)| *term);
        let winners = &self.winners;
        self.votes.retain(|(election, term, voter), candidate| {
            let is_counted = winners.get(&(election.clone(), *term)) == Some(candidate);
            voter != member || *term <= stored(election) || is_counted
        });
    }
}

impl Checker for OneWinner {
    fn name(&self) -> &'static str {
        "one_winner"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
            }
            What::Restored { host, votes, .. } => self.restored(*host, votes),
            What::Event { host, event } => {
                let EventKind::Election { election, term, what } = &event.kind else { return Ok(()) };
                let Some(member) = self.members.get(host).copied() else { return Ok(()) };
                match what {
                    ElectionEvent::Won { .. } => {
                        let winner = *self.winners.entry((election.clone(), *term)).or_insert(member);
                        if winner != member {
                            return Err(format!("{winner} and {member} both won term {term} of {election}"));
                        }
                    }
                    ElectionEvent::Voted { candidate } => {
                        let key = (election.clone(), *term, member);
                        let first = *self.votes.entry(key).or_insert(*candidate);
                        if first != *candidate {
                            return Err(format!(
                                "{member} voted for {first} and for {candidate} in term {term} of {election}"
                            ));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, record, started};
    use super::*;

    fn at(host: u32, term: u64, what: ElectionEvent) -> Record {
        let election = ElectionId::leader("redis.default".parse().expect("a group"));
        event(host, EventKind::Election { election, term, what })
    }

    #[test]
    fn a_term_has_one_winner_and_a_voter_one_vote() {
        let won = ElectionEvent::Won { votes: 2, voters: 3 };
        let run = |records: &[Record]| {
            let mut checker = OneWinner::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        let (a, b) = (started(0, 1, false), started(1, 2, false));
        assert_eq!(run(&[a.clone(), b.clone(), at(0, 1, won), at(1, 2, won), at(0, 1, won)]), Ok(()));
        let twice = run(&[a.clone(), b.clone(), at(0, 1, won), at(1, 1, won)]);
        assert!(twice.expect_err("it has to fire").contains("both won term 1"));
        let vote = |n| ElectionEvent::Voted { candidate: member(n) };
        assert_eq!(run(&[a.clone(), at(0, 1, vote(1)), at(0, 2, vote(2))]), Ok(()));
        let two = run(&[a.clone(), at(0, 1, vote(1)), a, at(0, 1, vote(2))]);
        assert!(two.expect_err("it has to fire").contains("in term 1"));
    }

    #[test]
    fn a_vote_that_its_supervisor_took_down_with_it_was_not_given() {
        let vote = |n| at(0, 3, ElectionEvent::Voted { candidate: member(n) });
        let again = |stored: u64, before: &[Record]| {
            let votes = vec![(ElectionId::leader("redis.default".parse().expect("a group")), stored)];
            let restored = What::Restored { host: HostId(0), versions: Vec::new(), votes, said: Vec::new() };
            let both = [started(0, 1, false), started(1, 2, false), vote(2)];
            let rest = [started(0, 1, true), record(restored), vote(1)];
            let mut checker = OneWinner::default();
            [&both[..], before, &rest[..]].concat().iter().try_for_each(|record| checker.observe(record))
        };
        assert_eq!(again(2, &[]), Ok(()));
        assert!(again(3, &[]).is_err(), "its disk had it");
        let won = at(1, 3, ElectionEvent::Won { votes: 2, voters: 3 });
        assert!(again(2, &[won]).is_err(), "it was told before it was stored");
    }
}
