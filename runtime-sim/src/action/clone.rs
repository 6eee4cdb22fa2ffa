//! The action `clone`: a host starts from a copy of another's disk, so that one identity has two addresses.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect, known, member_of};
use super::world::World;
use crate::engine::host::{HostId, HostState};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Starts a host that does not run from a copy of another host's disk: one identity at two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneDisk {
    /// The host.
    pub host: HostId,
    /// The host whose disk is copied.
    pub of: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    clone: SpannedNames,
    disk_of: Option<Spanned<String>>,
}

impl Room for CloneDisk {
    type Form = Form;

    const WORD: Word = Word {
        key: "clone",
        beside: "`disk_of`: whose (required)",
        example: "clone = \"bob\", disk_of = \"ada\"",
        doc: "a host that does not run starts from a copy of another's disk: one identity at two addresses",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(of) = &form.disk_of else {
            let help = "add disk_of = \"ada\": whose disk is copied";
            reading.wrong(form.clone.span(), "`disk_of` is missing", help);
            return Vec::new();
        };
        match reading.host(of) {
            Some(of) => reading.each(&form.clone, |host| Self { host, of }),
            None => Vec::new(),
        }
    }

    fn write(&self, names: &Names<'_>) -> String {
        names.line(Self::WORD.key, self.host) + &names.line("disk_of", self.of)
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!("{} starts from a copy of {}'s disk.", cast.name(self.host), cast.name(self.of))
    }

    fn traced(&self) -> Traced {
        Traced::between("clone-disk", &[self.of], &[self.host])
    }

    fn counted(&self) -> &'static str {
        "clone"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, of: hosts.one(self.of)? })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        let down = &[HostState::New, HostState::Stopped, HostState::Crashed];
        expect(ground, self.host, "start from a copied disk", down)?;
        known(ground, [&self.of])?;
        member_of(ground, self.of).map(drop)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        Ok(world.clone_disk(self.host.0, self.of.0)?)
    }
}
