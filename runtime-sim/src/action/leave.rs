//! The action `leave`: a supervisor leaves in order.

use annulus_core::Command;
use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Asks a host's supervisor to leave in order (SIGTERM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    leave: SpannedNames,
}

impl Room for Leave {
    type Form = Form;

    const WORD: Word = Word {
        key: "leave",
        beside: "",
        example: "leave = \"bob\"",
        doc: "ask a supervisor to leave in order (SIGTERM)",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.leave, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} is asked to leave in order.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("leave", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "leave", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.command(self.host, Command::Leave { drain: true });
        Ok(())
    }
}
