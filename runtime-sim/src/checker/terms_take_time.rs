//! Elections: terms do not run away. Whatever a member hears, it uses new terms ever slower, so that neither two members
//! that outbid each other nor two supervisors with one id use them up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use annulus_core::{ElectionEvent, ElectionId, EventKind, Instant, MemberId, Timings};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, ClockRate, HostId, Suspend};

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct TermsTakeTime {
    window: Duration,
    /// Terms that one life of a member uses within the window at most.
    most: usize,
    members: BTreeMap<HostId, MemberId>,
    /// When each life of a member last voted for itself.
    raised: BTreeMap<(HostId, ElectionId), VecDeque<Instant>>,
    /// Hosts whose clocks were changed: their pauses are others.
    clocks: BTreeSet<HostId>,
}

impl TermsTakeTime {
    /// The bound for a ring with these timings: pauses double from the time of an answer to the longest back-off.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        let doublings =
            (timings.election_backoff_ms_max / timings.election_answer_ms.max(1)).max(1).ilog2() as usize;
        Self {
            window: Duration::from_millis(timings.election_backoff_ms_max * 2),
            most: doublings + 5,
            members: BTreeMap::new(),
            raised: BTreeMap::new(),
            clocks: BTreeSet::new(),
        }
    }
}

impl Checker for TermsTakeTime {
    fn name(&self) -> &'static str {
        "terms_take_time"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(
                Action::ClockRate(ClockRate { host, .. }) | Action::Suspend(Suspend { host, .. }),
            ) => {
                self.clocks.insert(*host);
            }
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
                self.raised.retain(|(other, _), _| other != host);
            }
            What::Event { host, event } => {
                let EventKind::Election { election, term, what } = &event.kind else { return Ok(()) };
                let ElectionEvent::Voted { candidate } = what else { return Ok(()) };
                if self.members.get(host) != Some(candidate) || self.clocks.contains(host) {
                    return Ok(());
                }
                let raised = self.raised.entry((*host, election.clone())).or_default();
                raised.push_back(record.at);
                while raised.front().is_some_and(|at| *at + self.window < record.at) {
                    raised.pop_front();
                }
                if raised.len() > self.most {
                    return Err(format!(
                        "host {} uses its {}th new term of {election} within {} ms, term {term}",
                        host.0,
                        raised.len(),
                        self.window.as_millis()
                    ));
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

    #[test]
    fn one_life_of_a_member_uses_so_many_terms_and_no_more() {
        let election = || ElectionId::leader("redis.default".parse().expect("a group"));
        let vote = |ms, term, n| {
            let what = ElectionEvent::Voted { candidate: member(n) };
            let record = event(0, EventKind::Election { election: election(), term, what });
            Record { at: Instant::from_millis(ms), ..record }
        };
        let run = |records: Vec<Record>| {
            let mut checker = TermsTakeTime::new(&Timings::lan());
            records.iter().try_for_each(|record| checker.observe(record))
        };
        let many = |step_ms, n| (0..30).map(move |term| vote(1_000 + term * step_ms, term, n));
        let first = || std::iter::once(started(0, 1, false));
        assert_eq!(run(first().chain(many(4_000, 1)).collect()), Ok(()));
        assert_eq!(run(first().chain(many(10, 2)).collect()), Ok(()), "votes for others raise nothing");
        let error = run(first().chain(many(10, 1)).collect()).expect_err("it has to fire");
        assert!(error.contains("new term of redis.default"), "{error}");
    }
}
