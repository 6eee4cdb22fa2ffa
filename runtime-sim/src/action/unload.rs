//! The action `unload`: an operator has a service stopped and forgotten.

use annulus_core::{Command, StopHow};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `svc unload` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloadService {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    unload: Spanned<String>,
    on: Option<SpannedNames>,
}

impl Room for UnloadService {
    type Form = Form;

    const WORD: Word = Word {
        key: "unload",
        beside: "`on` (required)",
        example: "unload = \"web\", on = \"ada\"",
        doc: "stop a service and forget it",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.unload, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        hosts.into_iter().map(|host| Self { host, service: service.clone() }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        service_line(Self::WORD.key, &self.service, self.host, names)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("an operator unloads {} on {}.", self.service, cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("unload-service", self.host)
    }

    fn counted(&self) -> &'static str {
        "service unload"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        expect(ground, self.host, "change a service", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let service = name(&self.service)?;
        world.command(self.host, Command::UnloadService { service, how: StopHow::default() });
        Ok(())
    }
}
