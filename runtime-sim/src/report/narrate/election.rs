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
        let name = self.name(host).to_owned();
        let before = self.leaders.get(election).copied();
        match what {
            ElectionEvent::Won { .. } | ElectionEvent::Resumed => {
                self.leaders.insert(election.clone(), host);
            }
            ElectionEvent::Lost { .. } | ElectionEvent::HandedOver { .. } if before == Some(host) => {
                self.leaders.remove(election);
            }
            _ => {}
        }
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
                    "{name} has no quorum: too few voters of {election} renewed its lease, and it gives up leading \
                     before the lease ends."
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
            // A voter that is bound to a leader votes for no other candidate until its promise has run out.
            ElectionEvent::Voted { candidate: candidate_id } => {
                let candidate = candidate_id;
                let candidate = if self.members.get(&host) == Some(candidate) {
                    String::from("itself")
                } else {
                    self.who(candidate)
                };
                match before.filter(|leader| self.members.get(leader) != Some(candidate_id)) {
                    Some(leader) if leader != host => format!(
                        "{name}'s promise to {} has run out: it votes for {candidate} in term {term} of {election}.",
                        self.name(leader)
                    ),
                    _ => format!("{name} votes for {candidate} in term {term} of {election}."),
                }
            }
            ElectionEvent::Learned { .. } => return,
        };
        self.say(at, &text);
    }
}
