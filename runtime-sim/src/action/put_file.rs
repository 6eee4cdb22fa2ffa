//! The action `put_file`: a service group gets a file.

use annulus_core::FileName;
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

/// `file upload` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutFile {
    /// At this host.
    pub host: HostId,
    /// The version that is given.
    pub given: Box<Given>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    put_file: Spanned<String>,
    on: Option<SpannedNames>,
    version: Option<Spanned<u64>>,
    file: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    bytes: Option<Spanned<u32>>,
}

impl Room for PutFile {
    type Form = Form;

    const WORD: Word = Word {
        key: "put_file",
        beside: "`file`: its name, `on` and `version` (all required), `text` and `bytes` as with `apply_config`",
        example: "put_file = \"web.default\", file = \"users.acl\", on = \"ada\", version = 1, bytes = 65536",
        doc: "give a service group a file, of so many `bytes` at least",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let table = Table {
            key: Self::WORD.key,
            group: &form.put_file,
            on: form.on.as_ref(),
            version: form.version.as_ref(),
            text: form.text,
            bytes: form.bytes,
        };

        let Some((mut given, hosts)) = table.read(reading) else { return Vec::new() };
        let Some(file) = &form.file else {
            let help = "add file = \"users.acl\"";
            reading.wrong(form.put_file.span(), "`put_file` does not name the file", help);
            return Vec::new();
        };
        let Some(name) = reading.parsed::<FileName>(file, "a file", "users.acl") else { return Vec::new() };
        given.file = Some(name);
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
        "file upload"
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
