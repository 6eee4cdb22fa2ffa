//! Runs one seed: faults, then calm, then one view of all members. A seed shares no state with another.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use annulus_core::{EventKind, Instant};

use super::Drawn;
use super::lead_times::{self, Elections, LeadTimes};
use crate::action::world::{Record, What};
use crate::checker::{Checker as _, LeaderStays};
use crate::engine::record::{DropReason, Recording};
use crate::engine::scene::Scene;
use crate::exit::Exit;
use crate::expect::{Statement, When};
use crate::report::narrate::Narrator;
use crate::report::outcome::{exit_of, failure};
use crate::scenario::Plan;
use crate::scenario::judge::{Decided, Verdict};
use crate::scenario::run::{self as scenario_run, Watcher};

/// Sentences that a failure shows.
const LAST_SENTENCES: usize = 24;

/// The result of one seed.
#[derive(Debug)]
pub struct Outcome {
    /// How many members its ring has.
    pub members: usize,
    /// Within how long after the last fault one view had to be shared.
    pub bound: Duration,
    /// The time until it was, or the failure.
    pub result: Result<Duration, Failure>,
    /// What took how long of its bound, the worst of each kind.
    pub measured: Vec<Measured>,
    /// The occurrences, and how often.
    pub tally: BTreeMap<String, u64>,
    /// Fingerprint of the run.
    pub hash: u64,
    /// How long groups were led, and how long they had no leader.
    pub elections: Elections,
    /// The same by Habitat's rules.
    pub habitat: Elections,
}

/// How long something took that has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// In a few words.
    pub what: &'static str,
    /// How long it took.
    pub took: Duration,
    /// How long it may take.
    pub bound: Duration,
}

/// Why a seed failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code for it.
    pub exit: Exit,
    /// In a sentence.
    pub why: String,
    /// The last events, in sentences.
    pub last: Vec<String>,
}

/// Runs one seed; `keep` is shown every record.
///
/// Sentences are made of failed runs only: a run that failed is performed once more, and told.
#[must_use]
pub fn run(drawn: &Drawn, recording: Recording, keep: &mut dyn FnMut(&dyn Scene, &Record)) -> Outcome {
    let mut watcher = Tally {
        tally: BTreeMap::new(),
        events: BTreeMap::new(),
        recording,
        lead_times: LeadTimes::default(),
        leader_stays: LeaderStays::new(&drawn.plan.timings),
        came_true: BTreeMap::new(),
        keep,
    };
    let mut whole = None;
    let report = scenario_run::run_with_sequel(&drawn.plan, drawn.plan.seed, &mut watcher, |at| {
        let sequel = drawn.sequel(at);
        whole = Some(drawn.followed_by(sequel.clone()));
        sequel
    });
    let plan = &whole.unwrap_or_else(|| drawn.plan.clone());
    let Tally { mut tally, events, lead_times, leader_stays, came_true, .. } = watcher;
    tally.extend(
        events.into_iter().map(|((kind, name), times)| (format!("{kind} {}", name.to_lowercase()), times)),
    );
    let measured = measured(plan, &came_true, &leader_stays);
    let elections = lead_times.end(report.ended);
    let habitat = lead_times::by_habitats_rules(plan, report.ended);
    for (reason, count) in DropReason::ALL.into_iter().zip(report.counters.dropped) {
        *tally.entry(format!("packet {}", reason.name())).or_default() += count;
    }
    *tally.entry("packet duplicated".to_owned()).or_default() += report.counters.duplicates;
    if plan.hosts.len() == super::ring::BIG as usize {
        tally.insert(format!("ring of {}", plan.hosts.len()), 1);
    }
    let calm = plan.expectations.first().map(|e| &e.when);
    let (calm_at, bound) = match calm {
        Some(When::By { after, by }) => (*after, by.saturating_since(*after)),
        _ => (report.ended, Duration::ZERO),
    };
    let result = match exit_of(&report) {
        Exit::Pass => Ok(report.shared_since.unwrap_or(calm_at).saturating_since(calm_at)),
        exit => Err(Failure { exit, why: failure(plan, &report), last: last_sentences(plan) }),
    };
    Outcome {
        members: plan.hosts.len(),
        bound,
        result,
        measured,
        tally,
        hash: report.hash,
        elections,
        habitat,
    }
}

/// How long the consequences took of what happened when nothing else was wrong, the longest of each kind.
fn measured(plan: &Plan, came_true: &BTreeMap<String, Instant>, leader_stays: &LeaderStays) -> Vec<Measured> {
    let mut all: Vec<Measured> = Vec::new();
    for expectation in &plan.expectations {
        let what = match &expectation.what {
            Statement::VersionHeld(_) => "a version reaches all",
            Statement::InState(_) => "all hold a lost member dead",
            _ => continue,
        };
        let (Some((start, end)), Some(met)) = (expectation.when.span(), came_true.get(&expectation.text))
        else {
            continue;
        };
        let (took, bound) = (met.saturating_since(start), end.saturating_since(start));
        match all.iter_mut().find(|measured| measured.what == what) {
            Some(measured) => measured.took = measured.took.max(took),
            None => all.push(Measured { what, took, bound }),
        }
    }
    let what = "another member leads after a leader is lost";
    all.extend(leader_stays.longest().map(|took| Measured { what, took, bound: leader_stays.bound() }));
    all
}

/// The end of a run's story.
fn last_sentences(plan: &Plan) -> Vec<String> {
    let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
    let mut teller = Teller { narrator: Narrator::new(names), last: VecDeque::new() };
    scenario_run::run_until_settled(plan, plan.seed, &mut teller);
    teller.last.into()
}

/// Remembers the last sentences.
struct Teller {
    narrator: Narrator,
    last: VecDeque<String>,
}

impl Watcher for Teller {
    fn record(&mut self, _: &dyn Scene, record: &Record) {
        self.last.extend(self.narrator.tell(record));
        let superfluous = self.last.len().saturating_sub(LAST_SENTENCES);
        self.last.drain(..superfluous);
    }
}

/// Counts occurrences.
struct Tally<'a> {
    tally: BTreeMap<String, u64>,
    /// Events, which are many, by kind and name.
    events: BTreeMap<(&'static str, &'static str), u64>,
    recording: Recording,
    lead_times: LeadTimes,
    leader_stays: LeaderStays,
    /// When each expectation came true, by its words.
    came_true: BTreeMap<String, Instant>,
    keep: &'a mut dyn FnMut(&dyn Scene, &Record),
}

impl Watcher for Tally<'_> {
    fn recording(&self) -> Recording {
        self.recording
    }

    fn verdict(&mut self, verdict: &Verdict) {
        if verdict.how == Decided::CameTrue {
            self.came_true.insert(verdict.text.clone(), verdict.at);
        }
    }

    fn record(&mut self, scene: &dyn Scene, record: &Record) {
        (self.keep)(scene, record);
        self.lead_times.observe(record);
        // What it says of failures the run's own checker says too.
        let _ = self.leader_stays.observe(record);
        match &record.what {
            What::Event { event, .. } => *self.events.entry(event_name(&event.kind)).or_default() += 1,
            What::Action(action) => {
                for name in [action.counted()].into_iter().chain(super::package::brings(action)) {
                    *self.tally.entry(name.to_owned()).or_default() += 1;
                }
            }
            What::Confirmed { .. } => *self.tally.entry(String::from("confirmed")).or_default() += 1,
            _ => {}
        }
    }
}

fn event_name(kind: &EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::MemberChanged { to, .. } => ("member", to.name()),
        EventKind::ServiceChanged { to: Some(to), .. } => ("service", to.name()),
        other => ("event", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_outcome() {
        let once = |seed| {
            let outcome = run(&Drawn::of(seed, &[]), Recording::Events, &mut |_, _| {});
            (outcome.hash, outcome.tally, outcome.result.is_ok())
        };
        let first = once(3);
        assert_eq!(once(3), first);
        assert_ne!(once(4).0, first.0);
        assert_eq!(once(3), first);
    }
}
