//! The action `kill_guard`: the guard of a service dies.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect_process, service_line, service_on};
use super::world::World;
use crate::engine::ids::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The guard of a service dies (SIGKILL): the launcher inherits the service's processes and ends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillGuard {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    kill_guard: Spanned<String>,
    on: Option<SpannedNames>,
}

impl Room for KillGuard {
    type Form = Form;

    const WORD: Word = Word {
        key: "kill_guard",
        beside: "`on` (required)",
        example: "kill_guard = \"web\", on = \"ada\"",
        doc: "the guard of a service dies (SIGKILL), and the launcher ends the service that it inherits",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.kill_guard, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        hosts.into_iter().map(|host| Self { host, service: service.clone() }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        service_line(Self::WORD.key, &self.service, self.host, names)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!(
            "the guard of {} on {} is killed; the launcher ends what it inherits.",
            self.service,
            cast.name(self.host)
        )
    }

    fn traced(&self) -> Traced {
        Traced::at("kill-guard", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect_process(ground, self.host, &self.service, "lose its guard")
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.kill_guard(self.host.0, &name(&self.service)?);
        Ok(())
    }
}
