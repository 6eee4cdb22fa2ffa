//! No member is held dead without a reason: one that is held alive or suspect comes to be held dead only because a
//! suspicion of it ran out, or because the supervisor's own probe of it failed. Another member's word alone never
//! suffices, nor does a suspicion that was refuted (SWIM section 4.2; Lifeguard section IV).

use std::collections::BTreeMap;

use annulus_core::{EventKind, Incarnation, MemberId, State, Why};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct DeathHasAReason {
    /// The members that each supervisor suspects, each with the incarnation.
    suspected: BTreeMap<(HostId, MemberId), Incarnation>,
}

impl Checker for DeathHasAReason {
    fn name(&self) -> &'static str {
        "death_has_a_reason"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, .. } => self.suspected.retain(|(h, _), _| h != host),
            What::Event { host, event } => {
                if let EventKind::MemberChanged { member, from, to, incarnation, why } = &event.kind {
                    let suspected = self.suspected.remove(&(*host, *member));
                    match to {
                        State::Suspect => {
                            self.suspected.insert((*host, *member), *incarnation);
                        }
                        State::Confirmed => return judge(*host, member, *from, *incarnation, why, suspected),
                        State::Alive | State::Departed => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn judge(
    host: HostId,
    member: &MemberId,
    from: Option<State>,
    incarnation: Incarnation,
    why: &Why,
    suspected: Option<Incarnation>,
) -> Result<(), String> {
    match why {
        Why::SuspicionExpired { .. } if suspected != Some(incarnation) => Err(format!(
            "host {} buries member {member} in incarnation {incarnation} for a suspicion that is no more",
            host.0
        )),
        Why::Rumor { from: teller } if matches!(from, Some(State::Alive | State::Suspect)) => Err(format!(
            "host {} buries member {member}, which it did not hold dead, on the word of {teller} alone",
            host.0
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, started};
    use super::*;

    fn changed(from: State, to: State, incarnation: u64, why: Why) -> Record {
        let (member, incarnation) = (member(9), Incarnation(incarnation));
        event(0, EventKind::MemberChanged { member, from: Some(from), to, incarnation, why })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = DeathHasAReason::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_suspicion_that_runs_out_is_a_reason_and_a_refuted_one_is_not() {
        let suspect = changed(State::Alive, State::Suspect, 1, Why::ProbeFailed);
        let alive = changed(State::Suspect, State::Alive, 2, Why::Contact);
        let dead = |i| changed(State::Suspect, State::Confirmed, i, Why::SuspicionExpired { accusers: 1 });
        assert_eq!(run(&[suspect.clone(), dead(1)]), Ok(()));
        assert!(run(&[suspect.clone(), alive, dead(2)]).expect_err("it has to fire").contains("no more"));
        assert!(run(&[suspect, started(0, 1, true), dead(1)]).is_err(), "memory was lost");
    }

    #[test]
    fn hearsay_fires() {
        let why = Why::Rumor { from: member(3) };
        assert!(run(&[changed(State::Alive, State::Confirmed, 1, why)]).is_err());
        assert_eq!(run(&[changed(State::Departed, State::Confirmed, 2, why)]), Ok(()));
        assert_eq!(run(&[changed(State::Alive, State::Confirmed, 1, Why::ProbeFailed)]), Ok(()));
    }
}
