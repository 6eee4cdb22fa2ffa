//! The statement `opaque_held`: members hold so many rumors that only later versions understand.

use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Each of `seen_by` holds so many rumors that it does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaqueHeld {
    /// How many.
    pub count: usize,
    /// The members that look.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    opaque_held: Spanned<usize>,
    seen_by: Option<SpannedNames>,
}

impl Room for OpaqueHeld {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "opaque_held",
        beside: "`seen_by`",
        example: "opaque_held = 1, seen_by = \"all\"",
        doc: "they hold so many rumors of kinds that only later versions understand",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        Some(Self { count: form.opaque_held.into_inner(), seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("opaque_held = {}\nseen_by = {}", self.count, self.seen_by.write(names))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        for host in look.observers(&self.seen_by)? {
            let held = look.scene.opaque(host);
            if held != self.count {
                return Err(format!("{} holds {held} rumors that it does not understand", look.name(host)));
            }
        }
        Ok(())
    }
}
