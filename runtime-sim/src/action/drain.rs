//! The action `drain_service`: an operator lets a service finish its work and take no more.

use annulus_core::Command;
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, millis, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};
use crate::form::value::Time;

/// `svc drain` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainService {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The longest wait for its work to end; none: as its package says.
    pub timeout: Option<std::time::Duration>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    drain_service: Spanned<String>,
    on: Option<SpannedNames>,
    timeout: Option<Spanned<Time>>,
}

impl Room for DrainService {
    type Form = Form;

    const WORD: Word = Word {
        key: "drain_service",
        beside: "`on` (required), `timeout`: the longest wait for its work to end [as its package says]",
        example: "drain_service = \"web\", on = \"ada\", timeout = \"10s\"",
        doc: "let a service take no new work until it is undrained; it goes on running",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) =
            service_on(Self::WORD.key, &form.drain_service, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let timeout = form.timeout.map(|time| time.into_inner().0);
        hosts.into_iter().map(|host| Self { host, service: service.clone(), timeout }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let mut text = service_line(Self::WORD.key, &self.service, self.host, names);
        text.extend(self.timeout.map(|time| format!("\ntimeout = {}", text::time(time))));
        text
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("an operator drains {} on {}: it takes no new work.", self.service, cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::of_service("drain-service", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "service drain"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::loaded(&self.service, self.host)]
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        expect(ground, self.host, "drain a service", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let (service, timeout_ms) = (name(&self.service)?, self.timeout.map(millis));
        world.command(self.host, Command::DrainService { service, timeout_ms });
        Ok(())
    }
}
