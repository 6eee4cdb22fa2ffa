//! A suspicion that was refuted has no later effect: a supervisor that has accepted a member's higher incarnation
//! never lets that member die of a suspicion, or of anything that followed from it, from before.
//!
//! SWIM §4.2; the checker follows the causes in the trace. An event names the event that it follows from, and a death
//! that follows from a suspicion of an earlier incarnation is one that a forgotten timer brought about.

use std::collections::BTreeMap;

use annulus_core::{EventId, EventKind, Incarnation, MemberId, State};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RefutedSuspicion {
    hosts: BTreeMap<HostId, Observer>,
}

#[derive(Debug, Default)]
struct Observer {
    /// The suspicions that each event about a member follows from, and in which incarnation they were.
    follows: BTreeMap<EventId, (MemberId, Incarnation)>,
    /// The highest incarnation in which each member was accepted alive.
    accepted: BTreeMap<MemberId, Incarnation>,
}

impl Checker for RefutedSuspicion {
    fn name(&self) -> &'static str {
        "refuted_suspicion"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, .. } => drop(self.hosts.remove(host)),
            What::Event { host, event } => {
                let observer = self.hosts.entry(*host).or_default();
                let follows = event.cause.event.and_then(|cause| observer.follows.get(&cause).copied());
                return observer
                    .event(event.id, &event.kind, follows)
                    .map_err(|found| format!("host {} {found}", host.0));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Observer {
    fn event(
        &mut self,
        id: EventId,
        kind: &EventKind,
        follows: Option<(MemberId, Incarnation)>,
    ) -> Result<(), String> {
        match kind {
            EventKind::MemberChanged { member, to: State::Suspect, incarnation, .. } => {
                self.follows.insert(id, (*member, *incarnation));
            }
            EventKind::SuspicionConfirmed { member, .. } => {
                if let Some(suspicion) = follows.filter(|(of, _)| of == member) {
                    self.follows.insert(id, suspicion);
                }
            }
            EventKind::MemberChanged { member, to: State::Confirmed, incarnation, .. } => {
                let accepted = self.accepted.get(member).copied();
                if accepted.is_some_and(|accepted| *incarnation < accepted) {
                    return Err(format!(
                        "holds member {member} dead in incarnation {incarnation} although it had accepted a higher one"
                    ));
                }
                if let Some((of, suspected)) = follows
                    && of == *member
                    && accepted.is_some_and(|accepted| suspected < accepted)
                {
                    return Err(format!(
                        "holds member {member} dead because of a suspicion in incarnation {suspected}, which was refuted"
                    ));
                }
            }
            EventKind::MemberChanged { member, to: State::Alive, incarnation, .. } => {
                let accepted = self.accepted.entry(*member).or_default();
                *accepted = (*accepted).max(*incarnation);
                // The followers of its earlier suspicions are kept only as long as an event could still name them.
                let done = *accepted;
                if self.follows.len() > 4_096 {
                    self.follows.retain(|_, (of, suspected)| of != member || *suspected >= done);
                }
            }
            EventKind::MemberForgotten { member } => {
                self.accepted.remove(member);
                self.follows.retain(|_, (of, _)| of != member);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::Why;

    use super::super::testing::{caused, member, started};
    use super::*;

    fn changed(id: u64, after: Option<u64>, to: State, incarnation: u64) -> Record {
        let why = Why::SuspicionExpired { accusers: 1 };
        let (member, incarnation) = (member(9), Incarnation(incarnation));
        caused(0, id, after, EventKind::MemberChanged { member, from: None, to, incarnation, why })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = RefutedSuspicion::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_death_of_the_suspicion_that_stands_passes() {
        let life = [
            changed(1, None, State::Suspect, 3),
            changed(2, None, State::Alive, 4),
            changed(3, None, State::Suspect, 4),
            changed(4, Some(3), State::Confirmed, 4),
        ];
        assert_eq!(run(&life), Ok(()));
    }

    #[test]
    fn a_death_of_a_refuted_suspicion_fires() {
        let confirmed = EventKind::SuspicionConfirmed { member: member(9), by: member(2), accusers: 2 };
        let timer = [
            changed(1, None, State::Suspect, 3),
            caused(0, 2, Some(1), confirmed),
            changed(3, None, State::Alive, 4),
            changed(4, Some(2), State::Confirmed, 4),
        ];
        assert!(run(&timer).expect_err("it has to fire").contains("which was refuted"));
        let old = [changed(1, None, State::Alive, 4), changed(2, None, State::Confirmed, 3)];
        assert!(run(&old).expect_err("it has to fire").contains("accepted a higher one"));
        let forgot = [old[0].clone(), started(0, 1, true), old[1].clone()];
        assert_eq!(run(&forgot), Ok(()), "memory was lost");
    }
}
