//! A service that an operator stopped stays stopped: once it is down because of `svc stop`, no process of it starts
//! until an operator starts or loads it again, neither after a crash of the supervisor nor after one of the host. Where
//! the disk does not take the stop, its operator is told so ("stopped, not stored"): then it holds for the life of that
//! supervisor, and for later ones once the disk has had time to take it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{CommandError, EventKind, Instant, Reply, RequestId, ServiceName, ServiceState};

use super::Checker;
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{
    Action, CloneDisk, DiskAfter, HostId, LoadService, Restart, StartService, StopService, UnloadService,
};

/// What was not stored is tried again each five seconds; a host without a fault has stored it after a few tries.
const STORED_AFTER: Duration = Duration::from_secs(20);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct StoppedStaysStopped {
    quiet: Quiet,
    stops: BTreeMap<(HostId, String), Stop>,
    /// Hosts whose supervisor is on its way out: it refuses orders, and stops its services for itself.
    leaving: BTreeSet<HostId>,
    /// The order about a service that was typed last: the next command is it.
    typed: Option<(HostId, Order)>,
    /// Orders that are not answered yet; one service's are carried out one after the other.
    asked: BTreeMap<(HostId, RequestId), Order>,
}

/// An order about a service.
#[derive(Clone, Debug)]
struct Order {
    service: String,
    stops: bool,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// An operator typed it.
    Asked,
    /// The service is down, and its operator was told that the disk has not taken that.
    Unstored,
    /// It is on disk, and the service is down.
    Done,
}

impl Checker for StoppedStaysStopped {
    fn name(&self) -> &'static str {
        "stopped_stays_stopped"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.see_stored(record.at);
        self.quiet.observe(record);
        match &record.what {
            What::Action(action) => self.action(action),
            What::Asked { host, request } => {
                let typed = self.typed.take().filter(|(at, _)| at == host);
                self.asked.extend(typed.map(|(_, order)| ((*host, *request), order)));
            }
            What::Reply { host, request, reply } => self.answered(*host, *request, reply),
            // A stop that was not on disk yet was not promised.
            What::HostStopped { host, .. } => {
                self.stops.retain(|(at, _), stop| at != host || *stop == Stop::Done);
                self.asked.retain(|(at, _), _| at != host);
                self.leaving.remove(host);
            }
            What::Event { host, event } => match &event.kind {
                EventKind::ServiceChanged { service, to: Some(ServiceState::Down), .. } => {
                    // It may have come down by an order that was given before the stop, which has yet to come.
                    let is_first = !self.asked.iter().any(|((at, _), order)| {
                        at == host && order.service == service.as_str() && !order.stops
                    });
                    let stop = self.stops.get_mut(&key(*host, service));
                    if let Some(stop) = stop.filter(|stop| is_first && **stop == Stop::Asked) {
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
                if self.stops.get(&key(*host, service)).is_some_and(|stop| *stop != Stop::Asked) =>
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
    /// The disk of a host without a fault has taken what it refused before.
    fn see_stored(&mut self, now: Instant) {
        for ((host, _), stop) in &mut self.stops {
            if *stop == Stop::Unstored && self.quiet.lasts(*host, now, STORED_AFTER) {
                *stop = Stop::Done;
            }
        }
    }

    fn answered(&mut self, host: HostId, request: RequestId, reply: &Reply) {
        let Some(order) = self.asked.remove(&(host, request)).filter(|order| order.stops) else { return };
        let Some(stop) = self.stops.get_mut(&(host, order.service)) else { return };
        match (reply, *stop) {
            (Reply::Failed(CommandError::NotStored(_)), Stop::Done) => *stop = Stop::Unstored,
            (Reply::Done | Reply::Unchanged, Stop::Asked | Stop::Unstored) => *stop = Stop::Done,
            _ => {}
        }
    }

    fn action(&mut self, action: &Action) {
        self.typed = match action {
            Action::StopService(StopService { host, service }) => Some((*host, service, true)),
            Action::StartService(StartService { host, service })
            | Action::LoadService(LoadService { host, service, .. })
            | Action::UnloadService(UnloadService { host, service }) => Some((*host, service, false)),
            _ => None,
        }
        .map(|(host, service, stops)| (host, Order { service: service.clone(), stops }));
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

    #[test]
    fn orders_that_wait_are_carried_out_one_after_the_other() {
        let unload = Action::UnloadService(UnloadService { host: AT, service: "web".into() });
        let asked = |id| record(What::Asked { host: AT, request: RequestId(id) });
        let done = |id| record(What::Reply { host: AT, request: RequestId(id), reply: Reply::Done });
        let start = Action::StartService(StartService { host: AT, service: "web".into() });
        let orders =
            [record(What::Action(unload)), asked(1), record(What::Action(start)), asked(2), stop(), asked(3)];
        let unloaded = [&orders[..], &[down(), done(1), process()]].concat();
        assert_eq!(run(&unloaded), Ok(()), "it starts between two orders");
        assert!(
            run(&[&unloaded[..], &[done(2), done(3), process()]].concat()).is_err(),
            "and not after the last"
        );
        assert!(run(&[&unloaded[..], &[done(2), down(), process()]].concat()).is_err());
    }

    #[test]
    fn what_the_disk_did_not_take_holds_for_this_life_and_once_it_was_tried_again() {
        let asked = record(What::Asked { host: AT, request: RequestId(1) });
        let answer = |reply| record(What::Reply { host: AT, request: RequestId(1), reply });
        let unstored = answer(Reply::Failed(CommandError::NotStored("no space".into())));
        let ended = record(What::HostStopped { host: AT, why: crate::engine::record::StopReason::Killed });
        let calm = record(What::Action(Action::Calm(crate::action::Calm)));
        let later = |record: Record| Record { at: record.at + STORED_AFTER, ..record };
        let stopped = || [stop(), asked.clone(), down(), unstored.clone()];
        let then = |more: &[Record]| run(&[&stopped()[..], more].concat());
        assert!(then(&[process()]).is_err(), "it starts again in the same life");
        assert_eq!(then(&[ended.clone(), process()]), Ok(()), "its operator was told so");
        assert!(
            then(&[calm.clone(), later(ended.clone()), later(process())]).is_err(),
            "there was room before"
        );
        let broken = record(What::Action(Action::Crash(crate::action::Crash { host: AT })));
        assert_eq!(
            then(&[calm, broken, later(ended.clone()), later(process())]),
            Ok(()),
            "a fault struck it"
        );
        let again = [stop(), record(What::Asked { host: AT, request: RequestId(1) }), answer(Reply::Done)];
        assert!(then(&[&again[..], &[ended, process()]].concat()).is_err(), "it was asked again, and stored");
    }
}
