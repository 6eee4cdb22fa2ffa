//! The action `clock_jump`: a host's wall clock is set.

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
use crate::form::text::Names;

/// A host's wall clock is set forward, or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockJump {
    /// The host.
    pub host: HostId,
    /// Milliseconds, negative for back.
    pub by_ms: i64,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    clock_jump: SpannedNames,
    by_ms: Option<Spanned<i64>>,
}

impl Room for ClockJump {
    type Form = Form;

    const WORD: Word = Word {
        key: "clock_jump",
        beside: "`by_ms`: by how many milliseconds (required)",
        example: "clock_jump = \"bob\", by_ms = -3600000",
        doc: "a host's wall clock is set forward or back",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        match reading.required(form.clock_jump.span(), form.by_ms, "by_ms = -3600000") {
            Some(by_ms) => reading.each(&form.clock_jump, |host| Self { host, by_ms }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &format!("\nby_ms = {}", self.by_ms)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let way = if self.by_ms < 0 { "back" } else { "forward" };
        let by = Duration::from_millis(self.by_ms.unsigned_abs());
        format!("{}'s wall clock is set {way} by {by:?}.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("clock-jump", self.host)
    }

    fn counted(&self) -> &'static str {
        "clock jump"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.jump_wall_clock(self.host, self.by_ms);
        Ok(())
    }
}
