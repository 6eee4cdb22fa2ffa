//! The statement `ring_key`: members speak with this key of the ring.

use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Each of `seen_by` speaks with the key of this revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKey {
    /// The revision.
    pub revision: u64,
    /// The members.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    ring_key: Spanned<u64>,
    seen_by: Option<SpannedNames>,
}

impl Room for RingKey {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "ring_key",
        beside: "`seen_by`",
        example: "ring_key = 2, seen_by = \"all\"",
        doc: "they speak with the ring's key of this revision",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        Some(Self { revision: form.ring_key.into_inner(), seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("ring_key = {}\nseen_by = {}", self.revision, self.seen_by.write(names))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        for host in look.observers(&self.seen_by)? {
            match look.scene.ring_key(host) {
                Some(revision) if revision == self.revision => {}
                Some(revision) => {
                    return Err(format!("{} speaks with the key of revision {revision}", look.name(host)));
                }
                None => return Err(format!("{} has no key", look.name(host))),
            }
        }
        Ok(())
    }
}
