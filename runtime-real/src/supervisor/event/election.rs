//! What happens in elections, for `/events` and for people.

use annulus_core::{ElectionEvent, LeaseEnd, ServiceGroup};
use serde_json::{Value, json};

use super::short;

pub(super) const fn name(what: &ElectionEvent) -> &'static str {
    match what {
        ElectionEvent::Started => "election_started",
        ElectionEvent::Voted { .. } => "vote_cast",
        ElectionEvent::Won { .. } => "leader_elected",
        ElectionEvent::Learned { .. } => "leader_learned",
        ElectionEvent::Lost { .. } => "lease_lost",
        ElectionEvent::HandedOver { .. } => "handed_over",
        ElectionEvent::ElectorateChanged { .. } => "electorate_changed",
    }
}

pub(super) fn fields(group: &ServiceGroup, term: u64, what: &ElectionEvent) -> Value {
    let mut value = match what {
        ElectionEvent::Started => json!({}),
        ElectionEvent::Voted { candidate } => json!({ "candidate": candidate.to_string() }),
        ElectionEvent::Won { votes, voters } => json!({ "votes": votes, "voters": voters }),
        ElectionEvent::Learned { leader } => json!({ "leader": leader.to_string() }),
        ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => json!({ "why": "no_quorum" }),
        ElectionEvent::Lost { why: LeaseEnd::Outdone } => json!({ "why": "outdone" }),
        ElectionEvent::HandedOver { to } => json!({ "successor": to.map(|id| id.to_string()) }),
        ElectionEvent::ElectorateChanged { version, voters } => {
            json!({ "version": version, "voters": voters })
        }
    };
    value["service_group"] = group.as_str().into();
    value["term"] = term.into();
    value
}

/// The event in words.
pub(crate) fn sentence(group: &ServiceGroup, term: u64, what: &ElectionEvent) -> String {
    match what {
        ElectionEvent::Started => format!("{group} has no leader: this supervisor asks for votes"),
        ElectionEvent::Voted { candidate } => {
            format!("this supervisor votes for {} to lead {group} in term {term}", short(candidate))
        }
        ElectionEvent::Won { votes, voters } => {
            format!("this supervisor leads {group} in term {term}, with {votes} of {voters} votes")
        }
        ElectionEvent::Learned { leader } => format!("{} leads {group} in term {term}", short(leader)),
        ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => {
            format!("this supervisor leads {group} no longer: too few voters renewed its lease in time")
        }
        ElectionEvent::Lost { why: LeaseEnd::Outdone } => {
            format!("this supervisor leads {group} no longer: another was elected in a later term")
        }
        ElectionEvent::HandedOver { to: Some(to) } => {
            format!("this supervisor leads {group} no longer and hands over to {}", short(to))
        }
        ElectionEvent::HandedOver { to: None } => {
            format!("this supervisor leads {group} no longer; nobody else can at present")
        }
        ElectionEvent::ElectorateChanged { voters, .. } => {
            format!("{voters} members vote in {group} by now")
        }
    }
}
