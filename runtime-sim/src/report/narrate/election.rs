//! Elections in sentences.

use annulus_core::{ElectionEvent, Instant, LeaseEnd, ServiceGroup};

use super::Narrator;
use crate::action::HostId;

impl Narrator {
    pub(super) fn election(
        &mut self,
        at: Instant,
        host: HostId,
        group: &ServiceGroup,
        term: u64,
        what: &ElectionEvent,
    ) {
        let name = self.name(host);
        let text = match what {
            ElectionEvent::Started => {
                format!("{name} finds {group} without a leader and asks who would vote for it.")
            }
            ElectionEvent::Won { votes, voters } => {
                format!("{name} leads {group} in term {term}, with {votes} of {voters} votes.")
            }
            ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => {
                format!(
                    "{name} reaches too few voters of {group} and gives up leading it, before its lease ends."
                )
            }
            ElectionEvent::Lost { why: LeaseEnd::Outdone } => {
                format!("{name} hears of a later leader of {group} and stops leading it.")
            }
            ElectionEvent::HandedOver { to: Some(to) } => {
                format!("{name} hands {group} over to {}.", self.who(to))
            }
            ElectionEvent::HandedOver { to: None } => {
                format!("{name} stops leading {group} and knows no member that could.")
            }
            ElectionEvent::ElectorateChanged { voters, .. } => {
                format!("{name} changes who votes in {group}: {voters} members by now.")
            }
            ElectionEvent::Voted { .. } | ElectionEvent::Learned { .. } => return,
        };
        self.say(at, &text);
    }
}
