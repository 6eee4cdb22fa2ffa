//! The action `use_key`: an operator brings another key of the ring into use.

use std::time::Duration;

use annulus_core::Command;
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, millis};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::keys;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};
use crate::form::value::Time;

/// The ring's name.
const RING: &str = "sim";

/// `ring key use` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseKey {
    /// The host.
    pub host: HostId,
    /// The revision of the key.
    pub revision: u64,
    /// At once, whatever members cannot open it.
    pub force: bool,
    /// How long the older keys open afterwards.
    pub grace: Duration,
}

impl UseKey {
    /// How long older keys open where the operator does not say.
    pub const GRACE: Duration = Duration::from_secs(72 * 3_600);
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    use_key: Spanned<u64>,
    on: Option<SpannedNames>,
    force: Option<bool>,
    grace: Option<Spanned<Time>>,
}

impl Room for UseKey {
    type Form = Form;

    const WORD: Word = Word {
        key: "use_key",
        beside: "`on` (required), `force` [false]: at once, `grace` [\"72h\"]: how long the older keys open afterwards",
        example: "use_key = 2, on = \"ada\", grace = \"60s\"",
        doc: "offer a key of the ring, by its revision: it becomes current once every member can open it",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(on) = form.on else {
            reading.wrong(form.use_key.span(), "`use_key` does not say on which host", "add on = \"ada\"");
            return Vec::new();
        };
        let (revision, force) = (form.use_key.into_inner(), form.force.unwrap_or_default());
        let grace = form.grace.map_or(Self::GRACE, |grace| grace.into_inner().0);
        reading.each(&on, |host| Self { host, revision, force, grace })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let mut text = format!("\n{} = {}", Self::WORD.key, self.revision) + &names.line("on", self.host);
        if self.force {
            text.push_str("\nforce = true");
        }
        if self.grace != Self::GRACE {
            text.push_str(&format!("\ngrace = {}", text::time(self.grace)));
        }
        text
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let how = if self.force { "makes the ring use" } else { "offers the ring" };
        format!("at {} an operator {how} its key of revision {}.", cast.name(self.host), self.revision)
    }

    fn traced(&self) -> Traced {
        Traced::at("use-key", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "use another key", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let (key, ring) = (keys::key(self.revision), String::from(RING));
        let (force, grace_ms) = (self.force, millis(self.grace));
        world.command(self.host, Command::UseKey { key, ring, force, grace_ms });
        Ok(())
    }
}
