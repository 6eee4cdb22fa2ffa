//! Elections, E6: the right to resume is withdrawn before a lead is given up in order. A guard does not go on to hold it
//! when its supervisor, which runs, leads no longer: a supervisor that is started again would lead on by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{Instant, ServiceGroup, ServiceName};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId};

/// A supervisor tells a guard within a few milliseconds; a lease that is lost for want of a quorum ends soon by itself.
const BOUND: Duration = Duration::from_millis(500);

/// A group, and the term in which a supervisor may go on to lead it.
type Right = (ServiceGroup, u64);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RightIsWithdrawn {
    /// What the guard of each process holds, and since when. A launcher that was frozen makes a guard with what it was told
    /// long ago; the supervisor can take that back only when it hears of the guard.
    rights: BTreeMap<(HostId, ServiceName, u32), (Instant, Right)>,
    /// The term in which each supervisor leads, none when it leads no longer, and since when.
    leads: BTreeMap<(HostId, ServiceGroup), (Instant, Option<u64>)>,
    /// Hosts whose supervisor is late, or whose clock is not the world's.
    late: BTreeSet<HostId>,
}

impl RightIsWithdrawn {
    fn action(&mut self, action: &Action) {
        match action {
            Action::Calm(_) => self.late.clear(),
            Action::Pause(_)
            | Action::Slow(_)
            | Action::Suspend(_)
            | Action::ClockJump(_)
            | Action::ClockRate(_) => {
                let traced = action.traced();
                self.late.extend(traced.from.into_iter().chain(traced.to));
            }
            _ => {}
        }
    }

    fn is_left(&self, now: Instant, host: HostId, held: Instant, right: &Right) -> bool {
        let led = self.leads.get(&(host, right.0.clone()));
        led.is_some_and(|(since, term)| *term != Some(right.1) && (*since).max(held) + BOUND < now)
            && !self.late.contains(&host)
    }
}

impl Checker for RightIsWithdrawn {
    fn name(&self) -> &'static str {
        "right_is_withdrawn"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(action),
            What::GuardHolds { host, service, pid, right } => {
                let key = (*host, service.clone(), *pid);
                match right {
                    Some(right) => {
                        let held = self.rights.entry(key).or_insert((record.at, right.clone()));
                        if held.1 != *right {
                            *held = (record.at, right.clone());
                        }
                    }
                    None => drop(self.rights.remove(&key)),
                }
            }
            What::LeaseRanOut { host, service, pid } | What::ProcessExited { host, service, pid, .. } => {
                self.rights.remove(&(*host, service.clone(), *pid));
            }
            What::Leads { host, group, term, until } => {
                let term = until.map(|_| *term);
                let held = self.leads.entry((*host, group.clone())).or_insert((record.at, term));
                if held.1 != term {
                    *held = (record.at, term);
                }
            }
            What::HostStopped { host, .. } => self.leads.retain(|(other, _), _| other != host),
            _ => {}
        }
        let is_left = |host, (held, right): &(Instant, _)| self.is_left(record.at, host, *held, right);
        let left = self.rights.iter().find(|((host, ..), held)| is_left(*host, held));
        match left {
            None => Ok(()),
            Some(((host, service, pid), (_, (group, term)))) => Err(format!(
                "the guard of process {pid} of {service} on host {} lets a supervisor go on to lead {group} in term \
                 {term}, which the one that runs leads no longer",
                host.0
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::ExitStatus;

    use super::super::testing::at;
    use super::*;
    use crate::action::Pause;

    const HOST: HostId = HostId(0);

    fn service() -> ServiceName {
        "redis".parse().expect("a name")
    }

    fn group() -> ServiceGroup {
        "redis.default".parse().expect("a group")
    }

    fn holds(ms: u64, term: Option<u64>) -> Record {
        let right = term.map(|term| (group(), term));
        at(ms, What::GuardHolds { host: HOST, service: service(), pid: 7, right })
    }

    fn leads(ms: u64, term: u64, until: Option<u64>) -> Record {
        at(ms, What::Leads { host: HOST, group: group(), term, until: until.map(Instant::from_millis) })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = RightIsWithdrawn::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_right_goes_with_the_lead() {
        let first = [leads(1_000, 1, Some(3_000)), holds(1_010, Some(1)), leads(2_000, 1, None)];
        let with = |rest: &[Record]| [&first[..], rest].concat();
        let later = leads(3_000, 1, None);
        assert_eq!(run(&with(&[holds(2_005, None), later.clone()])), Ok(()));
        let ended =
            What::ProcessExited { host: HOST, service: service(), pid: 7, status: ExitStatus::Signal(9) };
        assert_eq!(run(&with(&[at(2_400, ended), later.clone()])), Ok(()));
        let message = run(&with(std::slice::from_ref(&later))).expect_err("it has to fire");
        assert!(message.contains("lets a supervisor go on to lead redis.default in term 1"), "{message}");
        let renewed = leads(3_000, 2, Some(5_000));
        assert!(run(&with(&[leads(2_100, 2, Some(4_000)), renewed])).is_err(), "an older term");
        let late =
            [leads(2_000, 1, None), holds(4_000, Some(1)), holds(4_300, Some(1)), leads(4_400, 1, None)];
        assert_eq!(run(&late), Ok(()), "the supervisor hears of the guard only now");
        assert!(run(&[&late[..], &[leads(4_600, 1, None)]].concat()).is_err(), "and has to withdraw it then");
        let killed = What::HostStopped { host: HOST, why: crate::engine::record::StopReason::Killed };
        assert_eq!(run(&with(&[at(2_100, killed), later.clone()])), Ok(()), "no supervisor runs");
        let pause = at(1_500, What::Action(Pause { host: HOST }.into()));
        assert_eq!(run(&[&[pause], &first[..], &[later]].concat()), Ok(()));
    }
}
