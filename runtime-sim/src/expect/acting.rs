//! The statement `acting`: so many processes of a group were told that they lead.

use annulus_core::ServiceGroup;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};
use crate::form::value::Count;

/// So many processes of the group act as its leader: they run, and their files say that they lead. A supervisor that
/// has stopped leading does not end that; its word to the process does, or the process's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// At least.
    pub least: u32,
    /// At most.
    pub most: u32,
    /// The group.
    pub group: ServiceGroup,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    acting: Spanned<Count>,
    group: Option<Spanned<String>>,
}

impl Room for Acting {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "acting",
        beside: "`group` (required)",
        example: "acting = \"0..1\", group = \"redis\"",
        doc: "so many processes of the group run and were told that they lead, whatever supervisors say",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let Some(group) = &form.group else {
            let help = "add group = \"redis\"";
            reading.wrong(form.acting.span(), "`acting` does not name the group", help);
            return None;
        };
        let Count { least, most } = *form.acting.get_ref();
        Some(Self { least, most, group: reading.group(group)? })
    }

    fn write(&self, _: &Names<'_>) -> String {
        let Self { least, most, group } = self;
        format!("acting = \"{least}..{most}\"\ngroup = {:?}", text::group(group))
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Led { group: self.group.clone(), host: None }]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let acting = look.scene.told_to_lead(&self.group);
        if u32::try_from(acting.len()).is_ok_and(|count| (self.least..=self.most).contains(&count)) {
            return Ok(());
        }
        let names: Vec<&str> = acting.iter().map(|host| look.name(*host)).collect();
        Err(match names.as_slice() {
            [] => String::from("no process was told that it leads"),
            [one] => format!("the process on {one} was told that it leads"),
            more => format!("the processes on {} were told that they lead", more.join(" and ")),
        })
    }
}
