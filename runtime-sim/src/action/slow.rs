//! The action `slow`: a supervisor handles everything late.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::link::Delay;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Latency;

/// A supervisor handles everything late, timers included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// The host.
    pub host: HostId,
    /// The delay; none: in time again.
    pub delay: Option<Delay>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    slow: SpannedNames,
    delay: Option<Spanned<Latency>>,
}

impl Room for Slow {
    type Form = Form;

    const WORD: Word = Word {
        key: "slow",
        beside: "`delay`: `\"50ms..400ms\"`",
        example: "slow = \"bob\", delay = \"50ms..400ms\"",
        doc: "a supervisor handles everything late; without `delay`, in time again",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let delay = form.delay.map(Spanned::into_inner).map(|Latency { min, max }| Delay { min, max });
        reading.each(&form.slow, |host| Self { host, delay })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let delay = self.delay.map(|Delay { min, max }| format!("\ndelay = {}", text::span(min, max)));
        names.line(Self::WORD.key, self.host) + &delay.unwrap_or_default()
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let name = cast.name(self.host);
        match self.delay {
            Some(Delay { min, max }) => {
                format!("{name} is overloaded: it handles everything {min:?} to {max:?} late.")
            }
            None => format!("{name} keeps up again."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::at("slow", self.host)
    }

    fn counted(&self) -> &'static str {
        if self.delay.is_some() { "slow" } else { "slow ends" }
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])?;
        match self.delay {
            Some(delay) if delay.min > delay.max => {
                Err(ActionError::Host("the shortest delay exceeds the longest"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_slow(self.host.0, self.delay);
        Ok(())
    }
}
