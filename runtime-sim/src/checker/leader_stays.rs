//! While nothing is wrong a group keeps its leader; when the leader's host is lost and nothing else, another member
//! leads within a bound from the configuration.
//!
//! It is judged when every fault has ended and a leader had time to be found, and only of groups all of whose members
//! kept their disks and run the service. From then on one host at a time may be lost and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{Instant, ServiceGroup, Timings};

use super::groups::{Groups, Order};
use super::{Bounds, Checker, LeaderInTime};
use crate::action::world::{Record, What};
use crate::action::{Action, Calm, CloneDisk, Crash, Depart, DiskAfter, HostId, Restart};

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct LeaderStays {
    /// How long after the last fault a group may look for a leader.
    found: Duration,
    /// How long after a member's return it may do without being judged.
    back: Duration,
    fail_over: Duration,
    orders: Groups,
    /// Groups with a leader of which a member was lost, copied or banned, or was taken away by an operator.
    impaired: BTreeSet<ServiceGroup>,
    /// From when on nothing is wrong but that the host is down; none: something is.
    well: Option<Instant>,
    down: Option<HostId>,
    leads: BTreeMap<ServiceGroup, (HostId, Instant)>,
    /// Groups whose leader's host was lost, and when.
    lost: BTreeMap<ServiceGroup, (HostId, Instant)>,
    longest: Option<Duration>,
}

impl LeaderStays {
    /// The checker for a ring with these timings.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        Self {
            found: LeaderInTime::new(timings).bound(),
            back: back(timings),
            fail_over: Bounds::of(timings, 2, Duration::from_millis(50)).fail_over,
            orders: Groups::default(),
            impaired: BTreeSet::new(),
            well: None,
            down: None,
            leads: BTreeMap::new(),
            lost: BTreeMap::new(),
            longest: None,
        }
    }

    /// The longest time from the loss of a leader's host to the next leader; none where no such host was lost.
    #[must_use]
    pub const fn longest(&self) -> Option<Duration> {
        self.longest
    }

    /// What it allows for that.
    #[must_use]
    pub const fn bound(&self) -> Duration {
        self.fail_over
    }

    fn is_judged(&self, at: Instant, group: &ServiceGroup) -> bool {
        self.well.is_some_and(|well| well <= at)
            && !self.impaired.contains(group)
            // One of them may be lost, and a drained one cannot lead.
            && self.orders.wanted(group).1.len() >= 3
    }

    fn follow(&mut self, record: &Record) {
        for order in self.orders.observe(record) {
            match order {
                Order::In(..) => {}
                Order::Out(_, group) => drop(self.impaired.insert(group)),
            }
        }
    }

    fn action(&mut self, at: Instant, action: &Action) {
        match action {
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
            | Action::CloneDisk(CloneDisk { host, .. })
            | Action::Depart(Depart { host, .. }) => {
                self.impaired.extend(self.orders.of_host(*host).cloned())
            }
            _ => {}
        }
        match action {
            Action::Calm(Calm) => (self.well, self.down) = (Some(at + self.found), None),
            Action::ApplyConfig(_) | Action::PutFile(_) => {}
            Action::Crash(Crash { host })
                if self.well.is_some_and(|well| well <= at) && self.down.is_none() =>
            {
                self.down = Some(*host);
                let led = self.leads.iter().filter(|(_, (leader, until))| leader == host && *until > at);
                let led = led.map(|(group, _)| group).filter(|group| self.is_judged(at, group));
                let led: Vec<ServiceGroup> = led.cloned().collect();
                self.lost.extend(led.into_iter().map(|group| (group, (*host, at))));
            }
            Action::Restart(Restart { host, disk: DiskAfter::Kept }) if self.down == Some(*host) => {
                (self.well, self.down) = (Some(at + self.back), None);
            }
            _ => self.well = None,
        }
    }

    fn leads(&mut self, at: Instant, host: HostId, group: &ServiceGroup, until: Option<Instant>) {
        if let Some(until) = until.filter(|until| *until > at) {
            self.leads.insert(group.clone(), (host, until));
            if let Some((_, since)) = self.lost.remove(group) {
                self.longest = self.longest.max(Some(at.saturating_since(since)));
            }
        } else if let Some((leader, end)) = self.leads.get_mut(group)
            && *leader == host
        {
            *end = (*end).min(at);
        }
    }

    fn judge(&self, at: Instant) -> Result<(), String> {
        for (group, (host, since)) in &self.lost {
            if at > *since + self.fail_over {
                return Err(format!(
                    "host {} led {group} and was lost at {since}; no other member leads it within {:?}",
                    host.0, self.fail_over
                ));
            }
        }
        for (group, (host, until)) in &self.leads {
            let is_lost = self.lost.contains_key(group) || self.down == Some(*host);
            if *until < at && !is_lost && self.is_judged(*until, group) {
                return Err(format!(
                    "nothing is wrong, and host {} leads {group} no longer since {until}, and no other member does",
                    host.0
                ));
            }
        }
        Ok(())
    }
}

/// How long a member that comes back may take until it votes again and nothing that its loss caused goes on: it is
/// tried again, and waits out the longest promise that it may have given.
pub(crate) fn back(timings: &Timings) -> Duration {
    Duration::from_millis(timings.reconnect_period_ms + 3 * timings.lease_ms + 5_000)
}

impl Checker for LeaderStays {
    fn name(&self) -> &'static str {
        "leader_stays"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.judge(record.at)?;
        self.follow(record);
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            What::Leads { host, group, until, .. } => self.leads(record.at, *host, group, *until),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Heal, LoadService};
    use crate::engine::lead::Load;

    fn at(s: u64, what: What) -> Record {
        Record { at: Instant::from_millis(s * 1_000), what }
    }

    fn act(s: u64, action: impl Into<Action>) -> Record {
        at(s, What::Action(action.into()))
    }

    fn leads(s: u64, host: u32, until: u64) -> Record {
        let group = "redis.default".parse().expect("a group");
        let until = Some(Instant::from_millis(until * 1_000)).filter(|until| *until > Instant::ZERO);
        at(s, What::Leads { host: HostId(host), group, term: 1, until })
    }

    fn run(rest: &[Record]) -> Result<(), String> {
        let mut checker = LeaderStays::new(&Timings::lan());
        let load = |n| LoadService { host: HostId(n), service: "redis".to_owned(), how: Load::led() };
        let before = [act(1, load(0)), act(1, load(1)), act(1, load(2)), act(5, Calm)];
        before.iter().chain(rest).try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_leader_that_is_lost_is_followed_in_time() {
        let lost = |host| act(105, Crash { host: HostId(host) });
        assert_eq!(run(&[leads(10, 0, 107), lost(0), leads(105, 0, 0), leads(108, 1, 110)]), Ok(()));
        let late = run(&[leads(10, 0, 107), lost(0), leads(105, 0, 0), leads(120, 1, 130)]);
        assert!(late.expect_err("it has to fire").contains("host 0 led redis.default and was lost at 105"));
        let another = [leads(10, 0, 107), lost(1), leads(106, 0, 108), leads(109, 0, 110)];
        assert!(run(&another).expect_err("it has to fire").contains("nothing is wrong"));
    }

    #[test]
    fn a_leader_stays_while_nothing_is_wrong() {
        assert!(
            run(&[leads(10, 0, 100), leads(110, 0, 112)]).expect_err("it has to fire").contains("no longer")
        );
        assert_eq!(run(&[leads(10, 0, 30), leads(40, 0, 112)]), Ok(()), "a leader was being found");
        let fault = act(90, Heal::EVERYWHERE);
        assert_eq!(run(&[leads(10, 0, 100), fault, leads(110, 0, 112)]), Ok(()));
        let gone = act(4, Restart { host: HostId(2), disk: DiskAfter::Lost });
        assert_eq!(run(&[gone, act(6, Calm), leads(10, 0, 100), leads(110, 0, 112)]), Ok(()));
    }
}
