//! Judges whether a scenario's expectations hold, by looking at the nodes' state and listening to their events, and
//! whether its commands are answered as the file says. A judge only looks; it changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, Reply, RequestId};

use super::plan::{Expectation, Plan, TimedAction};
use crate::action::Refused;
use crate::action::world::Record;
use crate::engine::host::HostId;
use crate::engine::record;
use crate::engine::scene::Scene;
use crate::expect::room::{Identity, Look, Room as _};
use crate::expect::{Report, Statement, When};
use crate::form::text::Names;

/// An expectation that did not hold, or a command that was not answered as the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line of the file.
    pub line: usize,
    /// The expectation or the command in the file's words.
    pub text: String,
    /// What became of it, as the beginning of a sentence: `expectation did not hold at 4.000s`.
    pub missed: String,
    /// When it was given up.
    pub at: Instant,
    /// The state of the ring then.
    pub found: String,
}

/// An expectation that is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The line of the file.
    pub line: usize,
    /// The expectation in the file's words.
    pub text: String,
    /// When.
    pub at: Instant,
    /// The decision.
    pub how: Decided,
}

/// How an expectation is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It came true at this time.
    CameTrue,
    /// It was true at every look of its span, or at its instant.
    Held,
    /// A command was refused, as the file says.
    Refused,
    /// It was not met.
    Failed,
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
    /// Commands that are not answered yet.
    asked: BTreeMap<RequestId, &'p TimedAction>,
    /// Instants that have to be looked at, since the event came from which an expectation counts.
    due: Vec<Instant>,
    /// Decisions that were not told yet.
    verdicts: Vec<Verdict>,
}

#[derive(Debug)]
struct Case<'p> {
    expectation: &'p Expectation,
    settled: bool,
    /// From when to when it is looked at; none while the event has not come from which it counts.
    span: Option<(Instant, Instant)>,
    /// The actions of the first instant are done.
    begun: bool,
    /// The event from which it counts.
    begun_by: Option<String>,
    /// Whether it has been looked at.
    seen: bool,
    /// It did not hold at an earlier look: what holds now has come true since.
    lacked: bool,
    /// It held from the beginning, as before, and stopped at this time.
    stopped: Option<Instant>,
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
        Self {
            plan,
            hosts: plan.host_ids().collect(),
            cases: plan.expectations.iter().map(Case::new).collect(),
            remembered: Vec::new(),
            tolerance: Duration::ZERO,
            asked: BTreeMap::new(),
            due: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// A judge of a real ring, in which each expectation may be met this much later. It is asked now and then only, so
    /// no look falls between the actions of one instant.
    #[cfg(feature = "beds")]
    pub(crate) fn lenient(plan: &'p Plan, tolerance: Duration) -> Self {
        let mut judge = Self { tolerance, ..Self::new(plan) };
        for case in &mut judge.cases {
            case.begun = case.span.is_some();
        }
        judge
    }

    /// Every instant at which the world has to be looked at, even if no event falls on it. Events add to them: see
    /// [`Self::due`].
    pub(crate) fn instants(&self) -> Vec<Instant> {
        let mut instants = Vec::new();
        for case in &self.cases {
            instants.extend(case.expectation.what.since());
            instants.extend(self.looks(case));
        }
        instants
    }

    /// The instants that were added since the last call.
    pub(crate) fn due(&mut self) -> Vec<Instant> {
        std::mem::take(&mut self.due)
    }

    fn looks(&self, case: &Case<'_>) -> Vec<Instant> {
        let Some((start, end)) = case.span else { return Vec::new() };
        let mut instants = vec![start, end];
        if case.expectation.what.lasting().is_some() {
            let mut at = start;
            while at < end {
                instants.push(at);
                at = at + self.look_every();
            }
        }
        instants
    }

    /// The time between two looks at a statement that has to last.
    fn look_every(&self) -> Duration {
        if self.plan.hosts.len() > BIG { LOOK_EVERY_BIG } else { LOOK_EVERY }
    }

    /// Whether no further event can change any verdict.
    pub(crate) fn is_settled(&self) -> bool {
        self.cases.iter().all(|case| case.settled)
    }

    /// When each expectation of one view came true.
    pub(crate) fn shared_since(&self) -> Option<Instant> {
        let views = self.cases.iter().filter(|case| matches!(case.expectation.what, Statement::OneView(_)));
        views.filter_map(|case| case.shared).max()
    }

    /// The decisions since the last call.
    pub(crate) fn verdicts(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.verdicts)
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
        let words = || {
            let by = self.plan.name(report.host);
            let subject = report.subject.map_or("a member of no host", |subject| self.plan.name(subject));
            format!("{by} reported {} about {subject} at {at}", report.word.word())
        };
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            let when = &case.expectation.when;
            if let (When::Within { within, event }, None) = (when, case.span) {
                if event.hears(&report) {
                    let (span, begun_by) = (Some((at, at + *within)), Some(words()));
                    let case = &mut self.cases[index];
                    (case.span, case.begun, case.begun_by) = (span, true, begun_by);
                    self.due.extend(self.looks(&self.cases[index]));
                }
                continue;
            }
            let Some((start, end)) = case.lenient(self.tolerance).filter(|_| case.begun) else { continue };
            if case.heard.is_none() && (start..=end).contains(&at) && case.expectation.what.hears(&report) {
                self.cases[index].heard = Some(words());
            }
        }
    }

    /// Takes note of a command that an action of the file sends.
    pub(crate) fn ask(&mut self, request: RequestId, action: &'p TimedAction) {
        self.asked.insert(request, action);
    }

    /// Compares the answer to a command with what the file says.
    pub(crate) fn answer(&mut self, at: Instant, request: RequestId, reply: &Reply) -> Result<(), Unmet> {
        let Some(asked) = self.asked.remove(&request) else { return Ok(()) };
        let unmet = |missed: String, found: String| Err(self.unanswered(asked, at, missed, found));
        match (reply, asked.refused) {
            (Reply::Done | Reply::Unchanged, None) => Ok(()),
            (Reply::Failed(error), Some(expected)) if Refused::of(error) == expected => {
                self.verdicts.push(Verdict {
                    line: asked.line.unwrap_or(0),
                    text: format!("{}: {error}", self.command(asked)),
                    at,
                    how: Decided::Refused,
                });
                Ok(())
            }
            // A schedule that chance has drawn cannot know which of its commands will be refused.
            (Reply::Failed(_), None) if self.plan.skip_impossible => Ok(()),
            (Reply::Failed(error), None) => unmet(
                format!("command was refused at {at}"),
                format!(
                    "{error}; write refused = \"{}\" beside it where that is meant",
                    Refused::of(error).word()
                ),
            ),
            (Reply::Failed(error), Some(expected)) => unmet(
                format!("command was refused at {at}, but not as {}", expected.word()),
                format!("{}: {error}", Refused::of(error).word()),
            ),
            (Reply::Done | Reply::Unchanged, Some(expected)) => unmet(
                format!("command was not refused as {}", expected.word()),
                format!("it was carried out at {at}"),
            ),
        }
    }

    fn command(&self, action: &TimedAction) -> String {
        let names = Names(self.plan.hosts.iter().map(|host| host.name.as_str()).collect());
        action.action.write(&names).trim().replace('\n', ", ")
    }

    fn unanswered(&self, action: &TimedAction, at: Instant, missed: String, found: String) -> Unmet {
        Unmet { line: action.line.unwrap_or(0), text: self.command(action), missed, at, found }
    }

    /// Looks at the expectations that must hold now. `ends`: it is the last look at this instant before the next
    /// action.
    pub(crate) fn look(&mut self, world: &dyn Scene, ends: bool) -> Result<(), Unmet> {
        let now = world.now();
        if ends && self.cases.iter().any(|case| case.expectation.what.since() == Some(now)) {
            let all = self.plan.host_ids().map(|host| world.identity(host)).collect();
            self.remembered.push((now, all));
        }
        let every = self.look_every().as_nanos();
        for index in 0..self.cases.len() {
            let case = &mut self.cases[index];
            let Some((start, end)) = case.span else { continue };
            if case.settled || now < start || now > end {
                continue;
            }
            let last = ends && now == end;
            let at_once = start == end;
            if at_once && !last {
                continue;
            }
            // A span that begins now is looked at after the actions of this instant.
            if !at_once && !case.begun {
                case.begun = ends || now > start;
                continue;
            }
            if let Some(lasting) = case.expectation.what.lasting() {
                // At its own instants only: what else is expected moves no verdict.
                let is_due = now.saturating_since(start).as_nanos().is_multiple_of(every);
                if ends && (is_due || last) {
                    let found = self.holds(world, &self.cases[index]);
                    self.lasts(index, now, lasting, found, last)?;
                }
                continue;
            }
            let held = self.holds(world, &self.cases[index]);
            self.judge(index, now, held, last)?;
        }
        Ok(())
    }

    /// Takes a look into account; `last`: there will be none after it.
    fn judge(
        &mut self,
        index: usize,
        now: Instant,
        held: Result<(), String>,
        last: bool,
    ) -> Result<(), Unmet> {
        let case = &mut self.cases[index];
        let wanted = is_wanted(&case.expectation.when);
        let seen = std::mem::replace(&mut case.seen, true);
        match held {
            Ok(()) if wanted && case.lacked => self.decide(index, now, Decided::CameTrue),
            Ok(()) if last => self.decide(index, now, Decided::Held),
            Ok(()) => {}
            Err(found) => {
                if !case.lacked && seen {
                    case.stopped = Some(now);
                }
                case.lacked = true;
                if last || !wanted {
                    return Err(case.unmet(now, found));
                }
            }
        }
        Ok(())
    }

    fn decide(&mut self, index: usize, at: Instant, how: Decided) {
        let case = &mut self.cases[index];
        case.settled = true;
        let Expectation { line, text, .. } = case.expectation;
        self.verdicts.push(Verdict { line: *line, text: text.clone(), at, how });
    }

    /// Notes whether a statement holds that has to last. It counts from the beginning of its span, so all of the time
    /// for which it lasts is after the actions that it follows.
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
        if case.shared.is_some_and(|since| now >= since + lasting) {
            self.decide(index, now, Decided::CameTrue);
        } else if last {
            let found = held.err().unwrap_or_else(|| String::from("it came too late to last"));
            return Err(case.unmet(now, found));
        }
        Ok(())
    }

    /// The run is over: nothing may be left that only the future would have decided.
    pub(crate) fn finish(&self, world: &dyn Scene) -> Result<(), Unmet> {
        let now = world.now();
        let undecided =
            |case: &&Case<'_>| !case.settled && matches!(case.expectation.when, When::Within { .. });
        if let Some(case) = self.cases.iter().find(undecided) {
            let found = match self.holds(world, case) {
                Err(found) => found,
                Ok(()) => format!("the scenario ends at {now}, before its time is over"),
            };
            return Err(case.unmet(now, found));
        }
        let unanswered = self.asked.values().find_map(|asked| Some((*asked, asked.refused?)));
        unanswered.map_or(Ok(()), |(asked, expected)| {
            let missed = format!("command was not refused as {}", expected.word());
            Err(self.unanswered(asked, now, missed, String::from("it was never answered")))
        })
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
            let wanted = is_wanted(&case.expectation.when);
            let by = case.span.map_or(Instant::FAR_FUTURE, |(_, by)| by);
            let span = case.lenient(self.tolerance);
            let ended = now >= Instant::ZERO + self.plan.duration + self.tolerance;
            let Some((start, end)) = span else {
                if ended {
                    return Err(case.unmet(now, String::from("nothing began it")));
                }
                continue;
            };
            if case.settled || now < start {
                continue;
            }
            let over = now >= end;
            // A span that is over has been looked at, unless it is shorter than the time between two looks.
            let held = if over && !wanted && !event && case.seen { Ok(()) } else { self.holds(scene, case) };
            // What was true throughout until its time is not asked for longer.
            let last = over || (held.is_ok() && now >= by);
            self.judge(index, now, held, last)?;
        }
        Ok(self.cases.iter().all(|case| case.settled))
    }

    fn holds(&self, scene: &dyn Scene, case: &Case<'_>) -> Result<(), String> {
        let look =
            Look { scene, hosts: &self.hosts, remembered: &self.remembered, heard: case.heard.as_deref() };
        case.expectation.what.holds(&look)
    }
}

impl<'p> Case<'p> {
    fn new(expectation: &'p Expectation) -> Self {
        Self {
            expectation,
            settled: false,
            span: expectation.when.span(),
            begun: false,
            begun_by: None,
            seen: false,
            lacked: false,
            stopped: None,
            heard: None,
            shared: None,
        }
    }

    /// Its span in a ring that is slower than a simulated one: a wanted state may come later, and a condition over a
    /// span need not hold at first.
    fn lenient(&self, tolerance: Duration) -> Option<(Instant, Instant)> {
        let (start, end) = self.span?;
        Some(match is_wanted(&self.expectation.when) {
            true => (start, end + tolerance),
            false if start == Instant::ZERO => (start, end),
            false => ((start + tolerance).min(end), end),
        })
    }

    fn unmet(&self, at: Instant, found: String) -> Unmet {
        let missed = match (&self.expectation.when, &self.begun_by) {
            (When::By { after, by }, _) => format!("was not met between {after} and {by}"),
            (When::Within { within, .. }, Some(begun_by)) => {
                format!("was not met within {} after {begun_by}", Instant::ZERO + *within)
            }
            (When::Within { event, .. }, None) => {
                format!("was never timed, because no {} was reported", event.event.word())
            }
            (When::At(at), _) => format!("did not hold at {at}"),
            (When::Always { from, until }, _) => {
                format!("had to hold from {from} to {until} and did not at {at}")
            }
        };
        let found = match (self.stopped, self.span) {
            (Some(stopped), Some((start, _))) if is_wanted(&self.expectation.when) => format!(
                "{found}; it was so at {start} already and stopped at {stopped}, and only what came true since counts"
            ),
            _ => found,
        };
        let Expectation { line, text, .. } = self.expectation;
        Unmet { line: *line, text: text.clone(), missed: format!("expectation {missed}"), at, found }
    }
}

/// Whether the statement must become true once, not hold throughout.
const fn is_wanted(when: &When) -> bool {
    !matches!(when, When::Always { .. })
}
