//! Elections, E3: a leader that loses its quorum says so before its lease ends, and its service's process has ended
//! by then, or was told so by a hook that succeeded, before another member can lead. A supervisor that stands still or is slow
//! cannot do that; there the deadline of the service's guard stands in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{
    ElectionEvent, ElectionId, ElectionPurpose, EventKind, Hook, Instant, LeaseEnd, ServiceGroup,
};

use super::Checker;
use super::acting::Acting;
use crate::action::world::{Record, What};
use crate::action::{Action, ClockRate, HostId, Pause, Resume, Slow, Suspend};

/// Times by a clock that goes wrong are rounded.
const ROUNDED: Duration = Duration::from_micros(1);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct LeaderGivesUpInTime {
    /// When each leader's lease ends, and which process acts for it.
    until: BTreeMap<(HostId, ServiceGroup), Instant>,
    /// Processes that have to end, and by when.
    ending: BTreeMap<(HostId, String), (u32, Instant)>,
    acting: Acting,
    /// How far the clocks are from true time, in parts of a million.
    clocks: BTreeMap<HostId, i32>,
    /// Supervisors that may stand still or be slow when their lease ends.
    late: BTreeSet<HostId>,
}

impl LeaderGivesUpInTime {
    fn overdue(&self, now: Instant) -> Result<(), String> {
        let late = self.ending.iter().find(|((host, _), (_, by))| *by < now && !self.late.contains(host));
        match late {
            None => Ok(()),
            Some(((host, service), (pid, by))) => Err(format!(
                "host {} gave up leading, and process {pid} of {service} went on after the lease's end at {by}",
                host.0
            )),
        }
    }

    fn action(&mut self, now: Instant, action: &Action) {
        match action {
            Action::Pause(Pause { host })
            | Action::Slow(Slow { host, .. })
            | Action::Suspend(Suspend { host, .. }) => {
                self.late.insert(*host);
                // A supervisor that stands still or is slow is not held to its earlier deadlines.
                self.until.retain(|(other, _), _| other != host);
            }
            Action::Resume(Resume { host }) => {
                self.late.remove(host);
            }
            Action::ClockRate(ClockRate { host, ppm }) => self.clock(now, *host, *ppm),
            // The clocks of all hosts go right.
            Action::Calm(_) => {
                let wrong: Vec<HostId> = self.clocks.keys().copied().collect();
                wrong.into_iter().for_each(|host| self.clock(now, host, 0));
            }
            _ => {}
        }
    }

    /// A host's clock goes at another rate: what is left of its leases lasts as long by it as before.
    fn clock(&mut self, now: Instant, host: HostId, ppm: i32) {
        let speed = |ppm: i32| 1_000_000 + u128::from(ppm.unsigned_abs()) * u128::from(ppm > 0);
        let slow = |ppm: i32| u128::from(ppm.unsigned_abs()) * u128::from(ppm < 0);
        let (before, after) = (self.clocks.insert(host, ppm).unwrap_or_default(), ppm);
        let (before, after) = (speed(before) - slow(before), speed(after) - slow(after));
        let ends = self.until.iter_mut().filter(|((on, _), _)| *on == host).map(|(_, until)| until);
        let kills = self.ending.iter_mut().filter(|((on, _), _)| *on == host).map(|(_, (_, by))| by);
        for end in ends.chain(kills).filter(|end| **end > now) {
            let left = end.saturating_since(now).as_nanos() * before / after;
            *end = now + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)) + ROUNDED;
        }
    }
}

impl Checker for LeaderGivesUpInTime {
    fn name(&self) -> &'static str {
        "leader_gives_up_in_time"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.overdue(record.at)?;
        self.acting.observe(record);
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            // A supervisor that stands still renews nothing: what is told of it is its earlier lease by another clock.
            What::Leads { host, group, until: Some(until), .. } if !self.late.contains(host) => {
                self.until.insert((*host, group.clone()), *until);
            }
            // A process that its guard has killed acts no longer, though it takes a moment to be gone.
            What::ProcessExited { host, service, pid, .. } | What::LeaseRanOut { host, service, pid } => {
                let key = (*host, service.as_str().to_owned());
                if self.ending.get(&key).is_some_and(|(ending, _)| ending == pid) {
                    self.ending.remove(&key);
                }
            }
            // A process that was told so, and has done what it does then, goes on as a follower.
            What::HookEnded { host, service, hook: Hook::Reconfigure, succeeded: true, rendering }
                if rendering.as_ref().is_some_and(|rendering| rendering.leads().is_none()) =>
            {
                self.ending.remove(&(*host, service.as_str().to_owned()));
            }
            What::HostStopped { host, .. } => {
                self.until.retain(|(other, _), _| other != host);
                self.ending.retain(|(other, _), _| other != host);
            }
            What::Event { host, event } => {
                let EventKind::Election { election, what: ElectionEvent::Lost { why }, .. } = &event.kind
                else {
                    return Ok(());
                };
                let ElectionId { group, purpose: ElectionPurpose::Leader } = election else { return Ok(()) };
                let Some(until) = self.until.remove(&(*host, group.clone())) else { return Ok(()) };
                if *why != LeaseEnd::NoQuorum || self.late.contains(host) {
                    return Ok(());
                }
                if record.at > until {
                    return Err(format!(
                        "host {} gave up leading {group} at {}, after its lease's end at {until}",
                        host.0, record.at
                    ));
                }
                // A process that no file has told that it leads does not act; a disk that stands still tells nothing.
                let acts = self.acting.leaders(group).find(|((on, _), _)| on == host);
                if let Some((_, tree)) = acts {
                    self.ending.insert((*host, group.service().to_owned()), (tree.pid, until));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{Cause, Event, EventId, ExitStatus, InputId};

    use super::*;

    fn at(ms: u64, what: What) -> Record {
        Record { at: Instant::from_millis(ms), what }
    }

    fn lost(ms: u64) -> Record {
        let what = ElectionEvent::Lost { why: LeaseEnd::NoQuorum };
        let election = ElectionId::leader("redis.default".parse().expect("a group"));
        let kind = EventKind::Election { election, term: 1, what };
        let cause = Cause { input: InputId(1), event: None };
        at(ms, What::Event { host: HostId(0), event: Box::new(Event { id: EventId(1), cause, kind }) })
    }

    #[test]
    fn the_word_and_the_process_end_before_the_lease() {
        let group: ServiceGroup = "redis.default".parse().expect("a group");
        let until = Some(Instant::from_millis(2_000));
        let leads = at(0, What::Leads { host: HostId(0), group, term: 1, until });
        let service: annulus_core::ServiceName = "redis".parse().expect("a name");
        let started = at(0, What::ProcessStarted { host: HostId(0), service: service.clone(), pid: 7 });
        let status = ExitStatus::Signal(15);
        let exited =
            |ms| at(ms, What::ProcessExited { host: HostId(0), service: service.clone(), pid: 7, status });
        let run = |records: &[Record]| {
            let mut checker = LeaderGivesUpInTime::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        let rendered = at(
            0,
            What::Rendered {
                host: HostId(0),
                service: service.clone(),
                rendering: Box::new(super::super::testing::rendering(Some(1))),
            },
        );
        let before = [leads.clone(), rendered, started.clone()];
        let with = |rest: &[Record]| [&before[..], rest].concat();
        assert_eq!(run(&with(&[lost(1_500), exited(1_700), lost(3_000)])), Ok(()));
        assert!(run(&with(&[lost(2_001)])).expect_err("it has to fire").contains("after its lease's end"));
        let late = run(&with(&[lost(1_500), exited(2_001)]));
        assert!(late.expect_err("it has to fire").contains("process 7 of redis went on"));
        let untold = [leads, started, lost(1_500), exited(2_001)];
        assert_eq!(run(&untold), Ok(()), "it was never told that it leads");
        // A tenth slower for what is left: 11.1 ms instead of 10.
        let slow = at(1_990, What::Action(ClockRate { host: HostId(0), ppm: -100_000 }.into()));
        assert_eq!(run(&with(&[lost(1_500), slow.clone(), exited(2_001)])), Ok(()));
        assert!(run(&with(&[lost(1_500), slow.clone(), exited(2_012)])).is_err());
        let calm = at(1_991, What::Action(Action::Calm(crate::action::Calm)));
        assert!(run(&with(&[lost(1_500), slow, calm, exited(2_002)])).is_err());
    }

    #[test]
    fn a_lease_that_another_clock_moves_while_its_supervisor_stands_still_is_an_earlier_one() {
        let (host, term) = (HostId(0), 1);
        let leads = |ms, until| {
            let group = "redis.default".parse().expect("a group");
            at(ms, What::Leads { host, group, term, until: Some(Instant::from_millis(until)) })
        };
        let pause = at(500, What::Action(Action::Pause(Pause { host })));
        let resume = at(3_000, What::Action(Action::Resume(Resume { host })));
        let run = |records: &[Record]| {
            let mut checker = LeaderGivesUpInTime::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        assert_eq!(
            run(&[leads(0, 2_000), pause.clone(), leads(1_000, 2_100), resume.clone(), lost(3_000)]),
            Ok(())
        );
        // What it renews once it runs again counts.
        assert!(run(&[leads(0, 2_000), pause, resume, leads(3_000, 4_000), lost(4_001)]).is_err());
    }
}
