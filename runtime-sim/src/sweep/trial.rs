//! After the faults, when all is well again: single things that happen to a ring in which nothing else is wrong. What
//! follows has bounds of its own, which every seed has to keep; the report names the worst.

use std::time::Duration;

use annulus_core::{Instant, Rng, State, Timings};

use crate::action::{Action, ApplyConfig, Crash, Depart, DiskAfter, Given, HostId, LoadService, Restart};
use crate::checker::{Bounds, back};
use crate::expect::{InState, VersionHeld, When, Who};
use crate::scenario::plan::Expectation;

/// How long nothing happens before.
const QUIET: Duration = Duration::from_secs(10);
/// Between two things, beyond their bounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Hosts of groups with a leader that are lost, one after the other; one of them may lead.
const LOST_MAX: usize = 3;
/// The group of the version that is given. No member runs a service of it, so that nothing restarts.
const GROUP: &str = "trial.default";

/// The single things, and what has to follow.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) actions: Vec<(Instant, Action)>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) end: Instant,
}

/// Draws a trial that begins then, for a ring that has gone through this schedule.
pub(super) fn draw(
    rng: &mut Rng,
    timings: &Timings,
    (members, latency): (u32, Duration),
    schedule: &[(Instant, Action)],
    from: Instant,
) -> Trial {
    // Drawn even where a ban takes some of them out.
    let mut hosts: Vec<HostId> =
        rng.sample(members as usize, members as usize).into_iter().map(|n| HostId(n as u32)).collect();
    let banned = |host: &HostId| {
        schedule
            .iter()
            .any(|(_, a)| matches!(a, Action::Depart(Depart { host: banned, .. }) if banned == host))
    };
    let elects = |host: &HostId| {
        schedule.iter().any(
            |(_, a)| matches!(a, Action::LoadService(LoadService { host: loaded, how, .. }) if how.leader && loaded == host),
        )
    };
    hosts.retain(|host| !banned(host));
    let Some(teller) = hosts.first().copied() else { return Trial { end: from, ..Trial::default() } };
    let mut victims: Vec<HostId> = hosts.iter().copied().filter(elects).take(LOST_MAX).collect();
    if victims.is_empty() {
        victims.extend(hosts.get(1));
    }
    let bounds = Bounds::of(timings, members as usize, latency);
    let mut trial = Trial::default();
    let mut now = trial.told(teller, from + QUIET, bounds.spread + unmended(timings)) + PAUSE;
    for host in victims {
        now = trial.lost(host, now, bounds, back(timings)) + PAUSE;
    }
    trial.end = now;
    trial
}

/// Rings of seven to ten members miss a version now and then, which waits for the next digest exchange: until the core
/// tells every version to all by gossip, the bound holds two such exchanges too.
const fn unmended(timings: &Timings) -> Duration {
    Duration::from_millis(2 * timings.sync_period_ms)
}

impl Trial {
    /// A version is given to a group.
    fn told(&mut self, host: HostId, at: Instant, within: Duration) -> Instant {
        let group = GROUP.parse().expect("a service group");
        let given = Given { group, file: None, version: 1, text: "trial = true\n".to_owned(), bytes: 0 };
        self.actions.push((at, ApplyConfig { host, given: Box::new(given), wait: None }.into()));
        let group = GROUP.parse().expect("a service group");
        let held = VersionHeld { group, file: None, version: 1, seen_by: Who::Running };
        self.expect("version_held = 1", at, at + within, held.into());
        at + within
    }

    /// A host is lost, and comes back when the ring has noticed.
    fn lost(&mut self, host: HostId, at: Instant, bounds: Bounds, back: Duration) -> Instant {
        self.actions.push((at, Action::Crash(Crash { host })));
        let dead =
            InState { of: Who::Hosts(vec![host]), state: Some(State::Confirmed), seen_by: Who::Running };
        self.expect(&format!("confirmed = host {}", host.0), at, at + bounds.detection, dead.into());
        let again = at + bounds.detection.max(bounds.fail_over) + PAUSE;
        self.actions.push((again, Action::Restart(Restart { host, disk: DiskAfter::Kept })));
        again + back
    }

    fn expect(&mut self, text: &str, after: Instant, by: Instant, what: crate::expect::Statement) {
        let when = When::By { after, by };
        self.expectations.push(Expectation { line: 0, text: text.to_owned(), when, what });
    }
}
