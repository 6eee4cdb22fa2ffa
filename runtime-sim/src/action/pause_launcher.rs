//! The action `pause_launcher`: the launcher of a host is frozen.

use serde::Deserialize;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect_launcher};
use super::world::World;
use crate::engine::ids::HostId;
use crate::engine::launcher::LauncherState;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The launcher stops running (SIGSTOP) and loses nothing: starts, signals and news of ends wait. Guards go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseLauncher {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    pause_launcher: SpannedNames,
}

impl Room for PauseLauncher {
    type Form = Form;

    const WORD: Word = Word {
        key: "pause_launcher",
        beside: "",
        example: "pause_launcher = \"bob\"",
        doc: "the launcher stops running (SIGSTOP): starts, signals and news of ends wait; guards go on",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.pause_launcher, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!(
            "the launcher on {} is frozen: it starts nothing, signals nothing and tells nothing.",
            cast.name(self.host)
        )
    }

    fn traced(&self) -> Traced {
        Traced::at("pause-launcher", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect_launcher(ground, self.host, "pause", &[LauncherState::Running])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.pause_launcher(self.host.0);
        Ok(())
    }
}
