//! The statement `no_leader`: a group has no leader.

use annulus_core::ServiceGroup;
use serde::Deserialize;
use toml::Spanned;

use super::leader::acting;
use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};

/// No member acts as the leader of a service's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLeader {
    /// The group.
    pub group: ServiceGroup,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    no_leader: Spanned<String>,
}

impl Room for NoLeader {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "no_leader",
        beside: "",
        example: "no_leader = \"redis\"",
        doc: "no member acts as the leader of the service's group",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        Some(Self { group: reading.group(&form.no_leader)? })
    }

    fn write(&self, _: &Names<'_>) -> String {
        format!("no_leader = {:?}", text::group(&self.group))
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Led { group: self.group.clone(), host: None }]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (acting, found) = acting(look, &self.group);
        if acting.is_empty() { Ok(()) } else { Err(found) }
    }
}
