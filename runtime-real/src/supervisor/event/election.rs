//! Sentences for the events of elections. Decides nothing about levels and fields.

use annulus_core::{ElectionEvent, ElectionId, LeaseEnd};

use super::sentence::Names;

/// The sentence for an event.
pub(super) fn sentence(election: &ElectionId, term: u64, what: &ElectionEvent, names: Names<'_>) -> String {
    match what {
        ElectionEvent::Started => format!("{election} has no leader: this supervisor asks for votes"),
        ElectionEvent::Voted { candidate } => {
            format!("this supervisor votes for {} to lead {election} in term {term}", names(candidate))
        }
        ElectionEvent::Won { votes, voters } => {
            format!("this supervisor leads {election} in term {term}, with {votes} of {voters} votes")
        }
        ElectionEvent::Resumed => {
            format!(
                "this supervisor leads {election} on in term {term}: only the supervisor was started again"
            )
        }
        ElectionEvent::Learned { leader } => format!("{} leads {election} in term {term}", names(leader)),
        ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => {
            format!("this supervisor leads {election} no longer: too few voters renewed its lease in time")
        }
        ElectionEvent::Lost { why: LeaseEnd::Outdone } => {
            format!("this supervisor leads {election} no longer: another was elected in a later term")
        }
        ElectionEvent::HandedOver { to: Some(to) } => {
            format!("this supervisor leads {election} no longer and hands over to {}", names(to))
        }
        ElectionEvent::HandedOver { to: None } => {
            format!("this supervisor leads {election} no longer; no other member can at present")
        }
        ElectionEvent::ElectorateChanged { voters, .. } => {
            format!("{voters} members vote in {election} by now")
        }
    }
}
