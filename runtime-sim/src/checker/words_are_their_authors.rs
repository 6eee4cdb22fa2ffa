//! No member ever believes a statement that its author did not make. The world knows who said what: each supervisor's
//! own statements are recorded as it makes them, with what they say, and what another one accepts in its name has to be
//! one of them, whichever way it came. And what its author did say is believed: as long as no host forges, no word is
//! refused.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{EventKind, MemberId, RumorKey, RumorKind};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, Flood, HostId, Overreach};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct WordsAreTheirAuthors {
    /// What each member said: the number of the statement, and what it says.
    said: BTreeMap<(MemberId, RumorKey), BTreeSet<(u64, u64)>>,
    /// The member that runs, or last ran, on each host.
    members: BTreeMap<HostId, MemberId>,
    /// Members that say more, in their own names, than their supervisors do.
    insiders: BTreeSet<MemberId>,
    /// Whether any host has spoken in another's name.
    has_forger: bool,
}

impl Checker for WordsAreTheirAuthors {
    fn name(&self) -> &'static str {
        "words_are_their_authors"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        let (host, key, version, author, says, is_own) = match &record.what {
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
                return Ok(());
            }
            // What its own disk holds in its name it has said, though the power may have gone before it told.
            What::Restored { host, said, .. } => {
                let Some(member) = self.members.get(host) else { return Ok(()) };
                for (key, number, says) in said {
                    self.said.entry((*member, key.clone())).or_default().insert((*number, *says));
                }
                return Ok(());
            }
            What::Holds { host, key, version, author, says, is_own } => {
                (host, key, version, author, says, is_own)
            }
            What::Action(Action::Forge(_)) => {
                self.has_forger = true;
                return Ok(());
            }
            What::Action(Action::Overreach(Overreach { by, .. })) => {
                self.insiders.extend(self.members.get(by));
                return Ok(());
            }
            What::Action(Action::Flood(flood @ Flood { by, .. })) => {
                self.insiders.extend(self.members.get(by));
                self.insiders.extend(flood.made_up_authors());
                return Ok(());
            }
            What::Event { host, event } => return self.event(*host, &event.kind),
            _ => return Ok(()),
        };
        // What is not understood cannot be judged, and is believed to say nothing.
        if key.kind() == RumorKind::Opaque {
            return Ok(());
        }
        let Some(author) = author else {
            return Err(format!("host {} believes the {key} on no member's word", host.0));
        };
        if self.insiders.contains(author) {
            return Ok(());
        }
        let said = self.said.entry((*author, key.clone())).or_default();
        if *is_own {
            said.insert((*version, *says));
        } else if !said.contains(&(*version, *says)) {
            return Err(format!(
                "host {} believes version {version} of the {key} on the word of {author}, which never said that",
                host.0
            ));
        }
        Ok(())
    }
}

impl WordsAreTheirAuthors {
    /// A true word is never refused: where no host forges, none is.
    fn event(&self, host: HostId, kind: &EventKind) -> Result<(), String> {
        match kind {
            EventKind::StatementRefused { key, author, refusal, .. } if !self.has_forger => {
                let author = author.map_or_else(|| "no member".to_owned(), |author| author.to_string());
                let why = refusal.name();
                Err(format!("host {} refuses the {key} of {author} as {why}, and no host forges", host.0))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, record};
    use super::*;

    fn holds(host: u32, author: Option<u8>, version: u64, says: u64, is_own: bool) -> Record {
        let key = RumorKey::ServiceConfig("web.default".parse().expect("a group"));
        let (host, author) = (HostId(host), author.map(member));
        record(What::Holds { host, key, version, author, says, is_own })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = WordsAreTheirAuthors::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn what_was_said_is_believed() {
        assert_eq!(run(&[holds(0, Some(1), 7, 70, true), holds(1, Some(1), 7, 70, false)]), Ok(()));
    }

    #[test]
    fn another_number_another_content_another_author_and_no_author_fire() {
        let said = holds(0, Some(1), 7, 70, true);
        for (author, version, says) in [(Some(1), 8, 70), (Some(1), 7, 71), (Some(2), 7, 70), (None, 7, 70)] {
            let believed = holds(1, author, version, says, false);
            let message = run(&[said.clone(), believed]).expect_err("it has to fire");
            assert!(message.contains("word"), "{message}");
        }
    }

    #[test]
    fn a_word_that_is_refused_where_no_host_forges_fires() {
        use crate::action::{Forge, Forged, Vouching};
        let key = RumorKey::Departure(member(9));
        let (from, refusal) = (std::net::SocketAddr::from(([10, 0, 0, 1], 1)), annulus_core::Refusal::Forged);
        let refused = event(0, EventKind::StatementRefused { from, author: Some(member(1)), key, refusal });
        let message = run(std::slice::from_ref(&refused)).expect_err("it has to fire");
        assert!(message.contains("no host forges"), "{message}");
        let (host, by, author) = (HostId(0), HostId(1), HostId(2));
        let (what, vouching) = (Forged::Ban, Vouching::Nothing);
        let channel = annulus_core::Channel::Datagram;
        let forge = Action::Forge(Forge { host, by, author, what, vouching, channel });
        assert_eq!(run(&[record(What::Action(forge)), refused]), Ok(()));
    }
}
