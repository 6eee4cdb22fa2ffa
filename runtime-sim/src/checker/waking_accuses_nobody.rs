//! A supervisor that did not run for a while accuses no member on waking: the deadlines that passed meanwhile say
//! nothing about others. It has to notice the gap first, and a process that was frozen checks itself before it doubts
//! others.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{EventKind, Instant, State, Why};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Pause, Resume};

/// A gap that every shipped set of timings counts as one, for every deadline of a supervisor.
const GAP: Duration = Duration::from_secs(10);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct WakingAccusesNobody {
    frozen: BTreeMap<HostId, Instant>,
    /// When each supervisor that has not noticed its gap yet ran again.
    woken: BTreeMap<HostId, Instant>,
}

impl Checker for WakingAccusesNobody {
    fn name(&self) -> &'static str {
        "waking_accuses_nobody"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(Action::Pause(Pause { host })) => {
                self.frozen.insert(*host, record.at);
            }
            What::Action(Action::Resume(Resume { host })) => {
                let since = self.frozen.remove(host);
                if since.is_some_and(|since| since + GAP <= record.at) {
                    self.woken.insert(*host, record.at);
                }
            }
            What::HostStarted { host, .. } | What::HostStopped { host, .. } => {
                self.frozen.remove(host);
                self.woken.remove(host);
            }
            What::Event { host, event } => match &event.kind {
                EventKind::Stalled { .. } => {
                    self.woken.remove(host);
                }
                EventKind::MemberChanged { member, to: State::Suspect | State::Confirmed, why, .. }
                    if self.woken.get(host) == Some(&record.at)
                        && matches!(why, Why::ProbeFailed | Why::SuspicionExpired { .. }) =>
                {
                    return Err(format!(
                        "host {} was frozen for {} s or more, did not notice, and accuses member {member} on waking",
                        host.0,
                        GAP.as_secs()
                    ));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::Incarnation;

    use super::super::testing::{event, member, record};
    use super::*;

    fn run(pause_ms: u64, notices: bool) -> Result<(), String> {
        let at = |ms: u64, record: Record| Record { at: Instant::from_millis(ms), ..record };
        let end = 1_000 + pause_ms;
        let accuses = EventKind::MemberChanged {
            member: member(9),
            from: Some(State::Alive),
            to: State::Suspect,
            incarnation: Incarnation(1),
            why: Why::ProbeFailed,
        };
        let mut records = vec![
            at(1_000, record(What::Action(Action::Pause(Pause { host: HostId(0) })))),
            at(end, record(What::Action(Action::Resume(Resume { host: HostId(0) })))),
        ];
        if notices {
            records.push(at(end, event(0, EventKind::Stalled { for_ms: pause_ms })));
        }
        records.push(at(end, event(0, accuses)));
        let mut checker = WakingAccusesNobody::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_gap_that_is_not_noticed_fires() {
        assert_eq!(run(20_000, true), Ok(()));
        assert_eq!(run(500, false), Ok(()), "that is no gap");
        assert!(run(20_000, false).expect_err("it has to fire").contains("did not notice"));
    }
}
