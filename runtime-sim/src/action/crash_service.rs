//! The action `crash_service`: a service's process ends by itself.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, expect_process, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The service's process ends with this exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashService {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The exit code.
    pub code: i32,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    crash_service: Spanned<String>,
    on: Option<SpannedNames>,
    code: Option<Spanned<i32>>,
}

impl Room for CrashService {
    type Form = Form;

    const WORD: Word = Word {
        key: "crash_service",
        beside: "`on` (required), `code`: the exit code [1]",
        example: "crash_service = \"web\", on = \"ada\", code = 1",
        doc: "the service's process ends with this exit code",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) =
            service_on(Self::WORD.key, &form.crash_service, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let code = form.code.map_or(1, Spanned::into_inner);
        hosts.into_iter().map(|host| Self { host, service: service.clone(), code }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let head = service_line(Self::WORD.key, &self.service, self.host, names);
        head + &format!("\ncode = {}", self.code)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} on {} fails with exit code {}.", self.service, cast.name(self.host), self.code)
    }

    fn traced(&self) -> Traced {
        Traced::of_service("crash-service", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "service crash"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::loaded(&self.service, self.host)]
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "lose a service", PROCESS)?;
        expect_process(ground, self.host, &self.service, "crash")
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.crash_service(self.host.0, &name(&self.service)?, self.code);
        Ok(())
    }
}
