//! The action `maintenance`: an operator puts a service into maintenance, or ends it.

use annulus_core::Command;
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
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `svc maintenance on` or `off` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintainService {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// Why; none ends it.
    pub reason: Option<String>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    maintenance: Spanned<String>,
    on: Option<SpannedNames>,
    reason: Option<Spanned<String>>,
    ends: Option<Spanned<bool>>,
}

impl Room for MaintainService {
    type Form = Form;

    const WORD: Word = Word {
        key: "maintenance",
        beside: "`on` (required), and either `reason` or `ends`: `true` ends it",
        example: "maintenance = \"web\", on = \"ada\", reason = \"a new disk\"",
        doc: "put a service into maintenance, in which it runs and takes no new work, also after restarts; or end it",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.maintenance, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let ends = form.ends.is_some_and(Spanned::into_inner);
        let reason = form.reason.map(Spanned::into_inner);
        if ends == reason.is_some() {
            let help = "add reason = \"a new disk\" to begin it, or ends = true";
            let message = "`maintenance` does not say whether it begins or ends";
            reading.wrong(form.maintenance.span(), message, help);
            return Vec::new();
        }
        hosts
            .into_iter()
            .map(|host| Self { host, service: service.clone(), reason: reason.clone() })
            .collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let text = service_line(Self::WORD.key, &self.service, self.host, names);
        match &self.reason {
            Some(reason) => text + &format!("\nreason = {reason:?}"),
            None => text + "\nends = true",
        }
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (service, host) = (&self.service, cast.name(self.host));
        match &self.reason {
            Some(reason) => format!("an operator puts {service} on {host} into maintenance: {reason}."),
            None => format!("an operator ends the maintenance of {service} on {host}."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::of_service("maintain-service", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "service maintenance"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::loaded(&self.service, self.host)]
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        expect(ground, self.host, "maintain a service", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let (service, reason) = (name(&self.service)?, self.reason.clone());
        world.command(self.host, Command::MaintainService { service, reason });
        Ok(())
    }
}
