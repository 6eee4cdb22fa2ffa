//! The action `kill`: a supervisor's process dies.

use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::record::StopReason;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Only the supervisor's process dies; the host still refuses connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    kill: SpannedNames,
}

impl Room for Kill {
    type Form = Form;

    const WORD: Word = Word {
        key: "kill",
        beside: "",
        example: "kill = \"bob\"",
        doc: "only the supervisor's process dies (SIGKILL); its host still refuses connections",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.kill, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("the supervisor on {} is killed; its host stays up.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("kill", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "be killed", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.stop(self.host.0, StopReason::Killed);
        Ok(())
    }
}
