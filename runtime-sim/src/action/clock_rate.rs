//! The action `clock_rate`: a host's clocks run fast, or slow.

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
use crate::form::text::Names;

/// A host's monotonic clock runs so many parts in a million faster than the world's, or slower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockRate {
    /// The host.
    pub host: HostId,
    /// Parts in a million; more than -1,000,000.
    pub ppm: i32,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    clock_rate: SpannedNames,
    ppm: Option<Spanned<i32>>,
}

impl Room for ClockRate {
    type Form = Form;

    const WORD: Word = Word {
        key: "clock_rate",
        beside: "`ppm`: by how many parts in a million (required)",
        example: "clock_rate = \"bob\", ppm = -200000",
        doc: "a host's clocks run so many parts in a million fast, or slow",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let span = form.ppm.as_ref().map(Spanned::span);
        let ppm = reading.required(form.clock_rate.span(), form.ppm, "ppm = -200000");
        let (Some(ppm), Some(span)) = (ppm, span) else { return Vec::new() };
        reading.sound(sound(ppm), span);
        reading.each(&form.clock_rate, |host| Self { host, ppm })
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &format!("\nppm = {}", self.ppm)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let name = cast.name(self.host);
        let way = match self.ppm {
            0 => return format!("{name}'s clock goes right."),
            ..0 => "slow",
            1.. => "fast",
        };
        format!("{name}'s clock goes {way} by {} parts in a million.", self.ppm.unsigned_abs())
    }

    fn traced(&self) -> Traced {
        Traced::at("clock-rate", self.host)
    }

    fn counted(&self) -> &'static str {
        "clock rate"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])?;
        sound(self.ppm)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_clock_rate(self.host, self.ppm);
        Ok(())
    }
}

const fn sound(ppm: i32) -> Result<(), ActionError> {
    if ppm > -1_000_000 {
        Ok(())
    } else {
        Err(ActionError::Host("a clock cannot stand still or run backwards"))
    }
}
