//! A service that an operator stopped stays stopped: once it is down because of `svc stop`, no process of it starts
//! until an operator starts or loads it again, neither after a crash of the supervisor nor after one of the host.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{EventKind, ServiceName, ServiceState};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{
    Action, CloneDisk, DiskAfter, HostId, LoadService, Restart, StartService, StopService, UnloadService,
};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct StoppedStaysStopped {
    stops: BTreeMap<(HostId, String), Stop>,
    /// Hosts whose supervisor is on its way out: it refuses orders, and stops its services for itself.
    leaving: BTreeSet<HostId>,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// An operator typed it.
    Asked,
    /// It is on disk, and the service is down.
    Done,
}

impl Checker for StoppedStaysStopped {
    fn name(&self) -> &'static str {
        "stopped_stays_stopped"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(action),
            // A stop that was not on disk yet was not promised.
            What::HostStopped { host, .. } => {
                self.stops.retain(|(at, _), stop| at != host || *stop == Stop::Done);
                self.leaving.remove(host);
            }
            What::Event { host, event } => match &event.kind {
                EventKind::ServiceChanged { service, to: Some(ServiceState::Down), .. } => {
                    if let Some(stop) = self.stops.get_mut(&key(*host, service)) {
                        *stop = Stop::Done;
                    }
                }
                // A service that is about to leave with its supervisor is promised nothing.
                EventKind::Leaving => {
                    self.leaving.insert(*host);
                    self.stops.retain(|(at, _), stop| at != host || *stop == Stop::Done);
                }
                _ => {}
            },
            What::ProcessStarted { host, service, pid }
                if self.stops.get(&key(*host, service)) == Some(&Stop::Done) =>
            {
                return Err(format!(
                    "{service} on host {} was stopped by an operator and runs as process {pid}",
                    host.0
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

impl StoppedStaysStopped {
    fn action(&mut self, action: &Action) {
        match action {
            Action::StopService(StopService { host, service }) if !self.leaving.contains(host) => {
                self.stops.entry((*host, service.clone())).or_insert(Stop::Asked);
            }
            Action::StartService(StartService { host, service })
            | Action::LoadService(LoadService { host, service, .. })
            | Action::UnloadService(UnloadService { host, service }) => {
                self.stops.remove(&(*host, service.clone()));
            }
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
            | Action::CloneDisk(CloneDisk { host, .. }) => {
                self.stops.retain(|(at, _), _| at != host);
            }
            _ => {}
        }
    }
}

fn key(host: HostId, service: &ServiceName) -> (HostId, String) {
    (host, service.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, record, started};
    use super::*;

    const AT: HostId = HostId(0);

    fn stop() -> Record {
        record(What::Action(Action::StopService(StopService { host: AT, service: "web".into() })))
    }

    fn down() -> Record {
        event(
            0,
            EventKind::ServiceChanged {
                service: "web".parse().expect("a name"),
                from: Some(ServiceState::Stopping),
                to: Some(ServiceState::Down),
                reason: "wanted down".into(),
            },
        )
    }

    fn process() -> Record {
        record(What::ProcessStarted { host: AT, service: "web".parse().expect("a name"), pid: 9 })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = StoppedStaysStopped::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_start_after_a_stop_passes_when_it_was_asked_for() {
        let start =
            record(What::Action(Action::StartService(StartService { host: AT, service: "web".into() })));
        assert_eq!(run(&[stop(), down(), start, process()]), Ok(()));
        let lost = record(What::Action(Action::Restart(Restart { host: AT, disk: DiskAfter::Lost })));
        assert_eq!(run(&[stop(), down(), lost, process()]), Ok(()));
        let stopped = record(What::HostStopped { host: AT, why: crate::engine::record::StopReason::Crashed });
        assert_eq!(run(&[stop(), stopped.clone(), process()]), Ok(()), "it was not on disk yet");
        let leaving = event(0, EventKind::Leaving);
        assert_eq!(run(&[leaving, stop(), down(), stopped, process()]), Ok(()), "the order was refused");
    }

    #[test]
    fn a_start_that_nobody_asked_for_fires() {
        let kept = record(What::Action(Action::Restart(Restart { host: AT, disk: DiskAfter::Kept })));
        let message =
            run(&[stop(), down(), kept, started(0, 1, true), process()]).expect_err("it has to fire");
        assert!(message.contains("was stopped by an operator"), "{message}");
    }
}
