//! The action `crash`: a host loses power.

use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect};
use super::world::World;
use crate::engine::host::{HostId, HostState};
use crate::engine::record::StopReason;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The host loses power: memory and unsynced writes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    crash: SpannedNames,
}

impl Room for Crash {
    type Form = Form;

    const WORD: Word = Word {
        key: "crash",
        beside: "",
        example: "crash = [\"bob\", \"cyd\"]",
        doc: "a host loses power: memory and unsynced writes are gone, packets to it vanish",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.crash, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} loses power and falls silent.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("crash", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "crash", &[HostState::Running, HostState::Paused, HostState::Stopped])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.stop(self.host.0, StopReason::Crashed);
        Ok(())
    }
}
