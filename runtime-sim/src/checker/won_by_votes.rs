//! Elections, E1: a victory rests on votes that were given. A member that wins a term counts no more votes than members
//! have cast for it in that term, so no answer to anything else was taken for a vote.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{ElectionEvent, ElectionId, EventKind, MemberId};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct WonByVotes {
    members: BTreeMap<HostId, MemberId>,
    /// The hosts that voted in each election and term, by candidate.
    votes: BTreeMap<(ElectionId, u64, MemberId), BTreeSet<HostId>>,
}

impl Checker for WonByVotes {
    fn name(&self) -> &'static str {
        "won_by_votes"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
            }
            What::Event { host, event } => {
                let EventKind::Election { election, term, what } = &event.kind else { return Ok(()) };
                match what {
                    ElectionEvent::Voted { candidate } => {
                        let key = (election.clone(), *term, *candidate);
                        self.votes.entry(key).or_default().insert(*host);
                    }
                    ElectionEvent::Won { votes, .. } => {
                        let Some(winner) = self.members.get(host).copied() else { return Ok(()) };
                        let cast =
                            self.votes.get(&(election.clone(), *term, winner)).map_or(0, BTreeSet::len);
                        if *votes as usize > cast {
                            return Err(format!(
                                "host {} won term {term} of {election} with {votes} votes, and {cast} were cast for it",
                                host.0
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

    fn step(host: u32, what: ElectionEvent) -> Record {
        let election = ElectionId::leader("redis.default".parse().expect("a group"));
        event(host, EventKind::Election { election, term: 3, what })
    }

    #[test]
    fn each_vote_that_is_counted_was_cast() {
        let vote = |host, n| step(host, ElectionEvent::Voted { candidate: member(n) });
        let won = |votes| step(0, ElectionEvent::Won { votes, voters: 3 });
        let run = |records: &[Record]| {
            let mut checker = WonByVotes::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        let before = [started(0, 1, false), vote(0, 1), vote(1, 1), vote(2, 2)];
        let with = |rest: &[Record]| [&before[..], rest].concat();
        assert_eq!(run(&with(&[won(2)])), Ok(()));
        assert_eq!(run(&with(&[vote(1, 1), won(2)])), Ok(()), "a vote that was given again is the same one");
        let error = run(&with(&[won(3)])).expect_err("it has to fire");
        assert!(error.contains("3 votes, and 2 were cast"), "{error}");
    }
}
