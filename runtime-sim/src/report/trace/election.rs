//! What happens in elections, as fields of a trace.

use annulus_core::{ElectionEvent, LeaseEnd, ServiceGroup};
use serde_json::{Value, json};

/// The word for a kind of event.
pub(super) const fn name(what: &ElectionEvent) -> &'static str {
    match what {
        ElectionEvent::Started => "election-started",
        ElectionEvent::Voted { .. } => "vote-cast",
        ElectionEvent::Won { .. } => "leader-elected",
        ElectionEvent::Learned { .. } => "leader-learned",
        ElectionEvent::Lost { .. } => "lease-lost",
        ElectionEvent::HandedOver { .. } => "handed-over",
        ElectionEvent::ElectorateChanged { .. } => "electorate-changed",
    }
}

pub(super) fn fields(group: &ServiceGroup, term: u64, what: &ElectionEvent) -> Value {
    let mut value = match what {
        ElectionEvent::Started => json!({}),
        ElectionEvent::Voted { candidate } => json!({"candidate": candidate.to_string()}),
        ElectionEvent::Won { votes, voters } => json!({"votes": votes, "voters": voters}),
        ElectionEvent::Learned { leader } => json!({"leader": leader.to_string()}),
        ElectionEvent::Lost { why } => json!({"why": match why {
            LeaseEnd::NoQuorum => "no-quorum",
            LeaseEnd::Outdone => "outdone",
        }}),
        ElectionEvent::HandedOver { to } => json!({"successor": to.map(|id| id.to_string())}),
        ElectionEvent::ElectorateChanged { version, voters } => json!({"version": version, "voters": voters}),
    };
    value["group"] = group.as_str().into();
    value["term"] = term.into();
    value
}
