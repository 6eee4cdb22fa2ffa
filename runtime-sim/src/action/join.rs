//! The action `join`: a host starts for the first time.

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

/// Starts a host for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    join: SpannedNames,
}

impl Room for Join {
    type Form = Form;

    const WORD: Word = Word {
        key: "join",
        beside: "",
        example: "join = \"dan\"",
        doc: "start a host for the first time; members without a join start by themselves in the first second",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.join, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} starts for the first time.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("join", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "join", &[HostState::New])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        Ok(world.start(self.host.0)?)
    }
}
