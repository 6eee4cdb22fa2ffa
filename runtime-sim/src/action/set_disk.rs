//! The action `set_disk`: a host's disk is slow, stands still, fails some writes or every one, is full, or is sound again.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, known};
use super::world::World;
use crate::engine::disk_fault::DiskState;
use crate::engine::ids::HostId;
use crate::engine::link::Delay;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Latency;

/// From now on a host's disk is like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDisk {
    /// The host.
    pub host: HostId,
    /// How the disk is.
    pub state: DiskState,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    set_disk: SpannedNames,
    is: Option<Spanned<Is>>,
    delay: Option<Spanned<Latency>>,
    times: Option<Spanned<u32>>,
}

/// The word for how a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Is {
    Sound,
    Slow,
    Stalled,
    Failing,
    Broken,
    Full,
}

impl Room for SetDisk {
    type Form = Form;

    const WORD: Word = Word {
        key: "set_disk",
        beside: "`is` (required): `sound`, `slow` with `delay`, `stalled`, `failing` for so many `times` [1], `broken`: every write fails, or `full`",
        example: "set_disk = \"bob\", is = \"slow\", delay = \"20ms..80ms\"",
        doc: "a host's disk is slow, stands still with all that needs it, fails the next writes or every one, is full, or is sound again",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some(is) = reading.required(form.set_disk.span(), form.is, "is = \"stalled\"") else {
            return Vec::new();
        };
        let state = match is {
            Is::Sound => DiskState::Sound,
            Is::Stalled => DiskState::Stalled,
            Is::Full => DiskState::Full,
            Is::Broken => DiskState::Broken,
            Is::Failing => DiskState::Failing(form.times.map_or(1, Spanned::into_inner).max(1)),
            Is::Slow => match reading.required(form.set_disk.span(), form.delay, "delay = \"20ms..80ms\"") {
                Some(Latency { min, max }) => DiskState::Slow(Delay { min, max }),
                None => return Vec::new(),
            },
        };
        reading.each(&form.set_disk, |host| Self { host, state })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let state = match self.state {
            DiskState::Sound => String::from("\nis = \"sound\""),
            DiskState::Slow(Delay { min, max }) => {
                format!("\nis = \"slow\"\ndelay = {}", text::span(min, max))
            }
            DiskState::Stalled => String::from("\nis = \"stalled\""),
            DiskState::Failing(times) => format!("\nis = \"failing\"\ntimes = {times}"),
            DiskState::Full => String::from("\nis = \"full\""),
            DiskState::Broken => String::from("\nis = \"broken\""),
        };
        names.line(Self::WORD.key, self.host) + &state
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let name = cast.name(self.host);
        match self.state {
            DiskState::Sound => format!("the disk of {name} is sound again."),
            DiskState::Slow(Delay { min, max }) => {
                format!("the disk of {name} is slow: each write takes {min:?} to {max:?} longer.")
            }
            DiskState::Stalled => format!("the disk of {name} stands still, and all that needs it with it."),
            DiskState::Failing(1) => format!("the next write on {name} fails."),
            DiskState::Failing(times) => format!("the next {times} writes on {name} fail."),
            DiskState::Full => format!("the disk of {name} is full: every write fails."),
            DiskState::Broken => format!("the disk of {name} is broken: every write fails."),
        }
    }

    fn traced(&self) -> Traced {
        Traced::at("set-disk", self.host)
    }

    fn counted(&self) -> &'static str {
        match self.state {
            DiskState::Sound => "disk sound",
            DiskState::Slow(_) => "disk slow",
            DiskState::Stalled => "disk stalled",
            DiskState::Failing(_) => "disk failing",
            DiskState::Full => "disk full",
            DiskState::Broken => "disk broken",
        }
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("is", keys::of::<Is>())]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, state: self.state })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        known(ground, [&self.host])?;
        match self.state {
            DiskState::Slow(Delay { min, max }) if min > max => {
                Err(ActionError::Host("the shortest delay exceeds the longest"))
            }
            DiskState::Slow(_)
            | DiskState::Sound
            | DiskState::Stalled
            | DiskState::Failing(_)
            | DiskState::Broken
            | DiskState::Full => Ok(()),
        }
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_disk(self.host.0, self.state);
        Ok(())
    }
}
