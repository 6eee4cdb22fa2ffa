//! What happens in elections, as fields of a trace and as words of its hash.

use annulus_core::{ElectionEvent, LeaseEnd, MemberId, ServiceGroup};
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

pub(super) fn fingerprint(term: u64, what: &ElectionEvent) -> (u64, u64) {
    let id = |member: &MemberId| {
        let (_, low) = member.as_bytes().split_at(8);
        low.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let (kind, about) = match what {
        ElectionEvent::Started => (0, 0),
        ElectionEvent::Voted { candidate } => (1, id(candidate)),
        ElectionEvent::Won { votes, voters } => (2, u64::from(*votes) << 32 | u64::from(*voters)),
        ElectionEvent::Learned { leader } => (3, id(leader)),
        ElectionEvent::Lost { why } => (4, *why as u64),
        ElectionEvent::HandedOver { to } => (5, to.as_ref().map_or(0, id)),
        ElectionEvent::ElectorateChanged { version, .. } => (6, *version),
    };
    (18 | kind << 8 | term << 16, about)
}
