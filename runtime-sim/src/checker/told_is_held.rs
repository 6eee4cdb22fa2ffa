//! What a member has told of itself is what its store holds: the repair that would mend a difference finds nothing. A
//! repair in a run is the trace of an order that is wrong somewhere.

use annulus_core::EventKind;

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct ToldIsHeld;

impl Checker for ToldIsHeld {
    fn name(&self) -> &'static str {
        "told_is_held"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        let What::Event { host: HostId(host), event } = &record.what else { return Ok(()) };
        match &event.kind {
            EventKind::RumorRepaired { key } => Err(format!(
                "host {host} had told of the {key}, and its store did not hold it until a repair"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::RumorKey;

    use super::super::testing::{event, member};
    use super::*;

    #[test]
    fn a_repair_is_never_needed() {
        let group = "web.default".parse().expect("a group");
        let key = RumorKey::Service { group, member: member(1) };
        let accepted = event(0, EventKind::RumorAccepted { key: key.clone(), from: None });
        assert_eq!(ToldIsHeld.observe(&accepted), Ok(()));
        let repaired = ToldIsHeld.observe(&event(0, EventKind::RumorRepaired { key }));
        assert!(repaired.expect_err("it has to fire").contains("did not hold it"));
    }
}
