//! The action `resume`: a frozen supervisor runs again.

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

/// A paused supervisor runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    resume: SpannedNames,
}

impl Room for Resume {
    type Form = Form;

    const WORD: Word = Word {
        key: "resume",
        beside: "",
        example: "resume = \"bob\"",
        doc: "a paused supervisor runs again",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.resume, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} runs again and knows nothing of the time in between.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("resume", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "resume", &[HostState::Paused])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.resume(self.host.0);
        Ok(())
    }
}
