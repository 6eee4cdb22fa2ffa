//! Elections, E6: the restart of a supervisor costs no change of leader when it is quick. A leader whose supervisor was
//! killed and runs again long before its lease ends, with nothing else going wrong, leads on in its term.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, ServiceGroup};

use super::Checker;
use super::quiet::Quiet;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Kill, Restart};
use crate::engine::record::StopReason;

/// This much of a lease has to be left for the new supervisor to renew it.
const LEFT: Duration = Duration::from_millis(1_000);
/// For so long after the restart no other member may win.
const AFTER: Duration = Duration::from_secs(5);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct LeadIsKept {
    quiet: Quiet,
    until: BTreeMap<(HostId, ServiceGroup), (u64, Instant)>,
    /// Leases whose supervisor is down: killed with nothing else wrong.
    killed: BTreeMap<(HostId, ServiceGroup), (u64, Instant)>,
    /// Leads that have to be kept, and until when.
    kept: BTreeMap<ServiceGroup, (HostId, u64, Instant)>,
}

impl LeadIsKept {
    fn action(&mut self, record: &Record, action: &Action) {
        match action {
            // What this checker judges is no fault for it.
            Action::Kill(Kill { .. }) | Action::Restart(Restart { .. }) => {}
            _ => {
                self.quiet.observe(record);
                self.killed.clear();
                self.kept.clear();
            }
        }
    }

    fn stopped(&mut self, record: &Record, host: HostId, why: StopReason) {
        let quiet = self.quiet.lasts_everywhere(record.at, AFTER) && why == StopReason::Killed;
        let of_host: Vec<_> = self.until.keys().filter(|(other, _)| *other == host).cloned().collect();
        for key in of_host {
            let Some(held) = self.until.remove(&key) else { continue };
            if quiet && self.killed.is_empty() {
                self.killed.insert(key, held);
            }
        }
        if !quiet || self.killed.keys().any(|(other, _)| *other != host) {
            self.killed.clear();
            self.kept.clear();
        }
    }
}

impl Checker for LeadIsKept {
    fn name(&self) -> &'static str {
        "lead_is_kept"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(record, action),
            What::HostStopped { host, why } => self.stopped(record, *host, *why),
            What::ProcessExited { .. } => {
                // A service that crashes hands over.
                self.killed.clear();
                self.kept.clear();
            }
            What::HostStarted { host, .. } => {
                for ((at, group), (term, until)) in std::mem::take(&mut self.killed) {
                    if at == *host && record.at + LEFT <= until {
                        self.kept.insert(group, (at, term, record.at + AFTER));
                    }
                }
            }
            What::Leads { host, group, term, until } => {
                match until {
                    Some(until) => drop(self.until.insert((*host, group.clone()), (*term, *until))),
                    None => drop(self.until.remove(&(*host, group.clone()))),
                }
                if let Some((leader, held, by)) = self.kept.get(group)
                    && record.at <= *by
                    && until.is_some()
                    && (host, term) != (leader, held)
                {
                    return Err(format!(
                        "host {} leads {group} in term {term}, though the supervisor on host {} that led in term {held} \
                         was back long before its lease ended",
                        host.0, leader.0
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, member};
    use super::*;
    use crate::action::{DiskAfter, Pause};

    fn leads(ms: u64, host: u32, term: u64, until: u64) -> Record {
        let group = "redis.default".parse().expect("a group");
        let until = Some(Instant::from_millis(until));
        at(ms, What::Leads { host: HostId(host), group, term, until })
    }

    #[test]
    fn a_quick_restart_changes_no_leader() {
        let host = HostId(0);
        let kill = |ms| {
            let killed = at(ms, What::HostStopped { host, why: StopReason::Killed });
            [at(ms, What::Action(Kill { host }.into())), killed]
        };
        let back = |ms| {
            let restart = Restart { host, disk: DiskAfter::Kept };
            let started = at(ms, What::HostStarted { host, member: member(1), restored: true });
            [at(ms, What::Action(restart.into())), started]
        };
        let run = |parts: &[&[Record]]| {
            let mut checker = LeadIsKept::default();
            parts.concat().iter().try_for_each(|record| checker.observe(record))
        };
        let led = [leads(9_000, 0, 1, 11_000)];
        let (other, same) = ([leads(11_500, 1, 2, 13_000)], [leads(9_300, 0, 1, 11_300)]);
        assert_eq!(run(&[&led, &kill(9_100), &back(9_200), &same]), Ok(()));
        let message = run(&[&led, &kill(9_100), &back(9_200), &other]).expect_err("it has to fire");
        assert!(message.contains("host 1 leads redis.default in term 2"), "{message}");
        assert!(
            run(&[&led, &kill(9_100), &back(9_200), &[leads(9_900, 0, 2, 12_000)]]).is_err(),
            "a new term"
        );
        assert_eq!(run(&[&led, &kill(9_100), &back(10_500), &other]), Ok(()), "too late to be renewed");
        let pause = [at(9_150, What::Action(Pause { host: HostId(2) }.into()))];
        assert_eq!(run(&[&led, &kill(9_100), &pause, &back(9_200), &other]), Ok(()));
    }
}
