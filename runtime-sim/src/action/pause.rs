//! The action `pause`: a supervisor is frozen.

use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect};
use super::world::World;
use crate::engine::host::{HostId, HostState};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The supervisor stops running (SIGSTOP, a suspended machine) and loses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    pause: SpannedNames,
}

impl Room for Pause {
    type Form = Form;

    const WORD: Word = Word {
        key: "pause",
        beside: "",
        example: "pause = \"bob\"",
        doc: "a supervisor stops running and loses nothing (SIGSTOP, a suspended machine)",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.pause, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} is frozen: it neither reads nor speaks.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("pause", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "pause", &[HostState::Running])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.pause(self.host.0);
        Ok(())
    }
}
