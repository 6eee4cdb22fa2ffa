//! The action `kill_launcher`: the launcher of a host dies, and everything under it.

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

/// The launcher dies (SIGKILL): the system kills its supervisor, and each guard ends its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillLauncher {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    kill_launcher: SpannedNames,
}

impl Room for KillLauncher {
    type Form = Form;

    const WORD: Word = Word {
        key: "kill_launcher",
        beside: "",
        example: "kill_launcher = \"bob\"",
        doc: "the launcher dies (SIGKILL), its supervisor with it, and each service's guard ends the service",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.kill_launcher, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!(
            "the launcher on {} is killed; its supervisor dies with it, and guards end the services.",
            cast.name(self.host)
        )
    }

    fn traced(&self) -> Traced {
        Traced::at("kill-launcher", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect_launcher(ground, self.host, "be killed", &[LauncherState::Running, LauncherState::Paused])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.kill_launcher(self.host.0);
        Ok(())
    }
}
