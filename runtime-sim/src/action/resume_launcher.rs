//! The action `resume_launcher`: a frozen launcher runs again.

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

/// A paused launcher runs again and does what waited, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeLauncher {
    /// The host.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    resume_launcher: SpannedNames,
}

impl Room for ResumeLauncher {
    type Form = Form;

    const WORD: Word = Word {
        key: "resume_launcher",
        beside: "",
        example: "resume_launcher = \"bob\"",
        doc: "a paused launcher runs again and does what waited",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        reading.each(&form.resume_launcher, |host| Self { host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("the launcher on {} runs again.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("resume-launcher", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect_launcher(ground, self.host, "resume", &[LauncherState::Paused])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.resume_launcher(self.host.0);
        Ok(())
    }
}
