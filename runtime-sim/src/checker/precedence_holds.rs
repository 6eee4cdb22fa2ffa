//! A supervisor changes its mind about a member only for a statement that prevails: a higher incarnation, or the
//! same with a worse state (SWIM section 4.2, the order of messages). Otherwise two supervisors could hear the same
//! and believe different things for ever.

use std::collections::BTreeMap;

use annulus_core::{EventKind, Incarnation, MemberId, State};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct PrecedenceHolds {
    held: BTreeMap<HostId, BTreeMap<MemberId, (Incarnation, State)>>,
}

impl Checker for PrecedenceHolds {
    fn name(&self) -> &'static str {
        "precedence_holds"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, .. } => {
                self.held.remove(host);
            }
            What::Event { host, event } => match &event.kind {
                EventKind::MemberChanged { member, from, to, incarnation, .. } => {
                    let now = (*incarnation, *to);
                    let before = self.held.entry(*host).or_default().insert(*member, now);
                    let before = before.filter(|before| from.is_some() && *before >= now);
                    if let Some((was_in, was)) = before {
                        return Err(format!(
                            "host {} held member {member} {was} in incarnation {was_in} and now {to} in \
                             {incarnation}, which does not prevail",
                            host.0
                        ));
                    }
                }
                EventKind::MemberForgotten { member } => {
                    self.held.entry(*host).or_default().remove(member);
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
    use annulus_core::Why;

    use super::super::testing::{event, member};
    use super::*;

    fn run(changes: &[(State, u64)]) -> Result<(), String> {
        let mut checker = PrecedenceHolds::default();
        changes.iter().try_for_each(|(to, incarnation)| {
            let kind = EventKind::MemberChanged {
                member: member(9),
                from: Some(State::Alive),
                to: *to,
                incarnation: Incarnation(*incarnation),
                why: Why::Contact,
            };
            checker.observe(&event(0, kind))
        })
    }

    #[test]
    fn worse_or_newer_passes_and_nothing_else() {
        use State::{Alive, Confirmed, Suspect};
        let fine = [(Alive, 1), (Suspect, 1), (Confirmed, 1), (Alive, 2), (Suspect, 2), (Alive, 3)];
        assert_eq!(run(&fine), Ok(()));
        assert!(run(&[(Suspect, 1), (Alive, 1)]).expect_err("it has to fire").contains("does not prevail"));
        assert!(run(&[(Alive, 2), (Confirmed, 1)]).is_err());
    }
}
