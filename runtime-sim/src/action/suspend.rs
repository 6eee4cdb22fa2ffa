//! The action `suspend`: a host slept, and its monotonic clock has gone forward.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Time;

/// A host was suspended: its monotonic clock is found to have gone forward by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspend {
    /// The host.
    pub host: HostId,
    /// How far the clock has gone.
    pub lasting: Duration,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    suspend: SpannedNames,
    lasting: Option<Spanned<Time>>,
}

impl Room for Suspend {
    type Form = Form;

    const WORD: Word = Word {
        key: "suspend",
        beside: "`lasting`: for how long (required)",
        example: "suspend = \"bob\", lasting = \"30s\"",
        doc: "a host's monotonic clock has gone forward while it slept",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        match reading.required(form.suspend.span(), form.lasting, "lasting = \"30s\"") {
            Some(Time(lasting)) => reading.each(&form.suspend, |host| Self { host, lasting }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &format!("\nlasting = {}", text::time(self.lasting))
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} finds that {:?} have gone by in its sleep.", cast.name(self.host), self.lasting)
    }

    fn traced(&self) -> Traced {
        Traced::at("suspend", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.suspend(self.host, self.lasting);
        Ok(())
    }
}
