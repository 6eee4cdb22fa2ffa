//! The action `reset_group`: an operator takes back what was given to a group, and lets its leader hand over.

use annulus_core::{Command, Rumor, RumorKey, ServiceGroup};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::World;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// At `host`, gives the group a configuration that sets nothing, one above the one that is held there; at its leader, lets
/// that hand over. As `annulus sup reset` does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetGroup {
    /// The host at which the operator types.
    pub host: HostId,
    /// The group.
    pub group: ServiceGroup,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    reset_group: Spanned<String>,
    on: Option<SpannedNames>,
}

impl Room for ResetGroup {
    type Form = Form;

    const WORD: Word = Word {
        key: "reset_group",
        beside: "`on` (required)",
        example: "reset_group = \"web.default\", on = \"ada\"",
        doc: "take back the configuration of a service group by the next version, and let its leader hand over",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(on) = &form.on else {
            let message = "`reset_group` does not name the host";
            reading.wrong(form.reset_group.span(), message, "add on = \"ada\"");
            return Vec::new();
        };
        match reading.group(&form.reset_group) {
            Some(group) => reading.each(on, |host| Self { host, group: group.clone() }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("\nreset_group = {:?}", self.group.as_str()) + &names.line("on", self.host)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("at {} an operator puts {} right.", cast.name(self.host), self.group)
    }

    fn traced(&self) -> Traced {
        Traced::at("reset_group", self.host)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "put a group right", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let key = RumorKey::given(self.group.clone(), None);
        let node = world.node(self.host);
        let held = node.and_then(|node| node.rumor(&key)).and_then(Rumor::version).map(|held| held.number);
        if let Some(version) = held.map(|held| held + 1) {
            let group = self.group.clone();
            let (toml, allow_leap, is_sealed) = (Vec::new(), false, false);
            let empty = Command::ApplyConfig { group, version, toml, allow_leap, is_sealed };
            world.command(self.host, empty);
        }
        let leads = |host: &HostId| {
            world.node(*host).is_some_and(|node| node.leads().any(|(group, ..)| *group == self.group))
        };
        if let Some(leader) = world.hosts().find(leads) {
            world.command(leader, Command::HandOver { group: self.group.clone() });
        }
        Ok(())
    }
}
