//! The statement `split`: the ring is in parts whose members hold only each other alive.

use annulus_core::State;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Inside each group every member holds every member alive; none holds a member of another group alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The groups.
    pub groups: Vec<Vec<HostId>>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    split: Spanned<Vec<SpannedNames>>,
}

impl Room for Split {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "split",
        beside: "",
        example: "split = [\"east\", \"west\"]",
        doc: "in each group all hold each other alive, and no member of another group",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        if form.split.get_ref().len() < 2 {
            let help = "write split = [\"east\", \"west\"] or split = [[\"ada\", \"bob\"], \"cyd\"]";
            reading.wrong(form.split.span(), "a split needs two groups at least", help);
        }
        let mut groups: Vec<Vec<HostId>> = Vec::new();
        for names in form.split.get_ref() {
            let group = reading.hosts(names);
            if let Some(twice) = group.iter().find(|host| groups.iter().flatten().any(|seen| seen == *host)) {
                let message = format!("{} is in two groups", reading.context.directory.name(*twice));
                reading.wrong(names.span(), message, "name each member in one group only");
            }
            groups.push(group);
        }
        Some(Self { groups })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let groups: Vec<String> = self.groups.iter().map(|group| names.list(group)).collect();
        format!("split = [{}]", groups.join(", "))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let groups = self.groups.iter().map(|group| hosts.some(group)).collect::<Option<_>>()?;
        Some(Self { groups })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        for group in &self.groups {
            let seen_by = Who::Hosts(group.clone());
            look.in_state(&seen_by, Some(State::Alive), &seen_by)?;
            for host in look.observers(&seen_by)? {
                let mut strangers = self.groups.iter().flatten().filter(|stranger| !group.contains(stranger));
                if let Some(alive) = strangers.find(|of| look.held(host, **of) == Some(State::Alive)) {
                    let (by, of) = (look.name(host), look.name(*alive));
                    return Err(format!("{by} holds {of} of another group alive"));
                }
            }
        }
        Ok(())
    }
}
