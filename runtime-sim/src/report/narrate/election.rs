//! Elections in sentences.

use annulus_core::{ElectionEvent, ElectionId, Instant, LeaseEnd};

use super::Narrator;
use crate::action::HostId;

impl Narrator {
    pub(super) fn election(
        &mut self,
        at: Instant,
        host: HostId,
        election: &ElectionId,
        term: u64,
        what: &ElectionEvent,
    ) {
        let name = self.name(host);
        let text = match what {
            ElectionEvent::Started => {
                format!("{name} finds {election} without a leader and asks who would vote for it.")
            }
            ElectionEvent::Won { votes, voters } => {
                format!("{name} leads {election} in term {term}, with {votes} of {voters} votes.")
            }
            ElectionEvent::Resumed => {
                format!("{name} leads {election} on in term {term}: only its supervisor was started again.")
            }
            ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => {
                format!(
                    "{name} reaches too few voters of {election} and gives up leading it, before its lease ends."
                )
            }
            ElectionEvent::Lost { why: LeaseEnd::Outdone } => {
                format!("{name} hears of a later leader of {election} and stops leading it.")
            }
            ElectionEvent::HandedOver { to: Some(to) } => {
                format!("{name} hands {election} over to {}.", self.who(to))
            }
            ElectionEvent::HandedOver { to: None } => {
                format!("{name} stops leading {election} and knows no member that could.")
            }
            ElectionEvent::ElectorateChanged { voters, .. } => {
                format!("{name} changes who votes in {election}: {voters} members by now.")
            }
            ElectionEvent::Voted { .. } | ElectionEvent::Learned { .. } => return,
        };
        self.say(at, &text);
    }
}
