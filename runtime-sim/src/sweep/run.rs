//! One seed: chaos, then calm, then one view.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use annulus_core::{EventKind, Instant, Timings};

use super::draw::{self, Class, Plan};
use crate::action::{Action, DiskAfter, HostId};
use crate::checker::Checkers;
use crate::exit::Exit;
use crate::host::{HostSpec, HostState};
use crate::narrate::Narrator;
use crate::record::{DropReason, Record, Recording, What};
use crate::view;
use crate::world::World;

/// Sentences that a failure shows.
const LAST_SENTENCES: usize = 24;
/// How often the views are compared.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a shared view must last to count.
const STABLE: Duration = Duration::from_secs(10);

/// What became of one seed.
#[derive(Debug)]
pub(super) struct Outcome {
    pub members: u32,
    /// Within how long after the last fault one view had to be shared.
    pub bound: Duration,
    /// After how long it was, or why it was not.
    pub result: Result<Duration, Failure>,
    /// What occurred, and how often.
    pub tally: BTreeMap<String, u64>,
    pub hash: u64,
}

/// Why a seed failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub exit: Exit,
    pub why: String,
    /// The last things that happened, in sentences.
    pub last: Vec<String>,
}

/// Within how long after the last fault all running members must share one view.
///
/// Everybody is probed within two rounds of the ring; a suspicion runs its full length; lost members are tried
/// again, twice in case the first try meets one that is itself just coming back; two digest exchanges carry
/// what gossip no longer tells.
pub(super) fn bound(timings: &Timings, members: u32) -> Duration {
    // A member of the worst local health makes one step back in each round, and rounds get shorter as it does.
    let health_periods = u64::from((timings.local_health_max + 1) * (timings.local_health_max + 2) / 2);
    let rounds_ms = (2 * u64::from(members) + health_periods) * timings.probe_period_ms;
    // log10 of at most 99 members is below two.
    let suspicion_ms = 2 * timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor);
    let repair_ms = 2 * timings.reconnect_period_ms + 2 * timings.sync_period_ms;
    Duration::from_millis(rounds_ms + suspicion_ms + repair_ms)
}

/// For how long after the last fault members may be accused: probes that began before it still fail, at the pace
/// of a member that doubts itself as much as it can, and their suspicions run out.
fn grace(timings: &Timings) -> Duration {
    let probe_ms = timings.probe_period_ms * u64::from(timings.local_health_max + 1);
    let suspicion_ms = 2 * timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor);
    Duration::from_millis(probe_ms + suspicion_ms)
}

/// Runs one seed.
pub(super) fn run(seed: u64, without: &[Class], mut keep: impl FnMut(&World, &[Record])) -> Outcome {
    let plan = draw::plan(seed, without);
    let bound = bound(&plan.timings, plan.members);
    let mut run = Run {
        world: build(seed, &plan),
        checkers: Checkers::all(),
        tally: BTreeMap::new(),
        narrator: Narrator::new((0..plan.members).map(name).collect()),
        last: VecDeque::with_capacity(LAST_SENTENCES),
    };
    let result = run.chaos(&plan, &mut keep).and_then(|()| run.calm(&plan, bound, &mut keep));
    let last = std::mem::take(&mut run.last).into();
    let result = result.map_err(|(exit, why)| Failure { exit, why, last });
    run.count_drops();
    Outcome { members: plan.members, bound, result, tally: run.tally, hash: run.world.hash().value() }
}

fn build(seed: u64, plan: &Plan) -> World {
    let mut world = World::new(seed, plan.quality);
    world.record(Recording::Events);
    for n in 0..plan.members {
        let mut spec = HostSpec::new(name(n));
        spec.timings = plan.timings.clone();
        spec.permanent = n < plan.permanent;
        spec.peers = (0..plan.permanent.max(1)).filter(|p| *p != n).map(HostId).collect();
        let host = world.add_host(spec);
        world.apply(&Action::Join(host)).expect("a new host can join");
    }
    world
}

fn name(number: u32) -> String {
    format!("m{number}")
}

/// What went wrong, and how the program ends because of it.
type Wrong = (Exit, String);

struct Run {
    world: World,
    checkers: Checkers,
    tally: BTreeMap<String, u64>,
    narrator: Narrator,
    last: VecDeque<String>,
}

impl Run {
    fn chaos(&mut self, plan: &Plan, keep: &mut impl FnMut(&World, &[Record])) -> Result<(), Wrong> {
        for (at, action) in plan.schedule.iter().filter(|(at, _)| *at < plan.calm_at) {
            self.world.run_until(*at);
            // An action may have become impossible: its host has crashed of something else.
            let name = action_name(action);
            let possible = self.world.apply(action).is_ok();
            let key = if possible { name.to_owned() } else { format!("{name} (impossible)") };
            *self.tally.entry(key).or_default() += 1;
            self.collect(keep)?;
        }
        self.world.run_until(plan.calm_at);
        self.collect(keep)
    }

    /// Ends every fault and waits for one view.
    fn calm(
        &mut self,
        plan: &Plan,
        bound: Duration,
        keep: &mut impl FnMut(&World, &[Record]),
    ) -> Result<Duration, Wrong> {
        let whole = Action::SetLink { from: Vec::new(), to: Vec::new(), quality: plan.quality };
        for action in [Action::Heal, whole] {
            self.apply(&action)?;
        }
        let grace = grace(&plan.timings);
        let mut last_fault = self.world.now();
        let mut shared_since: Option<Instant> = None;
        loop {
            if self.revive()? {
                last_fault = self.world.now();
                shared_since = None;
            }
            self.collect(keep)?;
            let now = self.world.now();
            let accusation = view::accusation(&self.world);
            let shared = accusation.is_none() && view::disagreement(&self.world).is_none();
            // What is held of members that are gone may still change; what is held of those that run may not.
            let lasts = now > last_fault + grace;
            match (shared, shared_since, accusation) {
                (true, Some(since), _) if now >= since + STABLE => {
                    return Ok(since.saturating_since(last_fault));
                }
                (true, since, _) => shared_since = since.or(Some(now)),
                (false, Some(_), Some(why)) if lasts => {
                    return Err((Exit::Unmet, format!("one view was shared, and now {why}")));
                }
                (false, _, _) => shared_since = None,
            }
            if shared_since.is_none() && now > last_fault + bound {
                let why = view::accusation(&self.world).or_else(|| view::disagreement(&self.world));
                let (why, bound_s) = (why.unwrap_or_default(), bound.as_secs());
                return Err((Exit::Unmet, format!("no shared view {bound_s} s after the last fault: {why}")));
            }
            self.world.run_until(now + LOOK_EVERY);
        }
    }

    /// Starts every supervisor that does not run; whether there was one. One that was leaving ends later.
    fn revive(&mut self) -> Result<bool, Wrong> {
        let mut revived = false;
        for host in self.world.hosts() {
            let action = match self.world.state(host) {
                HostState::Running => continue,
                HostState::New => Action::Join(host),
                HostState::Paused => Action::Resume(host),
                HostState::Stopped | HostState::Crashed => Action::Restart(host, DiskAfter::Kept),
            };
            self.apply(&action)?;
            revived = true;
        }
        Ok(revived)
    }

    /// Something that must be possible: a disk that cannot be read back is the core's failure.
    fn apply(&mut self, action: &Action) -> Result<(), Wrong> {
        self.world.apply(action).map_err(|error| (Exit::Violated, error.to_string()))
    }

    fn collect(&mut self, keep: &mut impl FnMut(&World, &[Record])) -> Result<(), Wrong> {
        let records = self.world.drain_records();
        keep(&self.world, &records);
        for record in records {
            if let What::Event { event, .. } = &record.what {
                *self.tally.entry(event_name(&event.kind)).or_default() += 1;
            }
            let verdict = self.checkers.observe(&record);
            self.last.extend(self.narrator.tell(&record));
            let superfluous = self.last.len().saturating_sub(LAST_SENTENCES);
            self.last.drain(..superfluous);
            verdict.map_err(|violation| (Exit::Violated, violation.to_string()))?;
        }
        Ok(())
    }

    fn count_drops(&mut self) {
        for (reason, count) in DropReason::ALL.into_iter().zip(self.world.counters().dropped) {
            *self.tally.entry(format!("packet {}", reason.name())).or_default() += count;
        }
        *self.tally.entry("packet duplicated".to_owned()).or_default() += self.world.counters().duplicates;
    }
}

fn event_name(kind: &EventKind) -> String {
    match kind {
        EventKind::MemberChanged { to, .. } => format!("member {}", to.name().to_lowercase()),
        EventKind::ServiceChanged { to: Some(to), .. } => format!("service {}", to.name()),
        other => format!("event {}", crate::trace::kind_name(other)),
    }
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Join(_) => "join",
        Action::Leave(_) => "leave",
        Action::Depart { .. } | Action::DepartId { .. } => "depart",
        Action::Crash(_) => "crash",
        Action::Kill(_) => "kill",
        Action::Restart(_, DiskAfter::Kept) => "restart",
        Action::Restart(_, DiskAfter::Lost) => "restart with an empty disk",
        Action::Restart(_, DiskAfter::Old) => "restart with an old disk",
        Action::Pause(_) => "pause",
        Action::Resume(_) => "resume",
        Action::Cut { both: true, .. } => "cut",
        Action::Cut { both: false, .. } => "cut one way",
        Action::Mend { .. } => "mend",
        Action::Heal => "heal",
        Action::SetLink { .. } => "link changed",
        Action::LoadService { .. } => "service load",
        Action::UnloadService { .. } => "service unload",
        Action::StopService { .. } => "service stop",
        Action::StartService { .. } => "service start",
        Action::CrashService { .. } => "service crash",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_outcome() {
        let once = |seed| {
            let outcome = run(seed, &[], |_, _| {});
            (outcome.hash, outcome.tally, outcome.result.is_ok())
        };
        let first = once(3);
        assert_eq!(once(3), first);
        assert_ne!(once(4).0, first.0);
        assert_eq!(once(3), first);
    }
}
