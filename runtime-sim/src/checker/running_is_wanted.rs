//! A process that runs belongs to a service that is wanted: once an operator has stopped or unloaded a service, its
//! tree is gone within the time that announcing, draining and ending may take. A host that a fault has touched is not
//! held to a time.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::Instant;

use super::Checker;
use super::acting::Acting;
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, LoadService, StartService, StopService, UnloadService};

/// A second to announce, thirty to drain, eight until KILL; starting may be under way when the order comes.
const BOUND: Duration = Duration::from_secs(60);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RunningIsWanted {
    acting: Acting,
    quiet: Quiet,
    unwanted: BTreeMap<(HostId, String), Instant>,
}

impl Checker for RunningIsWanted {
    fn name(&self) -> &'static str {
        "running_is_wanted"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.quiet.observe(record);
        self.acting.observe(record);
        if let What::Action(action) = &record.what {
            match action {
                Action::StopService(StopService { host, service })
                | Action::UnloadService(UnloadService { host, service }) => {
                    self.unwanted.entry((*host, service.clone())).or_insert(record.at);
                }
                Action::StartService(StartService { host, service })
                | Action::LoadService(LoadService { host, service, .. }) => {
                    self.unwanted.remove(&(*host, service.clone()));
                }
                _ => {}
            }
        }
        if self.unwanted.is_empty() {
            return Ok(());
        }
        let overdue = self.acting.trees.iter().find(|((host, service), _)| {
            let since = self.unwanted.get(&(*host, service.as_str().to_owned()));
            since.is_some_and(|since| *since + BOUND < record.at) && self.quiet.lasts(*host, record.at, BOUND)
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
        let calm = at(2_000, What::Action(Calm.into()));
        assert_eq!(run(&[started.clone(), stop.clone(), exited, later.clone()]), Ok(()));
        assert_eq!(run(&[started.clone(), stop.clone(), start, later.clone()]), Ok(()));
        assert_eq!(run(&[started.clone(), stop.clone(), kill.clone(), later.clone()]), Ok(()));
        let message = run(&[started.clone(), stop.clone(), later.clone()]).expect_err("it has to fire");
        assert!(message.contains("process 7 of web on host 0"), "{message}");
        assert!(run(&[started, stop, kill, calm, later]).is_err(), "calm ends what touched the host");
    }
}
