//! The action `put_key`: a file with a key of the ring is put on a host, whose supervisor notices it.

use annulus_core::Command;
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::{HostId, HostState};
use crate::engine::keys;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Another key file on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutKey {
    /// The host.
    pub host: HostId,
    /// The revision of the key.
    pub revision: u64,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    put_key: Spanned<u64>,
    on: Option<SpannedNames>,
}

impl Room for PutKey {
    type Form = Form;

    const WORD: Word = Word {
        key: "put_key",
        beside: "`on` (required)",
        example: "put_key = 2, on = \"ada\"",
        doc: "put a key of the ring, by its revision, on a host; its supervisor can open what is sealed with it",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(on) = form.on else {
            reading.wrong(form.put_key.span(), "`put_key` does not say on which host", "add on = \"ada\"");
            return Vec::new();
        };
        let revision = form.put_key.into_inner();
        reading.each(&on, |host| Self { host, revision })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("\n{} = {}", Self::WORD.key, self.revision) + &names.line("on", self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("the ring's key of revision {} is put on {}.", self.revision, cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("put-key", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.put_key(self.host, self.revision);
        if matches!(world.state(self.host), HostState::Running | HostState::Paused) {
            world.command(self.host, Command::HoldKeys(vec![keys::key(self.revision)]));
        }
        Ok(())
    }
}
