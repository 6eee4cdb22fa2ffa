//! What a recorder sends once more changes nothing: no member comes to life by it, no rumor is believed and nothing is
//! refuted because of it, across restarts of its sender and its receiver, and when its sender is gone for good. Whatever
//! time leads to in the same moment is not its doing.

use std::collections::BTreeMap;

use annulus_core::{EventKind, InputId, Why};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct ReplayedChangesNothing {
    /// The last recorded message that each host got, as its supervisor counts inputs.
    again: BTreeMap<HostId, InputId>,
}

impl Checker for ReplayedChangesNothing {
    fn name(&self) -> &'static str {
        "replayed_changes_nothing"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Replayed { to, input, .. } => {
                self.again.insert(*to, *input);
                Ok(())
            }
            What::HostStarted { host, .. } => {
                self.again.remove(host);
                Ok(())
            }
            What::Event { host, event } if self.again.get(host) == Some(&event.cause.input) => {
                match change(&event.kind) {
                    Some(what) => {
                        Err(format!("host {} gets a message that was recorded, and {what}", host.0))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// What a message led to; none where time alone may have.
fn change(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::MemberChanged { member, to, why: Why::Contact | Why::Rumor { .. }, .. } => {
            Some(format!("holds {member} to be {}", to.name()))
        }
        EventKind::RumorAccepted { key, from: Some(_) } => Some(format!("believes the {key}")),
        EventKind::SuspicionConfirmed { member, .. } => Some(format!("suspects {member} more")),
        EventKind::Refuted { .. } => Some("refutes what was said long ago".to_owned()),
        EventKind::Synced { with, .. } => Some(format!("compares what it knows with {with}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, record};
    use super::*;
    use crate::engine::ids::PacketId;
    use annulus_core::{Incarnation, State};

    fn alive(why: Why) -> EventKind {
        let (from, to) = (Some(State::Confirmed), State::Alive);
        EventKind::MemberChanged { member: member(1), from, to, incarnation: Incarnation(2), why }
    }

    /// What the checker says of an event that a recorded message leads to, or the input after it.
    fn run(kind: EventKind, later: u64) -> Result<(), String> {
        let told = event(0, kind);
        let What::Event { event, .. } = &told.what else { panic!("an event") };
        let input = InputId(event.cause.input.0 + later);
        let again = record(What::Replayed { packet: PacketId(9), to: HostId(0), input });
        let mut checker = ReplayedChangesNothing::default();
        [again, told].iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_member_that_comes_to_life_by_a_recorded_message_fires() {
        assert!(run(alive(Why::Contact), 0).is_err());
        assert!(run(alive(Why::Rumor { from: member(2) }), 0).is_err());
    }

    #[test]
    fn what_time_leads_to_and_what_other_messages_lead_to_is_fine() {
        assert_eq!(run(alive(Why::SuspicionExpired { accusers: 1 }), 0), Ok(()));
        assert_eq!(run(alive(Why::Contact), 7), Ok(()));
    }
}
