//! Elections, E4: once every fault has ended, a group whose electorate still has a majority gets a leader within a
//! bounded time. Members that came back without their disk are new ones; an electorate most of which is gone needs an
//! operator's word, so the checker asks nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{EventKind, Instant, ServiceGroup, Timings};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{
    Action, Calm, CloneDisk, Depart, DiskAfter, HostId, LoadService, Restart, StopService, UnloadService,
};

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct LeaderInTime {
    bound: Duration,
    /// The hosts on which an operator loaded a service of a group with a leader, by the service's name.
    members: BTreeMap<String, BTreeSet<HostId>>,
    /// Those whose supervisor said that it has it; another one may have lost power before.
    has: BTreeSet<(String, HostId)>,
    /// How many members each group waits for before its first election, as its operators say.
    founders: BTreeMap<String, usize>,
    /// The hosts that lost their disk, were copied or banned, or run the service no longer.
    gone: BTreeMap<String, BTreeSet<HostId>>,
    calm: Option<Instant>,
    leads: BTreeMap<ServiceGroup, BTreeMap<HostId, Instant>>,
    /// Groups that had a leader at any time, and since the faults ended.
    founded: BTreeSet<String>,
    led: BTreeSet<String>,
}

impl LeaderInTime {
    /// The bound for a ring with these timings: promises run out and a round of an election comes about, after hosts
    /// start and members find each other again.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        let bound_ms = timings.leave_delay_ms
            + 3 * timings.lease_ms
            + 3 * timings.election_backoff_ms_max
            + 4 * timings.reconnect_period_ms
            + 10_000;
        Self {
            bound: Duration::from_millis(bound_ms),
            members: BTreeMap::new(),
            has: BTreeSet::new(),
            founders: BTreeMap::new(),
            gone: BTreeMap::new(),
            calm: None,
            leads: BTreeMap::new(),
            founded: BTreeSet::new(),
            led: BTreeSet::new(),
        }
    }

    /// Within how long after the last fault a group has a leader.
    #[must_use]
    pub const fn bound(&self) -> Duration {
        self.bound
    }

    fn lose(&mut self, host: HostId) {
        for (service, members) in &self.members {
            if members.contains(&host) {
                self.gone.entry(service.clone()).or_default().insert(host);
            }
        }
    }

    fn action(&mut self, at: Instant, action: &Action) {
        match action {
            Action::LoadService(LoadService { host, service, how }) if how.leader => {
                self.members.entry(service.clone()).or_default().insert(*host);
                let founders = self.founders.entry(service.clone()).or_insert(3);
                *founders = how.quorum.map_or(*founders, |quorum| (quorum as usize).max(*founders));
            }
            Action::StopService(StopService { host, service })
            | Action::UnloadService(UnloadService { host, service }) => {
                self.gone.entry(service.clone()).or_default().insert(*host);
            }
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
            | Action::CloneDisk(CloneDisk { host, .. })
            | Action::Depart(Depart { host, .. }) => self.lose(*host),
            Action::Calm(Calm) => self.calm = Some(at),
            _ => {}
        }
    }
}

impl Checker for LeaderInTime {
    fn name(&self) -> &'static str {
        "leader_in_time"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            What::Leads { host, group, until, .. } => {
                let leads = self.leads.entry(group.clone()).or_default();
                match until {
                    Some(until) => leads.insert(*host, *until),
                    None => leads.remove(host),
                };
                if until.is_some() {
                    self.founded.insert(group.service().to_owned());
                }
                if self.calm.is_some() && until.is_some() {
                    self.led.insert(group.service().to_owned());
                }
            }
            What::Event { host, event } => {
                if let EventKind::ServiceChanged { service, to: Some(_), .. } = &event.kind {
                    self.has.insert((service.as_str().to_owned(), *host));
                }
            }
            _ => {}
        }
        let Some(calm) = self.calm.filter(|calm| record.at > *calm + self.bound) else { return Ok(()) };
        for (service, members) in &self.members {
            let gone = self.gone.get(service).map_or(0, BTreeSet::len);
            let founders = self.founders.get(service).copied().unwrap_or(3);
            let members = members.iter().filter(|host| self.has.contains(&(service.clone(), **host))).count();
            // A group that never had a leader waits for all its founders; one that had needs a majority.
            let is_able =
                if self.founded.contains(service) { gone * 2 < members } else { members >= founders + gone };
            if members >= founders && is_able && !self.led.contains(service) {
                return Err(format!(
                    "every fault ended at {calm}, and no member led the group of {service} within {} s",
                    self.bound.as_secs()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::ServiceState;

    use super::super::testing::event;
    use super::*;
    use crate::action::Heal;
    use crate::engine::lead::Load;

    fn at(s: u64, what: What) -> Record {
        Record { at: Instant::from_millis(s * 1_000), what }
    }

    #[test]
    fn a_group_that_could_be_led_is() {
        let load = |n| {
            let action = Action::LoadService(LoadService {
                host: HostId(n),
                service: "redis".to_owned(),
                how: Load::led(),
            });
            at(1, What::Action(action))
        };
        let lost =
            |n| at(2, What::Action(Action::Restart(Restart { host: HostId(n), disk: DiskAfter::Lost })));
        let calm = at(10, What::Action(Action::Calm(Calm)));
        let until = Some(Instant::from_millis(20_000));
        let group: ServiceGroup = "redis.default".parse().expect("a group");
        let leads = at(12, What::Leads { host: HostId(0), group, term: 1, until });
        let later = at(500, What::Action(Action::Heal(Heal::EVERYWHERE)));
        let has = |host: &HostId| {
            let (service, to) = ("redis".parse().expect("a name"), Some(ServiceState::Loaded));
            let kind = EventKind::ServiceChanged { service, from: None, to, reason: String::new() };
            at(1, event(host.0, kind).what)
        };
        let lost_power = std::cell::Cell::new(None);
        let run = |records: &[Record]| {
            let mut checker = LeaderInTime::new(&Timings::lan());
            records.iter().try_for_each(|record| {
                checker.observe(record)?;
                match &record.what {
                    What::Action(Action::LoadService(load)) if lost_power.get() != Some(load.host) => {
                        checker.observe(&has(&load.host))
                    }
                    _ => Ok(()),
                }
            })
        };
        assert_eq!(run(&[load(0), load(1), load(2), calm.clone(), leads, later.clone()]), Ok(()));
        let leaderless = run(&[load(0), load(1), load(2), calm.clone(), later.clone()]);
        assert!(leaderless.expect_err("it has to fire").contains("no member led the group of redis"));
        assert_eq!(run(&[load(0), load(1), load(2), lost(0), lost(1), calm.clone(), later.clone()]), Ok(()));
        assert_eq!(run(&[load(0), load(1), calm.clone(), later.clone()]), Ok(()), "two wait for a third");
        let how = Load { quorum: Some(4), ..Load::led() };
        let fourth = LoadService { host: HostId(2), service: "redis".to_owned(), how };
        let waits = [load(0), load(1), at(1, What::Action(fourth.into())), calm.clone(), later.clone()];
        assert_eq!(run(&waits), Ok(()), "three wait for a fourth");
        let three_of_four = [load(0), load(1), load(2), load(3), lost(3), calm.clone(), later.clone()];
        assert!(run(&three_of_four).is_err(), "three can found a group without the fourth");
        let two_of_three = [load(0), load(1), load(2), lost(2), calm.clone(), later.clone()];
        assert_eq!(run(&two_of_three), Ok(()), "two that never had a leader wait for a third");
        lost_power.set(Some(HostId(2)));
        assert_eq!(run(&[load(0), load(1), load(2), calm, later]), Ok(()), "the third knows nothing of it");
    }
}
