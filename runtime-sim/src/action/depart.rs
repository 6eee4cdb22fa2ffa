//! The action `depart`: an operator bans a member from the ring, until another order lifts the ban.

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

/// At `by`, bans the member that runs, or last ran, on `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depart {
    /// The host at which the operator types.
    pub by: HostId,
    /// The host whose member is banned.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    depart: SpannedNames,
    operator: Option<Spanned<String>>,
}

impl Room for Depart {
    type Form = Form;

    const WORD: Word = Word {
        key: "depart",
        beside: "`operator`: at whose machine the order is given (required)",
        example: "depart = \"bob\", operator = \"ada\"",
        doc: "at the operator's supervisor, ban a member from the ring until `reset` lifts the ban",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(operator) = &form.operator else {
            reading.wrong(
                form.depart.span(),
                "`depart` does not say where the operator types",
                "add operator = \"ada\" with the name of a member that runs then",
            );
            return Vec::new();
        };
        match reading.host(operator) {
            Some(by) => reading.each(&form.depart, |host| Self { by, host }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &names.line("operator", self.by)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("at {} an operator bans {} from the ring.", cast.name(self.by), cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::between("depart", &[self.by], &[self.host])
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { by: hosts.one(self.by)?, host: hosts.one(self.host)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])?;
        member_of(ground, self.host)?;
        expect(ground, self.by, "ban a member", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let member = member_of(world, self.host)?;
        world.command(self.by, Command::Depart { member });
        Ok(())
    }
}
