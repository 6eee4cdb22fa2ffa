//! After the faults, when all is well again: single things that happen to a ring in which nothing else is wrong. What
//! follows has bounds of its own, which every seed has to keep; the report names the worst.
//!
//! It begins when the ring is whole, not when it has to be: rings are whole long before, and what only idles shows
//! little for its cost. Some seeds rest for all of that time.

use std::time::Duration;

use annulus_core::{Instant, Rng, State};

use super::draw::root;
use super::package::longest_hang;
use super::{Class, draw, election};
use crate::action::{Action, ApplyConfig, Calm, CloneDisk, Crash, Depart, DiskAfter, Given, HostId, Restart};
use crate::checker::{Bounds, LeaderInTime, back};
use crate::expect::{InState, Statement, VersionHeld, When, Who};
use crate::report::guard;
use crate::scenario::Plan;
use crate::scenario::plan::{Expectation, TimedAction};
use crate::scenario::run::{Outcome, Report, run_until_settled};

/// How long nothing happens before.
const QUIET: Duration = Duration::from_secs(10);
/// Between two things, beyond their bounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Hosts of groups with a leader that are lost, one after the other; one of them may lead.
const LOST_MAX: usize = 3;
/// One ring of so many rests for as long as it might have taken to be whole.
const RESTS_ONE_IN: u64 = 8;
/// The group of the version that is given. No member runs a service of it, so that nothing restarts.
const GROUP: &str = "trial.default";

/// The meaning of a seed: faults until the ring is whole again, then a trial.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The ring, its faults, and that its members share one view afterwards.
    pub plan: Plan,
    has_trial: bool,
}

impl Drawn {
    /// What this seed means without these classes of faults.
    #[must_use]
    pub fn of(seed: u64, without: &[Class]) -> Self {
        Self { plan: draw::plan(seed, without), has_trial: !without.contains(&Class::Trial) }
    }

    /// The trial of a ring that was whole at that time, as a plan that follows.
    pub(super) fn sequel(&self, whole: Instant) -> Plan {
        let rng = &mut root(self.plan.seed).fork(1 + Class::Trial as u64);
        let trial = if self.has_trial {
            draw(rng, &self.plan, whole)
        } else {
            Trial { end: whole, ..Trial::default() }
        };
        Plan {
            duration: Duration::from_nanos(trial.end.as_nanos()),
            links: Vec::new(),
            actions: trial.actions,
            expectations: trial.expectations,
            ..self.plan.clone()
        }
    }

    /// Both parts as one scenario. The first is performed to learn when the ring is whole; where it never is, there is
    /// no second one.
    #[must_use]
    pub fn whole(&self) -> Plan {
        match guard::catching(|| run_until_settled(&self.plan, self.plan.seed, &mut ())) {
            Ok(Report { outcome: Outcome::Pass, ended, .. }) => self.followed_by(self.sequel(ended)),
            Ok(_) | Err(_) => self.plan.clone(),
        }
    }

    /// The whole, with a trial that is known.
    pub(super) fn followed_by(&self, trial: Plan) -> Plan {
        let mut whole = self.plan.clone();
        whole.duration = whole.duration.max(trial.duration);
        whole.actions.extend(trial.actions);
        whole.expectations.extend(trial.expectations);
        whole
    }
}

/// The single things, and what has to follow.
#[derive(Debug, Default)]
struct Trial {
    actions: Vec<TimedAction>,
    expectations: Vec<Expectation>,
    end: Instant,
}

/// Draws the trial of a ring that has gone through this plan and was whole at that time.
fn draw(rng: &mut Rng, plan: &Plan, whole: Instant) -> Trial {
    let rests = rng.chance(1, RESTS_ONE_IN);
    // Drawn even where a ban takes some of them out.
    let members = plan.hosts.len();
    let mut hosts: Vec<HostId> = rng.sample(members, members).into_iter().map(|n| HostId(n as u32)).collect();
    let done = |is: &dyn Fn(&Action) -> bool| plan.actions.iter().any(|timed| is(&timed.action));
    let elects =
        |host: &HostId| done(&|action| election::is_load(action) && action.traced().to.contains(host));
    let departs =
        |host: &HostId| done(&|a| matches!(a, Action::Depart(Depart { host: banned, .. }) if banned == host));
    // A ban of a copy is one of the member whose disk it has.
    let has_banned_copy = |host: &HostId| {
        done(&|a| matches!(a, Action::CloneDisk(CloneDisk { host: copy, of }) if of == host && departs(copy)))
    };
    hosts.retain(|host| !departs(host) && !has_banned_copy(host));
    let from = begin(plan, whole, rests);
    let Some(teller) = hosts.first().copied() else { return Trial { end: from, ..Trial::default() } };
    let mut victims: Vec<HostId> = hosts.iter().copied().filter(elects).take(LOST_MAX).collect();
    if victims.is_empty() {
        victims.extend(hosts.get(1));
    }
    let bounds = Bounds::of(&plan.timings, members, slowest(plan));
    let mut trial = Trial::default();
    let mut now = trial.told(teller, from, bounds.spread) + PAUSE;
    for host in victims {
        now = trial.lost(host, now, bounds, back(&plan.timings)) + PAUSE;
    }
    // The last host that was lost has come back, and what it runs with it.
    trial.end = now + LeaderInTime::new(&plan.timings).bound();
    trial.expectations.push(draw::settled(now, trial.end));
    trial
}

/// When it begins: some time after the ring was whole, and not before every group must have found its leader.
fn begin(plan: &Plan, whole: Instant, rests: bool) -> Instant {
    let calm = plan.actions.iter().find(|timed| matches!(timed.action, Action::Calm(Calm)));
    let calm = calm.map_or(Instant::ZERO, |timed| timed.time);
    let led = if plan.actions.iter().any(|timed| election::is_load(&timed.action)) {
        calm + LeaderInTime::new(&plan.timings).bound()
    } else {
        calm
    };
    // A supervisor that is asked to leave waits for a hook that hangs, and takes no order meanwhile.
    let leaves = plan.actions.iter().any(|timed| matches!(timed.action, Action::Leave(_)));
    let left = match leaves {
        true => calm + longest_hang(plan.actions.iter().map(|timed| &timed.action)),
        false => calm,
    };
    let rested = if rests { Instant::ZERO + plan.duration } else { calm };
    whole.max(led).max(left).max(rested) + QUIET
}

/// The longest way of a packet while every link is sound.
fn slowest(plan: &Plan) -> Duration {
    let far = plan.links.iter().map(|link| link.quality.latency_max).max();
    far.unwrap_or_default().max(plan.quality.latency_max)
}

impl Trial {
    /// A version is given to a group.
    fn told(&mut self, host: HostId, at: Instant, within: Duration) -> Instant {
        let group = GROUP.parse().expect("a service group");
        let given = Given {
            group,
            file: None,
            version: 1,
            text: "trial = true\n".to_owned(),
            bytes: 0,
            sealed: false,
        };
        self.act(at, ApplyConfig { host, given: Box::new(given), wait: None }.into());
        let group = GROUP.parse().expect("a service group");
        let held = VersionHeld { group, file: None, sealed: false, version: 1, seen_by: Who::Running };
        self.expect("version_held = 1", at, at + within, held.into());
        at + within
    }

    /// A host is lost, and comes back when the ring has noticed.
    fn lost(&mut self, host: HostId, at: Instant, bounds: Bounds, back: Duration) -> Instant {
        self.act(at, Action::Crash(Crash { host }));
        let dead =
            InState { of: Who::Hosts(vec![host]), state: Some(State::Confirmed), seen_by: Who::Running };
        self.expect(&format!("confirmed = host {}", host.0), at, at + bounds.detection, dead.into());
        let again = at + bounds.detection.max(bounds.fail_over) + PAUSE;
        self.act(again, Action::Restart(Restart { host, disk: DiskAfter::Kept }));
        again + back
    }

    fn act(&mut self, time: Instant, action: Action) {
        self.actions.push(TimedAction { time, line: Some(0), action, refused: None });
    }

    fn expect(&mut self, text: &str, after: Instant, by: Instant, what: Statement) {
        let when = When::By { after, by };
        self.expectations.push(Expectation { line: 0, text: text.to_owned(), when, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn a_seed_that_is_written_down_is_the_same_run() {
        let mut led = 0;
        for seed in 0..6 {
            let drawn = Drawn::of(seed, &[]);
            let in_parts = scenario::run::run_with_sequel(&drawn.plan, seed, &mut (), |at| drawn.sequel(at));
            let whole = drawn.whole();
            led += usize::from(whole.actions.iter().any(|timed| election::is_load(&timed.action)));
            let text = scenario::to_toml(&whole);
            let again = scenario::parse("again", &text).unwrap_or_else(|p| panic!("{p:?}\n{text}"));
            let report = run_until_settled(&again, seed, &mut ());
            assert_eq!((report.hash, report.steps), (in_parts.hash, in_parts.steps), "{text}");
        }
        assert!((1..6).contains(&led), "with elections and without");
    }

    #[test]
    fn a_trial_waits_for_the_ring_and_for_its_leaders_and_some_rest() {
        let (mut rested, mut waited) = (0, 0);
        for seed in 0..60 {
            let drawn = Drawn::of(seed, &[]);
            let calm = drawn.plan.actions.last().expect("calm").time;
            let whole = calm + Duration::from_secs(12);
            let first = drawn.sequel(whole).actions.first().expect("a version is given").time;
            assert!(first >= whole + QUIET, "seed {seed}");
            if first >= Instant::ZERO + drawn.plan.duration {
                rested += 1;
            } else if first > whole + QUIET {
                waited += 1;
            }
        }
        assert!((2..20).contains(&rested) && waited > 10, "{rested} rest, {waited} wait for leaders");
        let none = Drawn::of(3, &[Class::Trial]);
        assert!(none.sequel(Instant::from_millis(1_000)).actions.is_empty());
    }
}
