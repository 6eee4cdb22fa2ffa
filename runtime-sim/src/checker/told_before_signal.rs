//! Before an orderly stop signal reaches a process, the members that can be reached have been told that its service takes
//! no work any more, or the time that was promised for telling them has passed. It is judged by what the other members
//! hold. Hosts that a fault has touched are neither judged nor counted as reachable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{EventKind, Instant, ServiceState, StopSignal};

use super::Checker;
use super::acting::{Acting, Place};
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Leave};
use crate::engine::link::LATENCY_MAX;
use crate::engine::record::DropReason;

/// The time that a stop promises for telling the ring.
const ANNOUNCE: Duration = Duration::from_secs(1);
/// A fault that has ended is felt for so long.
const AFTER: Duration = Duration::from_secs(2);
/// The last word may be on its way while the signal is: the longest way in a ring that is drawn, and the millisecond in
/// which it arrives.
const ON_THE_WAY: Duration = LATENCY_MAX.saturating_add(Duration::from_millis(1));

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct ToldBeforeSignal {
    quiet: Quiet,
    acting: Acting,
    /// Since when each service is being stopped.
    begun: BTreeMap<Place, Instant>,
    /// Supervisors that were asked to leave; a second order hurries them.
    leaving: BTreeSet<HostId>,
    hurried: BTreeSet<HostId>,
    /// The end of the lease of each process that acts as a leader.
    leases: BTreeMap<HostId, Instant>,
    /// The last loss of a packet by its link.
    lost: Option<Instant>,
    /// Members that were not told when the signal was sent, until when word may still be on its way to them.
    open: Vec<Untold>,
}

/// Members that did not know of a stop when its signal was sent.
#[derive(Debug)]
struct Untold {
    place: Place,
    pid: u32,
    signalled: Instant,
    /// It acted as the leader.
    acts: bool,
    unaware: BTreeSet<HostId>,
}

impl ToldBeforeSignal {
    fn action(&mut self, record: &Record, action: &Action) {
        match action {
            // The stop of all services in order is what is judged.
            Action::Leave(Leave { host }) => {
                if !self.leaving.insert(*host) {
                    self.hurried.insert(*host);
                }
            }
            _ => self.quiet.observe(record),
        }
    }

    /// Whether a process that acts as the leader may do so no longer: there is no time to tell the ring.
    fn is_overdue(&self, now: Instant, place: &Place) -> bool {
        let acts = self.acting.trees.get(place).is_some_and(|tree| tree.acts.is_some());
        acts && self.leases.get(&place.0).is_none_or(|until| *until <= now)
    }

    fn signalled(&mut self, now: Instant, place: Place, pid: u32, unaware: &[HostId]) {
        let host = place.0;
        let told_long = self.begun.get(&place).is_some_and(|begun| *begun + ANNOUNCE <= now);
        let judged = !told_long && !self.hurried.contains(&host) && !self.is_overdue(now, &place);
        if !judged || !self.quiet.lasts(host, now, AFTER) || self.lost.is_some_and(|lost| now < lost + AFTER)
        {
            return;
        }
        let reached = unaware.iter().copied().filter(|other| self.quiet.lasts(*other, now, AFTER));
        let unaware: BTreeSet<HostId> = reached.collect();
        if !unaware.is_empty() {
            let acts = self.acting.trees.get(&place).is_some_and(|tree| tree.acts.is_some());
            self.open.push(Untold { place, pid, signalled: now, acts, unaware });
        }
    }

    fn judge(&mut self, now: Instant) -> Result<(), String> {
        let quiet = &self.quiet;
        self.open.retain_mut(|untold| {
            untold.unaware.retain(|host| quiet.lasts(*host, now, AFTER));
            quiet.lasts(untold.place.0, now, AFTER) && !untold.unaware.is_empty()
        });
        let late = self.open.iter().find(|untold| untold.signalled + ON_THE_WAY < now);
        let Some(Untold { place: (host, service), pid, signalled, unaware, .. }) = late else {
            return Ok(());
        };
        let others: Vec<String> = unaware.iter().map(|host| host.0.to_string()).collect();
        Err(format!(
            "process {pid} of {service} on host {} was told to end at {signalled}, and by what host {} was told it still \
             takes work",
            host.0,
            others.join(" and host ")
        ))
    }
}

impl Checker for ToldBeforeSignal {
    fn name(&self) -> &'static str {
        "told_before_signal"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.acting.observe(record);
        match &record.what {
            What::Action(action) => self.action(record, action),
            What::HostStarted { host, .. } | What::HostStopped { host, .. } => {
                self.leaving.remove(host);
                self.hurried.remove(host);
                self.leases.remove(host);
                self.open.retain(|untold| untold.place.0 != *host);
                for untold in &mut self.open {
                    untold.unaware.remove(host);
                }
            }
            What::Dropped { why: DropReason::Loss, .. } => self.lost = Some(record.at),
            What::Leads { host, until, .. } => match until {
                Some(until) => drop(self.leases.insert(*host, *until)),
                None => {
                    self.leases.remove(host);
                    // The leader that gives up at this instant signals first.
                    self.open.retain(|untold| {
                        !(untold.acts && untold.place.0 == *host && untold.signalled == record.at)
                    });
                }
            },
            What::Event { host, event } => {
                if let EventKind::ServiceChanged { service, to: Some(ServiceState::Stopping), .. } =
                    &event.kind
                {
                    self.begun.insert((*host, service.clone()), record.at);
                }
            }
            What::Holds { host, key, .. } => {
                for untold in &mut self.open {
                    let is_about =
                        key.group().is_some_and(|group| group.service() == untold.place.1.as_str());
                    if is_about {
                        untold.unaware.remove(host);
                    }
                }
            }
            What::ProcessSignalled { host, service, pid, signal: StopSignal::Stop, unaware, .. } => {
                self.signalled(record.at, (*host, service.clone()), *pid, unaware);
            }
            _ => {}
        }
        if self.open.is_empty() { Ok(()) } else { self.judge(record.at) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, caused, holds, rendering};
    use super::*;
    use crate::action::{Kill, Pause};

    const HOST: HostId = HostId(0);
    const PEER: HostId = HostId(1);

    fn stopping(ms: u64) -> Record {
        let service = "redis".parse().expect("a name");
        let (from, to) = (Some(ServiceState::Up), Some(ServiceState::Stopping));
        let kind = EventKind::ServiceChanged { service, from, to, reason: String::from("wanted down") };
        at(ms, caused(0, 1, None, kind).what)
    }

    fn signalled(ms: u64, unaware: &[HostId]) -> Record {
        let (service, signal) = ("redis".parse().expect("a name"), StopSignal::Stop);
        let unaware = unaware.to_vec();
        at(ms, What::ProcessSignalled { host: HOST, service, pid: 7, signal, accepting: false, unaware })
    }

    fn heard(ms: u64) -> Record {
        let group = "redis.default".parse().expect("a group");
        let key = annulus_core::RumorKey::Service { group, member: super::super::testing::member(1) };
        at(ms, holds(PEER, key, 2))
    }

    fn later(ms: u64) -> Record {
        at(ms, What::ProcessStarted { host: PEER, service: "web".parse().expect("a name"), pid: 8 })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = ToldBeforeSignal::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_member_that_can_be_reached_knows_before_the_process() {
        assert_eq!(run(&[stopping(9_000), signalled(9_300, &[]), later(9_900)]), Ok(()));
        let untold = run(&[stopping(9_000), signalled(9_300, &[PEER]), later(9_900)]);
        assert!(untold.expect_err("it has to fire").contains("by what host 1 was told it still takes work"));
        let on_the_way = [stopping(9_000), signalled(9_300, &[PEER]), heard(9_310), later(9_900)];
        assert_eq!(run(&on_the_way), Ok(()));
    }

    #[test]
    fn a_member_that_cannot_be_reached_holds_nothing_up() {
        assert_eq!(
            run(&[stopping(9_000), signalled(10_000, &[PEER]), later(10_900)]),
            Ok(()),
            "its time has passed"
        );
        let pause = at(8_000, What::Action(Pause { host: PEER }.into()));
        assert_eq!(run(&[pause, stopping(9_000), signalled(9_300, &[PEER]), later(9_900)]), Ok(()));
        let kill = at(8_000, What::Action(Kill { host: HOST }.into()));
        assert_eq!(run(&[kill, stopping(9_000), signalled(9_300, &[PEER]), later(9_900)]), Ok(()));
        let leave = |ms| at(ms, What::Action(Leave { host: HOST }.into()));
        let hurried = [leave(9_000), stopping(9_000), leave(9_100), signalled(9_100, &[PEER]), later(9_900)];
        assert_eq!(run(&hurried), Ok(()));
        assert!(run(&[leave(9_000), stopping(9_000), signalled(9_300, &[PEER]), later(9_900)]).is_err());
    }

    #[test]
    fn a_leader_without_a_lease_has_no_time() {
        let service = || "redis".parse().expect("a name");
        let rendered =
            at(1, What::Rendered { host: HOST, service: service(), rendering: Box::new(rendering(Some(1))) });
        let started = at(2, What::ProcessStarted { host: HOST, service: service(), pid: 7 });
        let leads = |ms, until| {
            let group = "redis.default".parse().expect("a group");
            at(ms, What::Leads { host: HOST, group, term: 1, until })
        };
        let stop = [stopping(9_000), signalled(9_000, &[PEER]), later(9_900)];
        let with = |leads: Record| run(&[&[rendered.clone(), started.clone(), leads][..], &stop].concat());
        assert_eq!(with(leads(8_000, None)), Ok(()));
        let gives_up = [
            leads(8_000, Some(Instant::from_millis(9_300))),
            stop[1].clone(),
            leads(9_000, None),
            stop[2].clone(),
        ];
        assert_eq!(run(&[&[rendered.clone(), started.clone()][..], &gives_up].concat()), Ok(()));
        assert!(with(leads(8_000, Some(Instant::from_millis(11_000)))).is_err());
    }
}
