//! A service that is told to end takes no new work by then, by its supervisor's word: a client that asks the
//! supervisor, or hears of the service through the ring, could know before the process did.

use annulus_core::StopSignal;

use super::Checker;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct AnnouncedBeforeSignal;

impl Checker for AnnouncedBeforeSignal {
    fn name(&self) -> &'static str {
        "announced_before_signal"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::ProcessSignalled {
                host, service, pid, signal: StopSignal::Stop, accepting: true, ..
            } => Err(format!(
                "process {pid} of {service} on host {} is told to end while its supervisor says that it takes work",
                host.0
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;
    use crate::action::HostId;

    fn signalled(signal: StopSignal, accepting: bool) -> Record {
        let service = "web".parse().expect("a name");
        let unaware = Vec::new();
        record(What::ProcessSignalled { host: HostId(0), service, pid: 7, signal, accepting, unaware })
    }

    #[test]
    fn a_word_before_the_signal_passes() {
        assert_eq!(AnnouncedBeforeSignal.observe(&signalled(StopSignal::Stop, false)), Ok(()));
    }

    #[test]
    fn a_signal_without_a_word_fires() {
        let message =
            AnnouncedBeforeSignal.observe(&signalled(StopSignal::Stop, true)).expect_err("it has to fire");
        assert!(message.contains("process 7 of web on host 0"), "{message}");
    }
}
