//! Reduces a plan that fails to a small one that fails in the same way (delta debugging: Zeller and Hildebrandt 2002).
//!
//! It takes away expectations, actions, members and settings, in ever smaller pieces, as long as the rest still
//! fails; then it shortens and rounds times. The result is a scenario that a person can read, not a proof that
//! nothing smaller fails.

mod edit;

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{Instant, Planted, State};

use crate::action::{Action, ApplyConfig, Calm, Crash};
use crate::expect::{Statement, Who};
use crate::report::guard;
use crate::scenario::Plan;
use crate::scenario::plan::TimedAction;
use crate::scenario::run::{self as scenario_run, Outcome};
use edit::{explicit, with_actions};

/// Runs that a reduction may take unless an option says otherwise.
pub const RUNS: u32 = 400;

/// A smaller ring may fail so much later: its chance falls differently.
const LATER: Duration = Duration::from_secs(1);

/// How a plan fails. A reduced plan has to fail in the same way, and where an expectation is not met, for a reason of the
/// same kind: the ring has to look wrong in the same words, whichever members and numbers they are about. A smaller ring
/// could miss an expectation that makes no sense for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The expectation of this line, in these words, is not met.
    Unmet {
        /// The line of the file.
        line: usize,
        /// The expectation, as it is written.
        text: String,
    },
    /// This checker's property is violated.
    Violated(&'static str),
    /// The core or the simulator panics.
    Panicked,
}

/// A failed run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The way of failing.
    pub kind: Kind,
    /// When it showed; none when the run panicked.
    pub at: Option<Instant>,
    /// The failure in words.
    pub why: String,
}

/// Runs a plan; returns how it fails, if it does. A plan with an impossible action does not count as failing.
#[must_use]
pub fn failure(plan: &Plan) -> Option<Failure> {
    // Without expectations nothing says when a run is over but its end.
    let perform =
        if plan.expectations.is_empty() { scenario_run::run } else { scenario_run::run_until_settled };
    let report = match guard::catching(|| perform(plan, plan.seed, &mut ())) {
        Ok(report) => report,
        Err(why) => return Some(Failure { kind: Kind::Panicked, at: None, why }),
    };
    let (kind, why) = match report.outcome {
        Outcome::Pass | Outcome::Impossible { .. } => return None,
        Outcome::Unmet(unmet) => (Kind::Unmet { line: unmet.line, text: unmet.text }, unmet.found),
        Outcome::Violated(violation) => (Kind::Violated(violation.checker), violation.message),
    };
    Some(Failure { kind, at: Some(report.ended), why })
}

/// A reduced plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan; it fails as the first one did.
    pub plan: Plan,
    /// How it fails.
    pub failure: Failure,
    /// How many runs it took.
    pub runs: u32,
}

/// Reduces a plan that fails. None when it does not fail.
#[must_use]
pub fn shrink(plan: &Plan, runs_max: u32) -> Option<Shrunk> {
    shrink_while(plan, runs_max, &|| true)
}

/// As [`shrink`], as long as `goes_on` says so; it is asked between two runs.
#[must_use]
pub fn shrink_while(plan: &Plan, runs_max: u32, goes_on: &dyn Fn() -> bool) -> Option<Shrunk> {
    let first = failure(plan)?;
    let (kind, cause) = (first.kind.clone(), cause(plan, &first));
    let same = move |plan: &Plan| {
        let failure = failure(plan)?;
        (failure.kind == kind && self::cause(plan, &failure) == cause && is_the_defects(plan))
            .then_some(failure)
    };
    Some(reduce(plan.clone(), first, &Limit { runs: runs_max, goes_on }, &same))
}

/// The words of a failure, without those that name a member or a number; none where a checker or an assertion decides.
fn cause(plan: &Plan, failure: &Failure) -> Option<BTreeSet<String>> {
    if !matches!(failure.kind, Kind::Unmet { .. }) {
        return None;
    }
    let is_named = |word: &str| {
        word.bytes().any(|b| b.is_ascii_digit()) || plan.hosts.iter().any(|host| host.name == word)
    };
    let words = failure.why.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    Some(words.filter(|word| !word.is_empty() && !is_named(word)).map(str::to_owned).collect())
}

/// Whether a plan with a planted defect passes without it: one that fails in any case shows nothing of the defect.
fn is_the_defects(plan: &Plan) -> bool {
    let sound = Planted::default();
    plan.planted == sound || failure(&Plan { planted: sound, ..plan.clone() }).is_none()
}

/// When a reduction ends at the latest.
struct Limit<'a> {
    runs: u32,
    goes_on: &'a dyn Fn() -> bool,
}

/// Reduces a plan as long as `fails` says that it fails as it should.
fn reduce(
    plan: Plan,
    failure: Failure,
    limit: &Limit<'_>,
    fails: &dyn Fn(&Plan) -> Option<Failure>,
) -> Shrunk {
    let mut search = Search { best: plan, failure, runs: 1, limit, fails };
    search.expectations();
    loop {
        let before = search.size();
        search.cut_the_end();
        search.actions();
        search.members();
        search.settings();
        search.times();
        if search.size() == before || search.exhausted() {
            break;
        }
    }
    search.seeds();
    Shrunk { plan: search.best, failure: search.failure, runs: search.runs }
}

/// Whether a statement is about what this action does.
fn is_cause(action: &Action, statement: &Statement) -> bool {
    match (action, statement) {
        (Action::ApplyConfig(ApplyConfig { given, .. }), Statement::VersionHeld(held)) => {
            given.group == held.group && given.version == held.version
        }
        (Action::Crash(Crash { host }), Statement::InState(state)) => {
            state.state == Some(State::Confirmed) && state.of == Who::Hosts(vec![*host])
        }
        _ => false,
    }
}

struct Search<'a> {
    best: Plan,
    failure: Failure,
    runs: u32,
    limit: &'a Limit<'a>,
    fails: &'a dyn Fn(&Plan) -> Option<Failure>,
}

impl Search<'_> {
    fn exhausted(&self) -> bool {
        self.runs >= self.limit.runs || !(self.limit.goes_on)()
    }

    /// Takes a plan for the best one if it fails as the first one did.
    fn attempt(&mut self, plan: Plan) -> bool {
        if self.exhausted() {
            return false;
        }
        self.runs += 1;
        let Some(failure) = (self.fails)(&plan) else { return false };
        self.best = plan;
        self.failure = failure;
        true
    }

    /// The measure that a step has to lower.
    fn size(&self) -> (usize, usize, u128, usize) {
        let settings = self.best.links.len() + self.best.hosts.iter().filter(|h| h.permanent).count();
        (self.best.hosts.len(), explicit(&self.best).len(), self.best.duration.as_millis(), settings)
    }

    /// One expectation is enough to fail, and none where a checker fires.
    fn expectations(&mut self) {
        let mut plan = self.best.clone();
        match &self.failure.kind {
            Kind::Unmet { line, text } => {
                plan.expectations.retain(|e| e.line == *line && e.text == *text);
            }
            Kind::Violated(_) | Kind::Panicked => plan.expectations.clear(),
        }
        if plan.expectations.len() < self.best.expectations.len() {
            self.attempt(plan);
        }
    }

    /// Actions after the failure do not matter.
    fn cut_the_end(&mut self) {
        let Some(at) = self.failure.at else { return };
        let last = self.best.expectations.iter().filter_map(|e| Some(e.when.span()?.1)).max();
        let last = last.unwrap_or(Instant::ZERO);
        let end = Duration::from_nanos(at.max(last).as_nanos()) + LATER;
        if self.best.duration > end {
            let mut actions = explicit(&self.best);
            actions.retain(|timed| timed.time <= at);
            let mut plan = with_actions(&self.best, actions);
            plan.duration = end;
            self.attempt(plan);
        }
    }

    /// Removes actions: halves, quarters, and so on down to single ones.
    fn actions(&mut self) {
        let mut chunk = explicit(&self.best).len().div_ceil(2);
        while chunk > 0 && !self.exhausted() {
            let mut at = 0;
            while at < explicit(&self.best).len() && !self.exhausted() {
                let mut actions = explicit(&self.best);
                let end = (at + chunk).min(actions.len());
                let kept: Vec<TimedAction> = actions.drain(at..end).filter(|t| self.is_needed(t)).collect();
                if kept.len() == end - at {
                    at = end;
                    continue;
                }
                actions.splice(at..at, kept);
                // The remaining plan may be impossible now; a restart without its crash, for example.
                let mut plan = with_actions(&self.best, actions);
                plan.skip_impossible = true;
                if !self.attempt(plan) {
                    at += chunk;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// An expectation of calm says nothing about a ring that is never calm, nor one of a version or of a lost member
    /// about a ring to which it was not given, or which did not lose it.
    fn is_needed(&self, timed: &TimedAction) -> bool {
        let calms = timed.action == Action::Calm(Calm) && !self.best.expectations.is_empty();
        calms || self.best.expectations.iter().any(|expectation| is_cause(&timed.action, &expectation.what))
    }

    /// Removes members, in halves down to single ones, the last ones first.
    fn members(&mut self) {
        let mut chunk = self.best.hosts.len() / 2;
        while chunk > 0 && !self.exhausted() {
            let mut end = self.best.hosts.len();
            while end > 0 && !self.exhausted() {
                let start = end.saturating_sub(chunk);
                if let Some(plan) = edit::without_members(&self.best, start..end) {
                    self.attempt(plan);
                }
                end = start.min(self.best.hosts.len());
            }
            chunk /= 2;
        }
    }

    /// Tries plainer settings, one at a time.
    fn settings(&mut self) {
        for simpler in edit::SIMPLER {
            let mut plan = self.best.clone();
            if simpler(&mut plan) {
                self.attempt(plan);
            }
        }
        for index in (0..self.best.links.len()).rev() {
            let mut plan = self.best.clone();
            plan.links.remove(index);
            self.attempt(plan);
        }
    }

    /// Shortens the waits between actions and rounds their times.
    fn times(&mut self) {
        for part in [4, 2] {
            let mut index = 0;
            while index < explicit(&self.best).len() && !self.exhausted() {
                let shorter = edit::shorter_wait(&self.best, index, part);
                if !shorter.is_some_and(|plan| self.attempt(plan)) {
                    index += 1;
                }
            }
            while edit::shorter_end(&self.best, part).is_some_and(|plan| self.attempt(plan)) {}
        }
        for unit_ms in [1_000, 500, 100, 10] {
            if let Some(plan) = edit::rounded(&self.best, None, unit_ms) {
                self.attempt(plan);
            }
            for index in 0..explicit(&self.best).len() {
                if let Some(plan) = edit::rounded(&self.best, Some(index), unit_ms) {
                    self.attempt(plan);
                }
            }
        }
    }

    /// The smallest seed is the easiest to remember.
    fn seeds(&mut self) {
        for seed in 1..4 {
            if self.best.seed > seed && self.attempt(Plan { seed, ..self.best.clone() }) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::HostId;
    use crate::action::Partition;
    use crate::sweep;

    fn invented(at: Option<Instant>) -> Failure {
        Failure { kind: Kind::Violated("invented"), at, why: String::new() }
    }

    /// A plan of a sweep that holds a cut and many members and actions.
    fn large() -> Plan {
        (0..500)
            .map(|seed| sweep::Drawn::of(seed, &[]).plan)
            .find(|plan| {
                let cuts = plan
                    .actions
                    .iter()
                    .filter(|t| matches!(t.action, Action::Partition(Partition { both: true, .. })));
                plan.hosts.len() > 12 && plan.actions.len() > 40 && cuts.count() > 1
            })
            .expect("some seed draws such a plan")
    }

    fn runs(runs: u32) -> Limit<'static> {
        Limit { runs, goes_on: &|| true }
    }

    #[test]
    fn a_reduction_ends_when_its_time_is_up() {
        let asked = std::cell::Cell::new(0);
        let goes_on = || asked.replace(asked.get() + 1) < 10;
        let limit = Limit { runs: 1_000, goes_on: &goes_on };
        let shrunk = reduce(large(), invented(None), &limit, &|_| Some(invented(None)));
        assert!(shrunk.runs <= 11, "{}", shrunk.runs);
    }

    #[test]
    fn what_does_not_matter_is_taken_away() {
        let plan = large();
        // Fails as long as a member crashes and there is a cut with a member on either side.
        let fails = |plan: &Plan| {
            let crash = plan.actions.iter().any(|t| matches!(t.action, Action::Crash(_)));
            let cut = plan.actions.iter().any(
                |t| matches!(&t.action, Action::Partition(Partition { from, to, .. }) if !from.is_empty() && !to.is_empty()),
            );
            (crash && cut).then(|| invented(None))
        };
        let Some(first) = fails(&plan) else { return };
        let shrunk = reduce(plan, first, &runs(2_000), &fails);
        assert_eq!(explicit(&shrunk.plan).len(), 2, "{:?}", shrunk.plan.actions);
        assert!(shrunk.plan.hosts.len() <= 3, "{}", shrunk.plan.hosts.len());
        assert!(shrunk.plan.expectations.is_empty());
        assert!(fails(&shrunk.plan).is_some());
        for timed in explicit(&shrunk.plan) {
            assert_eq!(timed.time.as_millis() % 1_000, 0, "{}", timed.time);
        }
    }

    #[test]
    fn a_reduction_ends_when_its_runs_are_used_up() {
        let plan = large();
        let shrunk = reduce(plan, invented(None), &runs(25), &|_| Some(invented(None)));
        assert!(shrunk.runs <= 25);
    }

    #[test]
    fn hosts_keep_their_meaning_when_others_are_removed() {
        let mut plan = large();
        plan.expectations.truncate(1);
        let name = |plan: &Plan, host: HostId| plan.name(host).to_owned();
        let last = HostId(u32::try_from(plan.hosts.len() - 1).expect("few"));
        let crash = crate::scenario::plan::TimedAction {
            time: Instant::from_millis(5_000),
            line: Some(0),
            action: Action::Crash(Crash { host: last }),
            refused: None,
        };
        let plan = with_actions(&plan, vec![crash]);
        let smaller = edit::without_members(&plan, 0..4).expect("the action's host is left");
        let Action::Crash(Crash { host }) = explicit(&smaller)[0].action else { panic!("another action") };
        assert_eq!(name(&smaller, host), name(&plan, last));
        assert_eq!(smaller.hosts.len(), plan.hosts.len() - 4);
    }

    #[test]
    fn a_reason_is_told_by_its_words() {
        let plan = large();
        let unmet = |why: &str| {
            let kind = Kind::Unmet { line: 0, text: String::from("one_view = \"10 s\"") };
            cause(&plan, &Failure { kind, at: None, why: why.to_owned() })
        };
        let first = unmet("m1 holds m2 to be confirmed in incarnation 3; it runs in incarnation 4");
        assert_eq!(first, unmet("m7 holds m1 to be confirmed in incarnation 1; it runs in incarnation 2"));
        assert_ne!(first, unmet("m7 holds m1 to be suspect in incarnation 1; it runs in incarnation 2"));
        assert_ne!(first, unmet("it came too late to last"));
        assert_eq!(cause(&plan, &invented(None)), None, "a checker says itself what it is about");
    }

    #[test]
    fn what_passes_is_not_reduced() {
        assert!(shrink(&sweep::plan(3, &[]), 10).is_none());
    }
}
