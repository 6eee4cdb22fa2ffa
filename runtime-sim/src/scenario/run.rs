//! Performs a scenario on a scene, records it and checks it.

use std::collections::BTreeSet;

use annulus_core::Instant;

use super::judge::{Decided, Judge, Unmet, Verdict};
use super::plan::{Plan, TimedAction};
use super::scene::{self, Bed, Holdings};
use crate::action::world::{Record, What, World};
use crate::action::{Action, SetLink};
use crate::checker::{Checkers, Violation};
use crate::engine::host::HostSpec;
use crate::engine::record::{Counters, Recording};
use crate::engine::scene::Scene;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every expectation held.
    Pass,
    /// An expectation did not hold.
    Unmet(Unmet),
    /// A property that always has to hold did not.
    Violated(Violation),
    /// The world refused an action: the file asks for an action that is impossible then.
    Impossible {
        /// The line of the file.
        line: usize,
        /// The time.
        at: Instant,
        /// Why not, and the advice.
        error: String,
    },
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// The seed that was used.
    pub seed: u64,
    /// When it ended, in simulated time.
    pub ended: Instant,
    /// Fingerprint of the run.
    pub hash: u64,
    /// Steps taken in the world.
    pub steps: u64,
    /// The states that members held of each other at the end.
    pub holdings: Holdings,
    /// Since when one view was shared, where that is expected.
    pub shared_since: Option<Instant>,
    /// The world's counts.
    pub counters: Counters,
}

/// Is shown every record when it is made.
pub trait Watcher {
    /// Which records it wants to see.
    fn recording(&self) -> Recording {
        Recording::Events
    }
    /// Takes note of a record.
    fn record(&mut self, scene: &dyn Scene, record: &Record);
    /// Takes note of an expectation that is decided.
    fn verdict(&mut self, _: &Verdict) {}
}

/// A run without a watcher.
impl Watcher for () {
    fn record(&mut self, _: &dyn Scene, _: &Record) {}
}

/// Performs `plan` in a simulated world, from beginning to end or to the first failure.
pub fn run(plan: &Plan, seed: u64, watcher: &mut dyn Watcher) -> Report {
    let mut world = build(plan, seed);
    world.record(watcher.recording().max(Recording::Events));
    run_on(&mut world, plan, seed, watcher)
}

/// As [`run`], and ends as soon as every expectation has come true.
pub fn run_until_settled(plan: &Plan, seed: u64, watcher: &mut dyn Watcher) -> Report {
    let mut world = build(plan, seed);
    world.record(watcher.recording().max(Recording::Events));
    perform(&mut world, plan, seed, watcher, &mut Checkers::of(&plan.timings), true)
}

/// As [`run_until_settled`]; then goes on in the same world with the plan that `sequel` makes of the time at which
/// every expectation had come true. The report is that of the whole.
pub fn run_with_sequel(
    plan: &Plan,
    seed: u64,
    watcher: &mut dyn Watcher,
    sequel: impl FnOnce(Instant) -> Plan,
) -> Report {
    let mut world = build(plan, seed);
    world.record(watcher.recording().max(Recording::Events));
    let mut checkers = Checkers::of(&plan.timings);
    let first = perform(&mut world, plan, seed, watcher, &mut checkers, true);
    if !matches!(first.outcome, Outcome::Pass) {
        return first;
    }
    let sequel = sequel(first.ended);
    assert!(sequel.actions.first().is_none_or(|a| a.time >= first.ended), "a sequel comes after the rest");
    let second = perform(&mut world, &sequel, seed, watcher, &mut checkers, true);
    Report { shared_since: second.shared_since.max(first.shared_since), ..second }
}

/// As [`run`], on a bed that was made for this plan and seed.
pub fn run_on(bed: &mut dyn Bed, plan: &Plan, seed: u64, watcher: &mut dyn Watcher) -> Report {
    perform(bed, plan, seed, watcher, &mut Checkers::of(&plan.timings), false)
}

fn perform(
    bed: &mut dyn Bed,
    plan: &Plan,
    seed: u64,
    watcher: &mut dyn Watcher,
    checkers: &mut Checkers,
    until_settled: bool,
) -> Report {
    let judge = Judge::new(plan);
    let mut run = Run { plan, bed, judge, checkers, watcher, until_settled, asking: None };
    let outcome = match run.perform() {
        Ok(()) => Outcome::Pass,
        Err(outcome) => *outcome,
    };
    let shared_since = run.judge.shared_since();
    Report {
        outcome,
        seed,
        ended: bed.now(),
        hash: bed.fingerprint(),
        steps: bed.steps(),
        holdings: scene::holdings(bed, plan),
        shared_since,
        counters: bed.counters(),
    }
}

/// The world of a plan, before any action.
#[must_use]
pub fn build(plan: &Plan, seed: u64) -> World {
    let mut world = World::new(seed, plan.quality);
    if plan.ring_key.is_some() {
        world.give_key();
    }
    for host in &plan.hosts {
        world.add_host(HostSpec {
            zone: (!host.zone.is_empty()).then(|| host.zone.clone()),
            permanent: host.permanent,
            key_revision: plan.ring_key,
            peers: host.peers.clone(),
            timings: plan.timings.clone(),
            planted: plan.planted,
            ..HostSpec::new(host.name.clone())
        });
    }
    world
}

struct Run<'a> {
    plan: &'a Plan,
    bed: &'a mut dyn Bed,
    judge: Judge<'a>,
    checkers: &'a mut Checkers,
    watcher: &'a mut dyn Watcher,
    until_settled: bool,
    /// The entry of the file that is being done.
    asking: Option<&'a TimedAction>,
}

type Step = Result<(), Box<Outcome>>;

impl Run<'_> {
    fn perform(&mut self) -> Step {
        for link in &self.plan.links {
            let action = Action::SetLink(SetLink {
                from: link.from.clone(),
                to: link.to.clone(),
                quality: link.quality,
            });
            self.act(0, &action)?;
        }
        self.bed.call_links_sound();
        let end = Instant::ZERO + self.plan.duration;
        let mut instants: BTreeSet<Instant> = self.judge.instants().into_iter().collect();
        instants.extend(self.plan.actions.iter().map(|timed| timed.time));
        instants.insert(end);
        let mut next = 0;
        while let Some(instant) = instants.first().copied().filter(|instant| *instant <= end) {
            if self.bed.step_until(instant) {
                if self.tell()? {
                    self.look(false)?;
                }
                // An event may begin a span that ends before the next instant.
                instants.extend(self.judge.due());
                continue;
            }
            instants.remove(&instant);
            self.bed.run_until(instant);
            self.look(true)?;
            while let Some(timed) = self.plan.actions.get(next).filter(|timed| timed.time == instant) {
                next += 1;
                self.asking = Some(timed);
                self.act(timed.line.unwrap_or(0), &timed.action)?;
                self.asking = None;
            }
            let late = self.plan.actions.get(next).is_some_and(|timed| timed.time <= instant);
            assert!(!late, "a plan's actions are in the order of time");
            self.look(false)?;
            instants.extend(self.judge.due());
            if self.until_settled && next == self.plan.actions.len() && self.judge.is_settled() {
                return Ok(());
            }
        }
        let finished = self.judge.finish(self.bed);
        self.judged(finished)
    }

    fn act(&mut self, line: usize, action: &Action) -> Step {
        let done = self.bed.try_apply(action);
        let at = self.bed.now();
        self.tell()?;
        match done {
            Err(refusal) if !(self.plan.skip_impossible && refusal.untimely) => {
                Err(Box::new(Outcome::Impossible { line, at, error: refusal.why }))
            }
            _ => Ok(()),
        }
    }

    /// Hands on the records; returns whether one of them may have changed a member's knowledge.
    fn tell(&mut self) -> Result<bool, Box<Outcome>> {
        let mut changed = false;
        for record in self.bed.drain_records() {
            changed |= !matches!(
                record.what,
                What::Sent { .. }
                    | What::Delivered { .. }
                    | What::Dropped { .. }
                    | What::RefusalDelivered { .. }
            );
            self.watcher.record(self.bed, &record);
            let answered = match (&record.what, self.asking) {
                (What::Asked { request, .. }, Some(timed)) => {
                    self.judge.ask(*request, timed);
                    Ok(())
                }
                (What::Reply { request, reply, .. }, _) => self.judge.answer(record.at, *request, reply),
                _ => Ok(()),
            };
            self.judged(answered)?;
            self.judge.hear(self.bed, &record);
            self.checkers.observe(&record).map_err(|violation| Box::new(Outcome::Violated(violation)))?;
        }
        Ok(changed)
    }

    fn look(&mut self, ends: bool) -> Step {
        let looked = self.judge.look(self.bed, ends);
        self.judged(looked)
    }

    /// Tells what has been decided.
    fn judged(&mut self, judged: Result<(), Unmet>) -> Step {
        for verdict in self.judge.verdicts() {
            self.watcher.verdict(&verdict);
        }
        judged.map_err(|unmet| {
            let Unmet { line, text, at, .. } = unmet.clone();
            self.watcher.verdict(&Verdict { line, text, at, how: Decided::Failed });
            Box::new(Outcome::Unmet(unmet))
        })
    }
}
