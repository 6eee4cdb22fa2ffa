//! Judges whether a scenario's expectations hold, by looking at the nodes' state and listening to their events. A
//! judge only looks; it changes nothing.

use std::time::Duration;

use annulus_core::Instant;

use super::plan::{Expectation, Plan};
use crate::action::world::Record;
use crate::engine::host::HostId;
use crate::engine::record;
use crate::engine::scene::Scene;
use crate::expect::room::{Identity, Look};
use crate::expect::{Report, When};

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line of the file.
    pub line: usize,
    /// The expectation in the file's words.
    pub text: String,
    /// When it had to hold.
    pub when: When,
    /// When it was given up.
    pub at: Instant,
    /// The state of the ring then.
    pub found: String,
}

/// Follows the expectations of one run.
#[derive(Debug)]
pub(crate) struct Judge<'p> {
    plan: &'p Plan,
    hosts: Vec<HostId>,
    cases: Vec<Case<'p>>,
    /// The identity of every host at the times that expectations compare with.
    remembered: Vec<(Instant, Vec<Identity>)>,
    /// How much later than its time an expectation may be met; zero in a simulated world.
    tolerance: Duration,
}

#[derive(Debug)]
struct Case<'p> {
    expectation: &'p Expectation,
    settled: bool,
    /// Whether it has been looked at.
    seen: bool,
    /// Events that count for `occurred` and `never`.
    heard: Option<String>,
    /// Since when one view has been shared.
    shared: Option<Instant>,
}

/// How often views are compared with each other, which costs too much to do after every record.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same for rings of more than [`BIG`] members, where it costs the square of their number.
const LOOK_EVERY_BIG: Duration = Duration::from_secs(2);
const BIG: usize = 200;

impl<'p> Judge<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let cases = plan
            .expectations
            .iter()
            .map(|expectation| Case { expectation, settled: false, seen: false, heard: None, shared: None })
            .collect();
        Self {
            plan,
            hosts: plan.host_ids().collect(),
            cases,
            remembered: Vec::new(),
            tolerance: Duration::ZERO,
        }
    }

    /// A judge of a real ring, in which each expectation may be met this much later.
    #[cfg(feature = "beds")]
    pub(crate) fn lenient(plan: &'p Plan, tolerance: Duration) -> Self {
        Self { tolerance, ..Self::new(plan) }
    }

    /// Every instant at which the world has to be looked at, even if no event falls on it.
    pub(crate) fn instants(&self) -> Vec<Instant> {
        let mut instants = Vec::new();
        for case in &self.cases {
            let when = case.expectation.when;
            instants.extend([when.start(), when.end()]);
            instants.extend(case.expectation.what.since());
            if case.expectation.what.lasting().is_some() {
                let mut at = when.start();
                while at < when.end() {
                    instants.push(at);
                    at = at + if self.plan.hosts.len() > BIG { LOOK_EVERY_BIG } else { LOOK_EVERY };
                }
            }
        }
        instants
    }

    /// Whether no further event can change any verdict.
    pub(crate) fn is_settled(&self) -> bool {
        self.cases.iter().all(|case| case.settled)
    }

    /// When each expectation of one view came true.
    pub(crate) fn shared_since(&self) -> Option<Instant> {
        self.cases.iter().filter_map(|case| case.shared).max()
    }

    /// Takes note of a node's event.
    pub(crate) fn hear(&mut self, world: &dyn Scene, record: &Record) {
        let record::What::Event { host, event } = &record.what else { return };
        if let Some(report) = Report::of(*host, &event.kind, |member| world.host_by_member(member)) {
            self.note(record.at, report);
        }
    }

    /// Takes note of a node's event, in the words of scenarios.
    pub(crate) fn note(&mut self, at: Instant, report: Report) {
        for case in &mut self.cases {
            let when = case.expectation.when;
            let (start, end) = lenient(when, is_wanted(when), self.tolerance);
            if case.heard.is_some() || at < start || at > end || !case.expectation.what.hears(&report) {
                continue;
            }
            let by = self.plan.name(report.host);
            let subject = report.subject.map_or("a member of no host", |subject| self.plan.name(subject));
            case.heard = Some(format!("{by} reported {} about {subject} at {at}", report.word.word()));
        }
    }

    /// Looks at the expectations that must hold now. `ends`: it is the last look at this instant before the next
    /// action.
    pub(crate) fn look(&mut self, world: &dyn Scene, ends: bool) -> Result<(), Unmet> {
        let now = world.now();
        if ends && self.cases.iter().any(|case| case.expectation.what.since() == Some(now)) {
            let all = self.plan.host_ids().map(|host| world.identity(host)).collect();
            self.remembered.push((now, all));
        }
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            let when = case.expectation.when;
            if case.settled || now < when.start() || now > when.end() {
                continue;
            }
            let last = ends && now == when.end();
            if matches!(when, When::At(_)) && !last {
                continue;
            }
            // A span that begins now is looked at after the actions of this instant.
            if ends && now == when.start() && !last {
                continue;
            }
            if let Some(lasting) = case.expectation.what.lasting() {
                let found = if ends { self.holds(world, case) } else { Ok(()) };
                self.cases[index].seen = true;
                if ends {
                    self.lasts(index, now, lasting, found, last)?;
                }
                continue;
            }
            let held = self.holds(world, case);
            match (when, held) {
                (When::By { .. }, Ok(())) | (When::At(_), Ok(())) => self.cases[index].settled = true,
                (When::Always { .. }, Ok(())) => self.cases[index].settled = last,
                (When::By { .. }, Err(_)) if !last => {}
                (_, Err(found)) => return Err(unmet(self.cases[index].expectation, now, found)),
            }
        }
        Ok(())
    }

    /// Notes whether a statement holds that has to last.
    fn lasts(
        &mut self,
        index: usize,
        now: Instant,
        lasting: Duration,
        held: Result<(), String>,
        last: bool,
    ) -> Result<(), Unmet> {
        let case = &mut self.cases[index];
        case.shared = if held.is_ok() { case.shared.or(Some(now)) } else { None };
        case.settled = case.shared.is_some_and(|since| now >= since + lasting);
        if last && !case.settled {
            let found = held.err().unwrap_or_else(|| String::from("one view came too late"));
            return Err(unmet(case.expectation, now, found));
        }
        Ok(())
    }

    /// Looks at a real ring, which can be asked now and then only. Returns whether every expectation is decided.
    #[cfg(feature = "beds")]
    pub(crate) fn glance(&mut self, scene: &dyn Scene) -> Result<bool, Unmet> {
        let now = scene.now();
        let missed: Vec<Instant> =
            self.cases.iter().filter_map(|case| case.expectation.what.since()).collect();
        for at in missed {
            if at <= now && !self.remembered.iter().any(|(known, _)| *known == at) {
                let all = self.plan.host_ids().map(|host| scene.identity(host)).collect();
                self.remembered.push((at, all));
            }
        }
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            let event = case.expectation.what.listens();
            let wanted = is_wanted(case.expectation.when);
            let (start, end) = lenient(case.expectation.when, wanted, self.tolerance);
            if case.settled || now < start {
                continue;
            }
            let over = now >= end;
            // A span that is over has been looked at, unless it is shorter than the time between two looks.
            let held = if over && !wanted && !event && case.seen { Ok(()) } else { self.holds(scene, case) };
            self.cases[index].seen = true;
            match held {
                Ok(()) => self.cases[index].settled = wanted || over,
                Err(_) if wanted && !over => {}
                Err(found) => return Err(unmet(self.cases[index].expectation, now, found)),
            }
        }
        Ok(self.cases.iter().all(|case| case.settled))
    }

    fn holds(&self, scene: &dyn Scene, case: &Case<'_>) -> Result<(), String> {
        let look =
            Look { scene, hosts: &self.hosts, remembered: &self.remembered, heard: case.heard.as_deref() };
        case.expectation.what.holds(&look)
    }
}

/// Whether the statement must become true once, not hold throughout.
const fn is_wanted(when: When) -> bool {
    !matches!(when, When::Always { .. })
}

fn unmet(expectation: &Expectation, at: Instant, found: String) -> Unmet {
    Unmet { line: expectation.line, text: expectation.text.clone(), when: expectation.when, at, found }
}

/// The span of an expectation in a ring that is slower than a simulated one: a wanted state may come later, and a
/// condition over a span need not hold at first.
fn lenient(when: When, wanted: bool, tolerance: Duration) -> (Instant, Instant) {
    let (start, end) = (when.start(), when.end());
    match wanted {
        true => (start, end + tolerance),
        false if start == Instant::ZERO => (start, end),
        false => ((start + tolerance).min(end), end),
    }
}
