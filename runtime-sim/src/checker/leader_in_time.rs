//! Elections, E4: once every fault has ended, a group whose electorate still has a majority gets a leader within a
//! bounded time. Members that came back without their disk are new ones; an electorate most of which is gone needs an
//! operator's word, so the checker asks nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{EventKind, Instant, ServiceGroup, Timings};

use super::Checker;
use super::groups::{Groups, Order};
use crate::action::world::{Record, What};
use crate::action::{Action, Calm, CloneDisk, Depart, DiskAfter, HostId, Leave, Restart};

/// How many members a group waits for before its first election, where its operators do not say.
const FOUNDERS: usize = 3;

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct LeaderInTime {
    bound: Duration,
    orders: Groups,
    groups: BTreeMap<ServiceGroup, Group>,
    /// The services that the supervisor of a host said it has; another one may have lost power before.
    has: BTreeSet<(HostId, String)>,
    /// Hosts that have left the ring in order and not come back yet: their seats are given away.
    away: BTreeSet<HostId>,
    /// Those of them whose supervisor has not ended yet: a hook that hangs may hold it up for a minute.
    leaving: BTreeSet<HostId>,
    calm: Option<Instant>,
}

/// A group with a leader.
#[derive(Debug, Default)]
struct Group {
    /// The hosts that were in it at any time.
    members: BTreeSet<HostId>,
    /// Those of them that are wanted in it no longer.
    out: BTreeSet<HostId>,
    /// Those of them that lost their disk, were copied or banned.
    lost: BTreeSet<HostId>,
    /// How many members it waits for before its first election, as its operators say.
    founders: usize,
    /// Whether it had a leader at any time, and since the faults ended.
    founded: bool,
    led: bool,
    /// The latest term that a member led.
    term: u64,
    /// Since then most voters have been lost at a time, those counted that were away and may have had no seat. Members
    /// that come back then are newcomers, and have no vote before a leader gives them a seat.
    majority_lost: bool,
}

impl Group {
    /// Whether those that are left can elect. A host that is on its way out of the ring, or may have left the group by an order that was
    /// never answered, is not.
    fn is_able(&self, has: impl Fn(HostId) -> bool, is_away: impl Fn(HostId) -> bool) -> bool {
        let is_gone = |host: &&HostId| self.out.contains(host) || self.lost.contains(host) || is_away(**host);
        let gone = self.members.iter().filter(is_gone).count();
        let members = self.members.iter().filter(|host| has(**host)).count();
        let founders = self.founders.max(FOUNDERS);
        // A group that never had a leader waits for all its founders; one that had needs a majority.
        let has_quorum = if self.founded { gone * 2 < members } else { members >= founders + gone };
        members >= founders && has_quorum && !self.majority_lost
    }

    /// A host is lost while these are not in the ring.
    fn lose(&mut self, host: HostId, away: &BTreeSet<HostId>) {
        self.lost.insert(host);
        let is_gone =
            |host: &&HostId| self.out.contains(host) || self.lost.contains(host) || away.contains(host);
        let gone = self.members.iter().filter(is_gone).count();
        self.majority_lost |= self.founded && gone * 2 >= self.members.len();
    }

    /// A member leads in this term: a majority of the seats is there.
    fn lead(&mut self, term: u64) {
        if term > self.term {
            (self.term, self.majority_lost) = (term, false);
        }
        self.founded = true;
    }
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
            orders: Groups::default(),
            groups: BTreeMap::new(),
            has: BTreeSet::new(),
            away: BTreeSet::new(),
            leaving: BTreeSet::new(),
            calm: None,
        }
    }

    /// Within how long after the last fault a group has a leader.
    #[must_use]
    pub const fn bound(&self) -> Duration {
        self.bound
    }

    fn follow(&mut self, record: &Record) {
        for order in self.orders.observe(record) {
            match order {
                Order::In(host, name) => {
                    let quorum = self.orders.how(host, &name).and_then(|how| how.quorum);
                    let group = self.groups.entry(name).or_default();
                    group.members.insert(host);
                    group.out.remove(&host);
                    group.founders = group.founders.max(quorum.map_or(0, |quorum| quorum as usize));
                }
                Order::Out(host, name) => drop(self.groups.entry(name).or_default().out.insert(host)),
            }
        }
    }

    fn action(&mut self, at: Instant, action: &Action) {
        match action {
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
            | Action::CloneDisk(CloneDisk { host, .. })
            | Action::Depart(Depart { host, .. }) => {
                for group in self.groups.values_mut().filter(|group| group.members.contains(host)) {
                    group.lose(*host, &self.away);
                }
            }
            Action::Leave(Leave { host }) => {
                self.away.insert(*host);
                self.leaving.insert(*host);
            }
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
        self.follow(record);
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            What::Leads { group, term, until: Some(_), .. } => {
                let led = self.groups.entry(group.clone()).or_default();
                led.lead(*term);
                led.led |= self.calm.is_some();
            }
            What::HostStarted { host, .. } => drop(self.away.remove(host)),
            // Until then a fault was not over.
            What::HostStopped { host, .. } if self.leaving.remove(host) => {
                self.calm = self.calm.map(|calm| calm.max(record.at));
            }
            What::Event { host, event } => {
                if let EventKind::ServiceChanged { service, to: Some(_), .. } = &event.kind {
                    self.has.insert((*host, service.as_str().to_owned()));
                }
            }
            _ => {}
        }
        let Some(calm) = self.calm.filter(|calm| record.at > *calm + self.bound) else { return Ok(()) };
        for (name, group) in self.groups.iter().filter(|(_, group)| !group.led) {
            let has = |host: HostId| self.has.contains(&(host, name.service().to_owned()));
            // A group whose members are all in maintenance, or drained, has none that could lead.
            let (_, able) = self.orders.wanted(name);
            let is_away = |host: HostId| self.leaving.contains(&host) || self.orders.is_unsure(host, name);
            if group.is_able(has, is_away) && able.iter().any(|host| has(*host) && !group.lost.contains(host))
            {
                return Err(format!(
                    "every fault ended at {calm}, and no member led {name} within {} s",
                    self.bound.as_secs()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{MemberId, ServiceState};

    use super::super::testing::event;
    use super::*;
    use crate::action::{Heal, LoadService, UpdateService};
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
        assert!(leaderless.expect_err("it has to fire").contains("no member led redis.default"));
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
        let moved = |n| {
            let group = Some("blue".to_owned());
            let update = UpdateService {
                host: HostId(n),
                service: "redis".to_owned(),
                group,
                topology: None,
                quorum: None,
                to: None,
            };
            at(3, What::Action(update.into()))
        };
        let all_moved =
            [load(0), load(1), load(2), moved(0), moved(1), moved(2), calm.clone(), later.clone()];
        assert!(run(&all_moved).expect_err("it has to fire").contains("no member led redis.blue"));
        lost_power.set(Some(HostId(2)));
        assert_eq!(run(&[load(0), load(1), load(2), calm, later]), Ok(()), "the third knows nothing of it");
    }

    #[test]
    fn a_seat_that_was_given_away_is_no_vote_when_others_are_lost() {
        let act = |s, action: Action| at(s, What::Action(action));
        let loaded = (0..5).flat_map(|n| {
            let (host, service) = (HostId(n), "redis".to_owned());
            let kind = EventKind::ServiceChanged {
                service: "redis".parse().expect("a name"),
                from: None,
                to: Some(ServiceState::Loaded),
                reason: String::new(),
            };
            let load = LoadService { host, service, how: Load::led() };
            [act(1, load.into()), at(1, event(n, kind).what)]
        });
        let (group, until) = ("redis.default".parse().expect("a group"), Some(Instant::from_millis(5_000)));
        let led = at(2, What::Leads { host: HostId(0), group, term: 1, until });
        let lost = |n| act(4, Restart { host: HostId(n), disk: DiskAfter::Lost }.into());
        let (host, member) = (HostId(2), MemberId::from_bytes([1; 16]));
        let leave = act(3, Leave { host }.into());
        let back = at(9, What::HostStarted { host, member, restored: true });
        let end = [act(10, Calm.into()), act(500, Heal::EVERYWHERE.into())];
        let run = |records: &[Record]| {
            let mut checker = LeaderInTime::new(&Timings::lan());
            let mut all = loaded.clone().chain([led.clone()]).chain(records.iter().chain(&end).cloned());
            all.try_for_each(|record| checker.observe(&record))
        };
        assert!(run(&[lost(3), lost(4)]).is_err(), "three of five elect");
        let given_away = run(&[leave, lost(3), lost(4), back]);
        assert_eq!(given_away, Ok(()), "two of four seats were lost, and the third came as a newcomer");
        let leaves = |n| act(9, Leave { host: HostId(n) }.into());
        assert_eq!(run(&[leaves(2), leaves(3), leaves(4)]), Ok(()), "three of five are on their way out");
        let stopped =
            |n| at(9, What::HostStopped { host: HostId(n), why: crate::engine::record::StopReason::Killed });
        let gone = [leaves(2), leaves(3), leaves(4), stopped(2), stopped(3), stopped(4)];
        assert!(run(&gone).is_err(), "whose seats are given away when they have left");
    }
}
