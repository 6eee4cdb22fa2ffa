//! The results of a sweep, in a form that can be written, read and added up: the results of shards merge into those
//! of the whole.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Class;
use super::lead_times::Elections;
use super::run::{Measured, Outcome};
use crate::engine::hash::TraceHash;

/// The results of some seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Classes that were left out.
    pub without: Vec<Class>,
    /// The seeds that were run, in order.
    pub seeds: Vec<SeedResult>,
    /// How many more seeds the sweep was to run when it was interrupted.
    #[serde(default)]
    pub not_run: u64,
    /// The occurrences: how often, and in how many seeds.
    pub occurred: BTreeMap<String, Occurred>,
}

/// How often a fault, state or fate occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurred {
    /// Times.
    pub times: u64,
    /// Seeds in which it occurred.
    pub seeds: u64,
}

/// The result of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// How many members its ring has.
    pub members: usize,
    /// After how long one view was shared, in milliseconds; none when it failed.
    pub after_ms: Option<u64>,
    /// How long it was allowed to take.
    pub bound_ms: u64,
    /// What took how long of its bound when nothing else was wrong.
    #[serde(default)]
    pub bounds: Vec<BoundResult>,
    /// Fingerprint of the run.
    pub hash: u64,
    /// How long the run took on the machine that made it, in milliseconds.
    #[serde(default)]
    pub took_ms: u64,
    /// How long groups were led, and how long they had no leader.
    #[serde(default)]
    pub elections: Elections,
    /// The same by Habitat's published rules under the same faults.
    #[serde(default)]
    pub habitat: Elections,
    /// The failure, if it failed.
    pub failure: Option<FailureResult>,
}

/// How long something took that has a bound, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundResult {
    /// In a few words.
    pub what: String,
    /// How long it took.
    pub took_ms: u64,
    /// How long it may take.
    pub bound_ms: u64,
}

/// The failure of a seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureResult {
    /// One word: see [`crate::exit::Exit::word`].
    pub outcome: String,
    /// In sentences.
    pub why: String,
    /// The last events.
    pub last: Vec<String>,
}

impl Results {
    /// Adds the result of a seed; an error is the text of its panic.
    pub fn add(&mut self, seed: u64, outcome: Result<Outcome, String>) {
        let mut result = SeedResult {
            seed,
            members: 0,
            after_ms: None,
            bound_ms: 0,
            bounds: Vec::new(),
            hash: 0,
            took_ms: 0,
            elections: Elections::default(),
            habitat: Elections::default(),
            failure: None,
        };
        match outcome {
            Err(panic) => {
                let outcome = crate::exit::Exit::Bug.word().to_owned();
                result.failure = Some(FailureResult { outcome, why: panic, last: Vec::new() });
            }
            Ok(outcome) => {
                for (name, times) in outcome.tally {
                    let sum = self.occurred.entry(name).or_default();
                    sum.times += times;
                    sum.seeds += u64::from(times > 0);
                }
                result.members = outcome.members;
                result.bound_ms = whole_ms(outcome.bound);
                let bound = |measured: Measured| BoundResult {
                    what: measured.what.to_owned(),
                    took_ms: whole_ms(measured.took),
                    bound_ms: whole_ms(measured.bound),
                };
                result.bounds = outcome.measured.into_iter().map(bound).collect();
                result.hash = outcome.hash;
                result.elections = outcome.elections;
                result.habitat = outcome.habitat;
                match outcome.result {
                    Ok(after) => result.after_ms = Some(whole_ms(after)),
                    Err(failure) => {
                        let outcome = failure.exit.word().to_owned();
                        result.failure =
                            Some(FailureResult { outcome, why: failure.why, last: failure.last });
                    }
                }
            }
        }
        self.seeds.push(result);
        self.not_run = self.not_run.saturating_sub(1);
    }

    /// Notes how long the seed took that was added last.
    pub fn took(&mut self, time: Duration) {
        if let Some(last) = self.seeds.last_mut() {
            last.took_ms = whole_ms(time);
        }
    }

    /// Adds the results of another shard to these.
    ///
    /// # Errors
    /// The two cannot belong to one sweep.
    pub fn merge(&mut self, other: Self) -> Result<(), String> {
        if self.without != other.without && !self.seeds.is_empty() {
            return Err(String::from("they left out different classes of faults"));
        }
        self.without = other.without;
        self.not_run += other.not_run;
        for (name, occurred) in other.occurred {
            let sum = self.occurred.entry(name).or_default();
            sum.times += occurred.times;
            sum.seeds += occurred.seeds;
        }
        self.seeds.extend(other.seeds);
        self.sort();
        match self.seeds.windows(2).find(|two| two[0].seed == two[1].seed) {
            Some(two) => Err(format!("seed {} is in two of them", two[0].seed)),
            None => Ok(()),
        }
    }

    /// Puts the seeds in order.
    pub fn sort(&mut self) {
        self.seeds.sort_by_key(|result| result.seed);
    }

    /// A fingerprint of all runs.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = TraceHash::new();
        for result in &self.seeds {
            hash.pair(result.seed, result.hash);
        }
        hash.value()
    }

    /// The occurrences that a long sweep should have had, and this one never had.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        REQUIRED
            .iter()
            .filter(|name| self.occurred.get(**name).is_none_or(|o| o.times == 0))
            .copied()
            .collect()
    }

    /// Those of them that a sweep of so many seeds must have had. Where classes of faults are left out none must.
    #[must_use]
    pub fn overdue(&self) -> Vec<&'static str> {
        let seeds = self.seeds.len() as u64;
        let mut missing = self.missing();
        missing.retain(|name| self.without.is_empty() && seeds >= SURE * one_in(name));
        missing
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is in one seed of `n` is in none of `SURE * n` with a probability of e^-21, one in a thousand million: then it
/// is not chance that it never occurred.
const SURE: u64 = 21;
/// One seed of so many holds an occurrence, if nothing else is said: of those that sweeps have found so far the rarest
/// is in one of sixteen.
const COMMON: u64 = 40;
/// Occurrences that are rarer: one seed of so many holds each.
const RARE: &[(&str, u64)] = &[("ring of 1000", 2_000)];

/// One seed of how many holds it.
fn one_in(name: &str) -> u64 {
    RARE.iter().find(|(rare, _)| *rare == name).map_or(COMMON, |(_, one_in)| *one_in)
}

/// Every fault, every state, every fate of a packet: a sweep that is long enough has to have seen them all.
pub const REQUIRED: &[&str] = &[
    "crash",
    "kill",
    "restart",
    "restart with an empty disk",
    "restart with an old disk",
    "pause",
    "resume",
    "cut",
    "cut one way",
    "mend",
    "link changed",
    "burst",
    "capacity",
    "slow",
    "clock rate",
    "clock jump",
    "suspend",
    "crash at sync",
    "crash loop",
    "clone",
    "leave",
    "depart",
    "calm",
    "service load",
    "service unload",
    "service start",
    "service stop",
    "service crash",
    "config apply",
    "file upload",
    "event version_lost",
    "member alive",
    "member suspect",
    "member confirmed",
    "member departed",
    "service up",
    "service down",
    "service backoff",
    "event banned",
    "event leaving",
    "event local_health",
    "event probe_failed",
    "event refuted",
    "event rumor_accepted",
    "event stalled",
    "event suspicion_confirmed",
    "event synced",
    "packet loss",
    "packet cut",
    "packet host-down",
    "packet refused",
    "packet overflow",
    "packet link-full",
    "packet reset",
    "packet sender-down",
    "packet duplicated",
    "ring of 1000",
    "kill-launcher",
    "pause-launcher",
    "resume-launcher",
    "kill-guard",
    "package",
    "hook that fails",
    "hook that hangs",
    "health that is bad",
    "process that ends",
    "drain",
    "bind",
    "load balancer",
    "service drain",
    "service maintenance",
    "service update",
    "service restart",
    "file that is waited for",
    "group that is not the default",
    "second group with a leader",
    "leader of a named group",
    "demoted in place",
    "demoted to a stop",
    "suitability that changes",
    "operator that waits",
    "confirmed",
    "disk slow",
    "disk stalled",
    "disk failing",
    "disk full",
    "disk broken",
    "group without a quorum's size",
    "event leader_elected",
    "event handed_over",
    "event lease_lost",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn swept(seeds: u64, held: &[&str]) -> Results {
        let mut results = Results::default();
        for seed in 0..seeds {
            results.add(seed, Err(String::new()));
        }
        let once = Occurred { times: 1, seeds: 1 };
        results.occurred = held.iter().map(|name| ((*name).to_owned(), once)).collect();
        results
    }

    #[test]
    fn what_never_occurred_is_overdue_when_it_is_no_chance_any_more() {
        let all_but = |missing: &[&str]| -> Vec<&str> {
            REQUIRED.iter().copied().filter(|name| !missing.contains(name)).collect()
        };
        let held = all_but(&["kill", "ring of 1000"]);
        assert_eq!(swept(1, &held).missing(), ["kill", "ring of 1000"]);
        assert!(swept(SURE * COMMON - 1, &held).overdue().is_empty(), "it may be chance");
        assert_eq!(swept(SURE * COMMON, &held).overdue(), ["kill"]);
        assert_eq!(swept(SURE * 2_000, &held).overdue(), ["kill", "ring of 1000"]);
        let without = Results { without: vec![Class::Kill], ..swept(SURE * COMMON, &held) };
        assert!(without.overdue().is_empty(), "what is left out cannot occur");
        assert!(RARE.iter().all(|(name, one_in)| REQUIRED.contains(name) && *one_in > COMMON));
    }
}
