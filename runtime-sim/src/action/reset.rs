//! The action `reset`: an operator lifts the ban of a member.

use annulus_core::Command;
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, known, member_of};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// At `by`, lifts the ban of the member that last ran on `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The host at which the operator types.
    pub by: HostId,
    /// The host whose member was banned.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    reset: SpannedNames,
    operator: Option<Spanned<String>>,
}

impl Room for Reset {
    type Form = Form;

    const WORD: Word = Word {
        key: "reset",
        beside: "`operator`: at whose machine the order is given (required)",
        example: "reset = \"bob\", operator = \"ada\"",
        doc: "at the operator's supervisor, lift the ban of a member; it has to be started again",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(operator) = &form.operator else {
            reading.wrong(
                form.reset.span(),
                "`reset` does not say where the operator types",
                "add operator = \"ada\" with the name of a member that runs then",
            );
            return Vec::new();
        };
        match reading.host(operator) {
            Some(by) => reading.each(&form.reset, |host| Self { by, host }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &names.line("operator", self.by)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("at {} an operator lifts the ban of {}.", cast.name(self.by), cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::between("reset", &[self.by], &[self.host])
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { by: hosts.one(self.by)?, host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])?;
        member_of(ground, self.host)?;
        expect(ground, self.by, "lift a ban", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let member = member_of(world, self.host)?;
        world.hosts[self.host.0 as usize].rest.departed = false;
        world.command(self.by, Command::LiftBan { member });
        Ok(())
    }
}
