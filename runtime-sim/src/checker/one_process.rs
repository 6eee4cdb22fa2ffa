//! A service has one process at a time: the next one starts only when the one before has ended, after every command,
//! failure and restart in between. Two of them would fight over ports, locks and data.

use std::collections::BTreeMap;

use annulus_core::ServiceName;

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneProcess {
    running: BTreeMap<(HostId, ServiceName), u32>,
}

impl Checker for OneProcess {
    fn name(&self) -> &'static str {
        "one_process"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::ProcessStarted { host, service, pid } => {
                match self.running.insert((*host, service.clone()), *pid) {
                    None => Ok(()),
                    Some(other) => Err(format!(
                        "{service} on host {} was started as process {pid} while process {other} ran",
                        host.0
                    )),
                }
            }
            What::ProcessExited { host, service, pid, .. } => {
                let key = (*host, service.clone());
                if self.running.get(&key) == Some(pid) {
                    self.running.remove(&key);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::ExitStatus;

    use super::super::testing::record;
    use super::*;

    fn started(host: u32, service: &str, pid: u32) -> Record {
        let service = service.parse().expect("a name");
        record(What::ProcessStarted { host: HostId(host), service, pid })
    }

    fn exited(host: u32, service: &str, pid: u32) -> Record {
        let (service, status) = (service.parse().expect("a name"), ExitStatus::Code(0));
        record(What::ProcessExited { host: HostId(host), service, pid, status })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = OneProcess::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn one_after_the_other_passes() {
        let records = [started(0, "web", 1), started(0, "db", 2), started(1, "web", 1), exited(0, "web", 1)];
        assert_eq!(run(&records), Ok(()));
        assert_eq!(run(&[started(0, "web", 1), exited(0, "web", 1), started(0, "web", 2)]), Ok(()));
    }

    #[test]
    fn two_at_a_time_fire() {
        let message = run(&[started(0, "web", 1), started(0, "web", 2)]).expect_err("it has to fire");
        assert!(message.contains("while process 1 ran"), "{message}");
        assert!(run(&[started(0, "web", 2), exited(0, "web", 1), started(0, "web", 3)]).is_err());
    }
}
