//! The action `calm`: every fault ends.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced};
use super::world::{Later, World};
use crate::engine::disk_fault::DiskState;
use crate::engine::host::{HostId, HostState};
use crate::engine::launcher::LauncherState;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// How soon a supervisor that left while everything is calm is started again.
const REVIVE_AFTER: Duration = Duration::from_millis(100);

/// Every fault ends: cuts are mended, links are as they were at first, clocks and processors are sound, and every
/// supervisor runs whose member is not banned. A host that is still leaving starts again when it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calm;

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    calm: Spanned<bool>,
}

impl Room for Calm {
    type Form = Form;

    const WORD: Word = Word {
        key: "calm",
        beside: "",
        example: "calm = true",
        doc: "every fault ends: links, clocks and hosts are sound, and every member that is not banned runs",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        if !*form.calm.get_ref() {
            let help = "write calm = true, or remove this entry";
            reading.wrong(form.calm.span(), "calm = false does nothing", help);
        }
        vec![Self]
    }

    fn write(&self, _: &Names<'_>) -> String {
        String::from("\ncalm = true")
    }

    fn words(&self, _: &Cast<'_>) -> String {
        String::from("every fault ends, and every member that is not banned runs again.")
    }

    fn traced(&self) -> Traced {
        Traced::everywhere("calm")
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(Self)
    }

    fn check(&self, _: &dyn Ground) -> Result<(), ActionError> {
        Ok(())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.calm = true;
        world.net.repair();
        world.slow.clear();
        for host in world.hosts() {
            let there = &mut world.hosts[host.0 as usize];
            there.rest.crash_at_sync = false;
            if there.clock.is_some() {
                world.set_clock_rate(host, 0);
            }
            world.end_clone(host.0);
            world.set_disk(host.0, DiskState::Sound);
            if world.launcher(host) == LauncherState::Paused {
                world.resume_launcher(host.0);
            }
            match world.state(host) {
                HostState::Running => {}
                HostState::Paused => world.resume(host.0),
                HostState::New => world.start(host.0)?,
                HostState::Stopped | HostState::Crashed => {
                    if !world.hosts[host.0 as usize].rest.departed {
                        world.start(host.0)?;
                    }
                }
            }
        }
        for host in world.hosts() {
            // A copied identity led to the copy.
            if let Some(member) = world.member_id(host) {
                world.remember_member(host.0, member);
            }
        }
        Ok(())
    }
}

impl World {
    /// The links are sound as they are now: every later calm brings them back to this state.
    pub fn call_links_sound(&mut self) {
        self.net.call_sound();
    }
}

/// A supervisor ended: it was leaving when the faults ended, unless it is banned.
pub(super) fn ended(world: &mut World, host: HostId) {
    if world.calm && !world.hosts[host.0 as usize].rest.departed {
        world.later(REVIVE_AFTER, Revive(host));
    }
}

/// A host that left while everything was calm starts again.
#[derive(Debug)]
struct Revive(HostId);

impl Later for Revive {
    fn go_on(self: Box<Self>, world: &mut World) {
        if world.calm && world.state(self.0) == HostState::Stopped {
            world.start(self.0.0).expect("a disk that was read once can be read again");
        }
    }
}
