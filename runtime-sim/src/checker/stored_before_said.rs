//! A member uses a higher incarnation only once it is on its disk: it decides for it while handling one input and
//! uses it in a later one, the disk's answer. Otherwise a power failure in between would let it fall back below what
//! other members have heard, and an old accusation would count as news.

use std::collections::BTreeMap;

use annulus_core::{EventKind, InputId, State, Why};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct StoredBeforeSaid {
    /// The input in which each supervisor last decided to refute.
    decided: BTreeMap<HostId, InputId>,
}

impl Checker for StoredBeforeSaid {
    fn name(&self) -> &'static str {
        "stored_before_said"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, .. } => {
                self.decided.remove(host);
            }
            What::Event { host, event } => match &event.kind {
                EventKind::Refuted { .. } => {
                    self.decided.insert(*host, event.cause.input);
                }
                EventKind::MemberChanged { to: State::Alive, why: Why::Own, incarnation, .. }
                    if self.decided.get(host) == Some(&event.cause.input) =>
                {
                    return Err(format!(
                        "host {} uses incarnation {incarnation} in the same input in which it chose it, so it \
                         cannot be on disk yet",
                        host.0
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
    use annulus_core::{Cause, Event, EventId, Incarnation};

    use super::super::testing::{member, record};
    use super::*;

    fn at(input: u64, kind: EventKind) -> Record {
        let cause = Cause { input: InputId(input), event: None };
        record(What::Event { host: HostId(0), event: Box::new(Event { id: EventId(1), cause, kind }) })
    }

    #[test]
    fn the_answer_of_the_disk_comes_in_between() {
        let refuted =
            || at(5, EventKind::Refuted { accusation: State::Suspect, incarnation: Incarnation(2) });
        let used = |input| {
            let kind = EventKind::MemberChanged {
                member: member(1),
                from: Some(State::Alive),
                to: State::Alive,
                incarnation: Incarnation(2),
                why: Why::Own,
            };
            at(input, kind)
        };
        let run = |records: &[Record]| {
            let mut checker = StoredBeforeSaid::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        assert_eq!(run(&[refuted(), used(6)]), Ok(()));
        assert!(run(&[refuted(), used(5)]).expect_err("it has to fire").contains("cannot be on disk"));
    }
}
