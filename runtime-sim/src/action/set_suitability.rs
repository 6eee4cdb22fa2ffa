//! The action `set_suitability`: the suitability hook of a service answers with another number from now on.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known, service_line, service_on};
use super::world::World;
use crate::engine::ids::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// From now on the suitability hook of a service on a host says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSuitability {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The number.
    pub says: u64,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    set_suitability: Spanned<String>,
    on: Option<SpannedNames>,
    is: Option<Spanned<u64>>,
}

impl Room for SetSuitability {
    type Form = Form;

    const WORD: Word = Word {
        key: "set_suitability",
        beside: "`on` and `is`: the number (both required)",
        example: "set_suitability = \"redis\", on = \"bob\", is = 9",
        doc: "the suitability hook of a service answers with another number from now on, which its supervisor asks for every half minute and when roles change",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) =
            service_on(Self::WORD.key, &form.set_suitability, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let Some(says) = reading.required(form.set_suitability.span(), form.is, "is = 9") else {
            return Vec::new();
        };
        hosts.into_iter().map(|host| Self { host, service: service.clone(), says }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        service_line(Self::WORD.key, &self.service, self.host, names) + &format!("\nis = {}", self.says)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let (service, host) = (&self.service, cast.name(self.host));
        format!("from now on the suitability of {service} on {host} is {}.", self.says)
    }

    fn traced(&self) -> Traced {
        Traced::of_service("set-suitability", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "suitability that changes"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::loaded(&self.service, self.host)]
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        known(ground, [&self.host])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_suitability(self.host, &self.service, Some(self.says));
        Ok(())
    }
}
