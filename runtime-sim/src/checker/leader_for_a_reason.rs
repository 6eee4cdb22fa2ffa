//! Elections, E5: of the members that can be elected the one with the highest suitability wins, then the greatest id,
//! as long as nothing disturbs the group: words of the best that are lost cannot be counted. A leader that works is not replaced because a better member appears.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{ElectionEvent, ElectionId, ElectionPurpose, EventKind, Instant, MemberId, ServiceGroup};

use super::Checker;
use super::groups::{Groups, Order};
use super::quiet::is_plain;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Pause, SetPackage, Slow, Suspend};
use crate::engine::record::DropReason;

/// A member counts as a candidate this long after its service was loaded: its package is made ready, its suitability
/// asked, the ring told.
const READY: Duration = Duration::from_millis(800);

/// A packet that was lost may have changed the outcome of an election for so long: promises that were renewed too late
/// run out, and a round or two follow.
const LOSS: Duration = Duration::from_secs(5);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct LeaderForAReason {
    members: BTreeMap<HostId, MemberId>,
    running: BTreeSet<HostId>,
    /// Hosts that were paused or slow once: they may be replaced before they can say that they have stopped.
    late: BTreeSet<HostId>,
    groups: Groups,
    /// Since when an operator wants each host in a group.
    since: BTreeMap<(ServiceGroup, HostId), Instant>,
    /// Whether a deed touched links, clocks, disks or supervisors that run on.
    disturbed: bool,
    /// The last loss of a packet by its link.
    lost: Option<Instant>,
    /// The leaders that have not said that they stopped.
    leader: BTreeMap<ServiceGroup, HostId>,
}

impl LeaderForAReason {
    fn follow(&mut self, record: &Record) {
        let at = record.at;
        for order in self.groups.observe(record) {
            match order {
                Order::In(host, group) => drop(self.since.insert((group, host), at)),
                Order::Out(host, group) => drop(self.since.remove(&(group, host))),
            }
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::LoadService(_) | Action::StopService(_) | Action::UnloadService(_) => {}
            Action::Join(_) => {}
            Action::SetPackage(SetPackage { package, .. }) if is_plain(package) => {}
            Action::Crash(_) | Action::Kill(_) => {}
            Action::Pause(Pause { host })
            | Action::Slow(Slow { host, .. })
            | Action::Suspend(Suspend { host, .. }) => {
                self.late.insert(*host);
                self.disturbed = true;
            }
            _ => self.disturbed = true,
        }
    }

    /// A member that was ready to be elected and should have been.
    fn better(&self, at: Instant, group: &ServiceGroup, winner: HostId) -> Option<HostId> {
        let rank = |host: &HostId| {
            let how = self.groups.how(*host, group)?;
            Some((how.suitability.unwrap_or_default(), self.members.get(host).copied()?))
        };
        let won = rank(&winner)?;
        let ready = |host: &HostId| {
            let since = self.since.get(&(group.clone(), *host));
            self.running.contains(host) && since.is_some_and(|since| *since + READY < at)
        };
        self.running.iter().copied().find(|host| ready(host) && rank(host).is_some_and(|r| r > won))
    }

    fn won(&mut self, at: Instant, host: HostId, group: &ServiceGroup, term: u64) -> Result<(), String> {
        let before = self.leader.insert(group.clone(), host);
        if let Some(old) = before.filter(|old| *old != host)
            && self.running.contains(&old)
            && !self.late.contains(&old)
        {
            return Err(format!(
                "host {} won term {term} of {group} while host {} led it and had not stopped",
                host.0, old.0
            ));
        }
        let is_calm = !self.disturbed && self.lost.is_none_or(|lost| lost + LOSS < at);
        match self.better(at, group, host).filter(|_| is_calm) {
            None => Ok(()),
            Some(better) => Err(format!(
                "host {} won term {term} of {group}, and host {} is better suited or has a greater id",
                host.0, better.0
            )),
        }
    }
}

impl Checker for LeaderForAReason {
    fn name(&self) -> &'static str {
        "leader_for_a_reason"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.follow(record);
        match &record.what {
            What::Action(action) => self.action(action),
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
                self.running.insert(*host);
            }
            What::HostStopped { host, .. } => {
                self.running.remove(host);
                self.leader.retain(|_, leader| leader != host);
            }
            What::Dropped { why: DropReason::Loss, .. } => self.lost = Some(record.at),
            What::Event { host, event } => {
                let EventKind::Election { election, term, what } = &event.kind else { return Ok(()) };
                let ElectionId { group, purpose: ElectionPurpose::Leader } = election else { return Ok(()) };
                match what {
                    ElectionEvent::Won { .. } => return self.won(record.at, *host, group, *term),
                    // Its supervisor was killed and is back; its service never stopped leading.
                    ElectionEvent::Resumed => {
                        self.leader.insert(group.clone(), *host);
                    }
                    ElectionEvent::Lost { .. } | ElectionEvent::HandedOver { .. }
                        if self.leader.get(group) == Some(host) =>
                    {
                        self.leader.remove(group);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, started};
    use super::*;
    use crate::action::{Heal, LoadService};
    use crate::engine::ids::PacketId;
    use crate::engine::lead::Load;

    fn at(ms: u64, what: What) -> Record {
        Record { at: Instant::from_millis(ms), what }
    }

    fn won(host: u32, term: u64) -> Record {
        won_of("redis.default", host, term)
    }

    fn won_of(group: &str, host: u32, term: u64) -> Record {
        let election = ElectionId::leader(group.parse().expect("a group"));
        let record = event(
            host,
            EventKind::Election { election, term, what: ElectionEvent::Won { votes: 2, voters: 3 } },
        );
        Record { at: Instant::from_millis(5_000), ..record }
    }

    fn load(host: u32, suitability: u64) -> Record {
        load_into(None, host, suitability)
    }

    fn load_into(group: Option<&str>, host: u32, suitability: u64) -> Record {
        let (suitability, group) = (Some(suitability), group.map(str::to_owned));
        let how = Load { suitability, group, ..Load::led() };
        let action =
            Action::LoadService(LoadService { host: HostId(host), service: "redis".to_owned(), how });
        at(1_000, What::Action(action))
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = LeaderForAReason::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn the_best_wins_and_stays() {
        let before = [started(0, 1, false), started(1, 2, false), load(0, 9), load(1, 3)];
        let with = |rest: &[Record]| [&before[..], rest].concat();
        assert_eq!(run(&with(&[won(0, 1)])), Ok(()));
        assert!(run(&with(&[won(1, 1)])).expect_err("it has to fire").contains("host 0 is better suited"));
        let lost = |ms| {
            let what = What::Dropped { packet: PacketId(1), to: None, why: DropReason::Loss };
            at(ms, what)
        };
        assert_eq!(run(&with(&[lost(3_000), won(1, 1)])), Ok(()), "the best may have asked in vain");
        assert!(run(&with(&[lost(100), lost(3_000), won(1, 1), won(0, 2)])).is_err(), "the leader stays");
        assert_eq!(run(&with(&[lost(1_000)])), Ok(()));
        let usurped =
            run(&with(&[won(0, 1), at(2_000, What::Action(Action::Heal(Heal::EVERYWHERE))), won(1, 2)]));
        assert!(usurped.expect_err("it has to fire").contains("had not stopped"));
    }

    #[test]
    fn each_group_has_the_best_of_its_own() {
        let blue = |host, suitability| load_into(Some("blue"), host, suitability);
        let ids = [started(0, 1, false), started(1, 2, false), started(2, 3, false)];
        let before = [load(0, 3), blue(1, 9), blue(2, 5)];
        let with = |last: Record| run(&[&ids[..], &before, &[last]].concat());
        assert_eq!(with(won_of("redis.default", 0, 1)), Ok(()), "the better ones are in another group");
        assert_eq!(with(won_of("redis.blue", 1, 1)), Ok(()));
        assert!(with(won_of("redis.blue", 2, 1)).expect_err("it has to fire").contains("of redis.blue"));
    }
}
