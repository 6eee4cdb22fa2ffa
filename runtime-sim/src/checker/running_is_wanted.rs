//! A process that runs belongs to a service that is wanted: once an operator has stopped or unloaded a service, its
//! tree is gone within the time that announcing, draining and ending may take. A host that a fault has touched is not
//! held to a time, and an order that its supervisor had not answered when it ended is promised nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, Reply, RequestId};

use super::Checker;
use super::acting::Acting;
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{
    Action, CloneDisk, DiskAfter, HostId, LoadService, Restart, StartService, StopService, UnloadService,
};

/// A second to announce, thirty to drain, eight until KILL; starting may be under way when the order comes.
const BOUND: Duration = Duration::from_secs(60);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RunningIsWanted {
    acting: Acting,
    quiet: Quiet,
    unwanted: BTreeMap<(HostId, String), Unwanted>,
    /// The order that was typed last: the next command is it.
    typed: Option<(HostId, String)>,
    /// Orders that are not answered yet.
    asked: BTreeMap<(HostId, RequestId), String>,
}

/// A service that an operator wanted down.
#[derive(Clone, Copy, Debug)]
struct Unwanted {
    since: Instant,
    /// Whether the supervisor has answered: it is on its disk.
    promised: bool,
}

impl RunningIsWanted {
    fn action(&mut self, at: Instant, action: &Action) {
        self.typed = None;
        match action {
            Action::StopService(StopService { host, service })
            | Action::UnloadService(UnloadService { host, service }) => {
                let unwanted = Unwanted { since: at, promised: false };
                self.unwanted.entry((*host, service.clone())).or_insert(unwanted);
                self.typed = Some((*host, service.clone()));
            }
            Action::StartService(StartService { host, service })
            | Action::LoadService(LoadService { host, service, .. }) => {
                self.unwanted.remove(&(*host, service.clone()));
            }
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
            | Action::CloneDisk(CloneDisk { host, .. }) => {
                self.unwanted.retain(|(at, _), _| at != host);
            }
            _ => {}
        }
    }

    fn answered(&mut self, host: HostId, request: RequestId, reply: &Reply) {
        let Some(service) = self.asked.remove(&(host, request)) else { return };
        if let Some(unwanted) = self.unwanted.get_mut(&(host, service)) {
            unwanted.promised |= !matches!(reply, Reply::Failed(_));
        }
    }
}

impl Checker for RunningIsWanted {
    fn name(&self) -> &'static str {
        "running_is_wanted"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.quiet.observe(record);
        self.acting.observe(record);
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            What::Asked { host, request } => {
                let typed = self.typed.take().filter(|(at, _)| at == host);
                self.asked.extend(typed.map(|(_, service)| ((*host, *request), service)));
            }
            What::Reply { host, request, reply } => self.answered(*host, *request, reply),
            What::HostStopped { host, .. } => {
                self.unwanted.retain(|(at, _), unwanted| at != host || unwanted.promised);
                self.asked.retain(|(at, _), _| at != host);
            }
            _ => {}
        }
        if self.unwanted.is_empty() {
            return Ok(());
        }
        let overdue = self.acting.trees.iter().find(|((host, service), _)| {
            let since = self.unwanted.get(&(*host, service.as_str().to_owned()));
            since.is_some_and(|unwanted| unwanted.since + BOUND < record.at)
                && self.quiet.lasts(*host, record.at, BOUND)
        });
        match overdue {
            None => Ok(()),
            Some(((host, service), tree)) => Err(format!(
                "process {} of {service} on host {} still runs {} s after an operator wanted it down",
                tree.pid,
                host.0,
                BOUND.as_secs()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::ExitStatus;

    use super::super::testing::at;
    use super::*;
    use crate::action::{Calm, Kill};
    use crate::engine::record::StopReason;

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = RunningIsWanted::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn what_was_stopped_is_gone_in_time() {
        let host = HostId(0);
        let started = at(0, What::ProcessStarted { host, service: "web".parse().expect("a name"), pid: 7 });
        let stop = at(1_000, What::Action(StopService { host, service: "web".to_owned() }.into()));
        let status = ExitStatus::Signal(15);
        let exited =
            at(9_000, What::ProcessExited { host, service: "web".parse().expect("a name"), pid: 7, status });
        let later = at(90_000, What::ProcessStarted { host, service: "db".parse().expect("a name"), pid: 8 });
        let start = at(2_000, What::Action(StartService { host, service: "web".to_owned() }.into()));
        let kill = at(2_000, What::Action(Kill { host }.into()));
        let stopped = at(2_000, What::HostStopped { host, why: StopReason::Killed });
        let asked = at(1_000, What::Asked { host, request: RequestId(4) });
        let answered = at(1_001, What::Reply { host, request: RequestId(4), reply: Reply::Done });
        let calm = at(2_000, What::Action(Calm.into()));
        assert_eq!(run(&[started.clone(), stop.clone(), exited, later.clone()]), Ok(()));
        assert_eq!(run(&[started.clone(), stop.clone(), start, later.clone()]), Ok(()));
        assert_eq!(run(&[started.clone(), stop.clone(), kill.clone(), later.clone()]), Ok(()));
        let message = run(&[started.clone(), stop.clone(), later.clone()]).expect_err("it has to fire");
        assert!(message.contains("process 7 of web on host 0"), "{message}");
        let lost =
            [started.clone(), stop.clone(), asked.clone(), stopped.clone(), calm.clone(), later.clone()];
        assert_eq!(run(&lost), Ok(()), "an order that was not answered is lost with the supervisor");
        let kept = [&started, &stop, &asked, &answered, &stopped, &calm, &later].map(Clone::clone);
        assert!(run(&kept).is_err(), "one that was answered is not");
        assert!(run(&[started, stop, kill, calm, later]).is_err(), "calm ends what touched the host");
    }
}
