//! The action `install`: an operator installs a build on a host by hand.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::publish::version_word;
use super::room::{Cast, Ground, Room, Traced, known, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::{build, name};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `pkg install` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The version.
    pub version: String,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    install: Spanned<String>,
    on: Option<SpannedNames>,
    version: Option<Spanned<String>>,
}

impl Room for Install {
    type Form = Form;

    const WORD: Word = Word {
        key: "install",
        beside: "`on` (required), `version` (required)",
        example: "install = \"web\", on = \"ada\", version = \"1.1\"",
        doc: "an operator installs a build on a host; what runs there is another matter",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.install, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let version = reading.required(form.install.span(), form.version, "version = \"1.1\"");
        let Some(version) = version else { return Vec::new() };
        let span = form.install.span();
        let word = Spanned::new(span, version);
        let Some(version) = version_word(&service, &word, reading) else { return Vec::new() };
        let on = |host| Self { host, service: service.clone(), version: version.clone() };
        hosts.into_iter().map(on).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let line = service_line(Self::WORD.key, &self.service, self.host, names);
        format!("{line}\nversion = {:?}", self.version)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let host = cast.name(self.host);
        format!("an operator installs build {} of {} on {host}.", self.version, self.service)
    }

    fn traced(&self) -> Traced {
        Traced::of_service("install", self.host, &self.service)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        known(ground, [&self.host])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        if let Some(build) = build(&self.service, &self.version) {
            world.install(self.host.0, build);
        }
        Ok(())
    }
}
