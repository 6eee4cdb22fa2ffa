//! Elections, E1: at most one member ever wins a term of a group, and no member votes for two in one term, across all
//! crashes in between.

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

impl Checker for OneWinner {
    fn name(&self) -> &'static str {
        "one_winner"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
            }
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
    use super::super::testing::{event, member, started};
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
}
