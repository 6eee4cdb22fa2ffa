//! While nothing is wrong a group is led: after its first leader, and with at least three members that want to run, the
//! time in which no process tree acts as the leader is bounded by two leases, and ten seconds for each order of an
//! operator (elections, E6). A lead that goes round and round shows here, whatever supervisors say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{Instant, ServiceGroup, Timings};

use super::Checker;
use super::acting::Acting;
use super::groups::{Groups, Order};
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{Action, ApplyConfig, PutFile};

/// So long may a leader whose service is restarted or stopped in order take.
const FOR_AN_ORDER: Duration = Duration::from_secs(10);

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct LedWhileQuiet {
    acting: Acting,
    quiet: Quiet,
    /// After this time without a fault nothing of it is left.
    settled: Duration,
    at_first: Duration,
    orders: Groups,
    groups: BTreeMap<ServiceGroup, Group>,
}

/// A group with a leader.
#[derive(Debug, Default)]
struct Group {
    led: bool,
    empty_since: Option<Instant>,
    without: Duration,
    allowed: Duration,
}

impl Group {
    fn total(&self, now: Instant) -> Duration {
        self.without + self.empty_since.map_or(Duration::ZERO, |since| now.saturating_since(since))
    }

    fn forget(&mut self) {
        (self.led, self.empty_since, self.without) = (false, None, Duration::ZERO);
    }
}

impl LedWhileQuiet {
    /// For a ring with these timings.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        let settled_ms = timings.leave_delay_ms
            + 3 * timings.lease_ms
            + 3 * timings.election_backoff_ms_max
            + 4 * timings.reconnect_period_ms
            + 10_000;
        Self {
            acting: Acting::default(),
            quiet: Quiet::default(),
            settled: Duration::from_millis(settled_ms),
            at_first: Duration::from_millis(2 * timings.lease_ms),
            orders: Groups::default(),
            groups: BTreeMap::new(),
        }
    }

    fn follow(&mut self, record: &Record) {
        let mut ordered: BTreeSet<ServiceGroup> = BTreeSet::new();
        for order in self.orders.observe(record) {
            let (Order::In(_, group) | Order::Out(_, group)) = order;
            self.groups.entry(group.clone()).or_default();
            ordered.insert(group);
        }
        if let What::Action(
            Action::ApplyConfig(ApplyConfig { given, .. }) | Action::PutFile(PutFile { given, .. }),
        ) = &record.what
        {
            ordered.insert(given.group.clone());
        }
        let at_first = self.at_first;
        for name in ordered {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.allowed = group.allowed.max(at_first) + FOR_AN_ORDER;
            if self.orders.wanted(&name).0.len() < 3 {
                group.forget();
            }
        }
    }

    /// Looks at which groups are led, after processes or files have changed.
    fn look(&mut self, now: Instant) {
        for (name, group) in &mut self.groups {
            let led = self.acting.leaders(name).next().is_some();
            if led {
                group.without = group.total(now);
                (group.led, group.empty_since) = (true, None);
            } else if group.led {
                group.empty_since.get_or_insert(now);
            }
        }
    }
}

impl Checker for LedWhileQuiet {
    fn name(&self) -> &'static str {
        "led_while_quiet"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.quiet.observe(record);
        self.acting.observe(record);
        self.follow(record);
        match &record.what {
            What::Rendered { .. }
            | What::HookEnded { .. }
            | What::LeaseRanOut { .. }
            | What::ProcessStarted { .. }
            | What::ProcessExited { .. } => self.look(record.at),
            _ => {}
        }
        if self.groups.is_empty() {
            return Ok(());
        }
        let touched = !self.quiet.lasts_everywhere(record.at, Duration::ZERO);
        let shaken = self.quiet.was_calmed() && !self.quiet.lasts_everywhere(record.at, self.settled);
        if touched || shaken {
            self.groups.values_mut().for_each(Group::forget);
            return Ok(());
        }
        let long = self.groups.iter().find(|(name, group)| {
            group.total(record.at) > group.allowed.max(self.at_first) && self.orders.wanted(name).0.len() >= 3
        });
        match long {
            None => Ok(()),
            Some((name, group)) => Err(format!(
                "nothing is wrong, and no process has acted as the leader of {name} for {:?} altogether; \
                 {:?} are allowed",
                group.total(record.at),
                group.allowed.max(self.at_first)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::ExitStatus;

    use super::super::testing::{at, rendering};
    use super::*;
    use crate::action::{HostId, LoadService, Pause};
    use crate::engine::lead::Load;

    fn load(host: u32) -> Record {
        let action = LoadService { host: HostId(host), service: "redis".to_owned(), how: Load::led() };
        at(1_000, What::Action(action.into()))
    }

    fn rendered(ms: u64) -> Record {
        let service = "redis".parse().expect("a name");
        at(ms, What::Rendered { host: HostId(0), service, rendering: Box::new(rendering(Some(1))) })
    }

    fn started(ms: u64) -> Record {
        at(ms, What::ProcessStarted { host: HostId(0), service: "redis".parse().expect("a name"), pid: 7 })
    }

    fn exited(ms: u64) -> Record {
        let (service, status) = ("redis".parse().expect("a name"), ExitStatus::Code(1));
        at(ms, What::ProcessExited { host: HostId(0), service, pid: 7, status })
    }

    #[test]
    fn gaps_add_up() {
        let first = [load(0), load(1), load(2), rendered(2_000), started(2_100)];
        let run = |rest: &[Record]| {
            let mut checker = LedWhileQuiet::new(&Timings::lan());
            [&first[..], rest].concat().iter().try_for_each(|record| checker.observe(record))
        };
        // Three orders and two leases: 34 s.
        assert_eq!(run(&[exited(10_000), started(30_000), exited(50_000), started(63_000)]), Ok(()));
        let message =
            run(&[exited(10_000), started(30_000), exited(50_000), started(65_000), exited(99_000)]);
        assert!(message.expect_err("it has to fire").contains("for 35s altogether; 34s are allowed"));
        let pause = at(12_000, What::Action(Pause { host: HostId(2) }.into()));
        assert_eq!(run(&[exited(10_000), pause, started(99_000)]), Ok(()));
    }
}
