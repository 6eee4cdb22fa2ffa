//! The statement `no_leader`: a group has no leader.

use annulus_core::ServiceName;
use serde::Deserialize;
use toml::Spanned;

use super::leader::acting;
use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// No member acts as the leader of a service's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLeader {
    /// The service.
    pub service: ServiceName,
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
        Some(Self { service: reading.parsed(&form.no_leader, "a service", "web")? })
    }

    fn write(&self, _: &Names<'_>) -> String {
        format!("no_leader = {:?}", self.service.as_str())
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (acting, found) = acting(look, &self.service);
        if acting.is_empty() { Ok(()) } else { Err(found) }
    }
}
