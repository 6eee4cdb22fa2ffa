//! The action `apply_config`: a service group gets another configuration.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::group::{Given, Table};
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `config apply` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyConfig {
    /// At this host.
    pub host: HostId,
    /// The version that is given.
    pub given: Box<Given>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    apply_config: Spanned<String>,
    on: Option<SpannedNames>,
    version: Option<Spanned<u64>>,
    text: Option<Spanned<String>>,
    bytes: Option<Spanned<u32>>,
}

impl Room for ApplyConfig {
    type Form = Form;

    const WORD: Word = Word {
        key: "apply_config",
        beside: "`on` and `version` (both required), `text` [one that tells the version], `bytes`: made up with dots to so many",
        example: "apply_config = \"web.default\", on = \"ada\", version = 2, text = \"port = 81\"",
        doc: "give a service group another configuration; without `text`, one that tells its version",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let table = Table {
            key: Self::WORD.key,
            group: &form.apply_config,
            on: form.on.as_ref(),
            version: form.version.as_ref(),
            text: form.text,
            bytes: form.bytes,
        };

        let Some((given, hosts)) = table.read(reading) else { return Vec::new() };
        hosts.into_iter().map(|host| Self { host, given: Box::new(given.clone()) }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        self.given.write(Self::WORD.key, self.host, names)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("an operator gives {} {}.", cast.name(self.host), self.given.words())
    }

    fn traced(&self) -> Traced {
        Traced::at("give", self.host)
    }

    fn counted(&self) -> &'static str {
        "config apply"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "be given a version", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.command(self.host, self.given.command());
        Ok(())
    }
}
