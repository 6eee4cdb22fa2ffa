//! The action `restart`: a host starts again.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, expect, expect_disk, expect_launcher};
use super::world::World;
use crate::engine::disk::DiskAfter;
use crate::engine::host::{HostId, HostState};
use crate::engine::launcher::LauncherState;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Starts a host that left, crashed or was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The host.
    pub host: HostId,
    /// The state of its disk.
    pub disk: DiskAfter,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    restart: SpannedNames,
    disk: Option<Spanned<Disk>>,
}

impl Room for Restart {
    type Form = Form;

    const WORD: Word = Word {
        key: "restart",
        beside: "`disk`: `kept` (the default), `lost`, or `old`: as at the first start",
        example: "restart = \"bob\", disk = \"lost\"",
        doc: "start a host that left, crashed or was killed, with its disk kept, lost or old (a restored backup)",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let disk = match form.disk.map(Spanned::into_inner).unwrap_or_default() {
            Disk::Kept => DiskAfter::Kept,
            Disk::Lost => DiskAfter::Lost,
            Disk::Old => DiskAfter::Old,
        };
        reading.each(&form.restart, |host| Self { host, disk })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let disk = match self.disk {
            DiskAfter::Kept => "",
            DiskAfter::Lost => "\ndisk = \"lost\"",
            DiskAfter::Old => "\ndisk = \"old\"",
        };
        names.line(Self::WORD.key, self.host) + disk
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let disk = match self.disk {
            DiskAfter::Kept => "with its disk",
            DiskAfter::Lost => "with an empty disk",
            DiskAfter::Old => "with an old backup of its disk",
        };
        format!("{} starts again, {disk}.", cast.name(self.host))
    }

    fn traced(&self) -> Traced {
        Traced::at("restart", self.host)
    }

    fn counted(&self) -> &'static str {
        match self.disk {
            DiskAfter::Kept => "restart",
            DiskAfter::Lost => "restart with an empty disk",
            DiskAfter::Old => "restart with an old disk",
        }
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("disk", keys::of::<Disk>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, disk: self.disk })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "restart", &[HostState::Stopped, HostState::Crashed])?;
        expect_disk(ground, self.host, "restart")?;
        if self.disk != DiskAfter::Kept {
            return Ok(());
        }
        // A launcher that stands still starts no supervisor.
        let able = &[LauncherState::Gone, LauncherState::Running];
        expect_launcher(ground, self.host, "start a supervisor", able)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        Ok(world.restart(self.host.0, self.disk)?)
    }
}

/// The word for the state of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Disk {
    #[default]
    Kept,
    Lost,
    Old,
}
