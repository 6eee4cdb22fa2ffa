//! The action `crash_loop`: a host loses power again and again.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::crash::Crash;
use super::restart::Restart;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect};
use super::world::{Later, World};
use crate::engine::disk::DiskAfter;
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Time;

/// The host loses power again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// The host.
    pub host: HostId,
    /// Number of crashes.
    pub times: u32,
    /// How long it runs before each crash.
    pub up: Duration,
    /// How long it is off after each.
    pub down: Duration,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    crash_loop: SpannedNames,
    times: Option<Spanned<u32>>,
    up: Option<Spanned<Time>>,
    down: Option<Spanned<Time>>,
}

impl Room for CrashLoop {
    type Form = Form;

    const WORD: Word = Word {
        key: "crash_loop",
        beside: "`times` [5], `up`: how long it runs before each crash [\"1s\"], `down`: how long it is off after each [\"1s\"]",
        example: "crash_loop = \"bob\", times = 5, up = \"300ms\", down = \"200ms\"",
        doc: "a host loses power again and again",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let time =
            |time: Option<Spanned<Time>>| time.map_or(Duration::from_secs(1), |time| time.into_inner().0);
        let times = form.times.map_or(5, Spanned::into_inner);
        let (up, down) = (time(form.up), time(form.down));
        reading.each(&form.crash_loop, |host| Self { host, times, up, down })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let (up, down) = (text::time(self.up), text::time(self.down));
        let parameters = format!("\ntimes = {}\nup = {up}\ndown = {down}", self.times);
        names.line(Self::WORD.key, self.host) + &parameters
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let Self { host, times, up, down } = self;
        format!("{} will lose power {times} times, each time after {up:?}, for {down:?}.", cast.name(*host))
    }

    fn traced(&self) -> Traced {
        Traced::at("crash-loop", self.host)
    }

    fn counted(&self) -> &'static str {
        "crash loop"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        expect(ground, self.host, "crash", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        if self.times > 0 {
            let first = Next { of: self.clone(), left: self.times, crash: true };
            world.later(self.up, first);
        }
        Ok(())
    }
}

/// The next step of a host's crash loop.
#[derive(Debug)]
struct Next {
    of: CrashLoop,
    /// Crashes to come.
    left: u32,
    crash: bool,
}

impl Later for Next {
    fn go_on(self: Box<Self>, world: &mut World) {
        if world.calm {
            return;
        }
        let Self { of, left, crash } = *self;
        let host = of.host;
        let (action, after, left) = if crash {
            (Crash { host }.into(), of.down, left)
        } else {
            (Restart { host, disk: DiskAfter::Kept }.into(), of.up, left - 1)
        };
        world.try_to(&action);
        if left > 0 {
            world.later(after, Self { of, left, crash: !crash });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::HostState;
    use crate::action::testing::{self, B};

    #[test]
    fn a_loop_has_so_many_crashes_and_ends_running() {
        let mut world = testing::pair(1, testing::quality());
        let (up, down) = (Duration::from_millis(300), Duration::from_millis(200));
        let before = world.hosts[B.0 as usize].generation;
        world.apply(&CrashLoop { host: B, times: 3, up, down }.into()).expect("possible");
        world.run_until(world.now() + Duration::from_millis(400));
        assert_eq!(world.state(B), HostState::Crashed);
        world.run_until(world.now() + Duration::from_secs(60));
        assert_eq!(world.state(B), HostState::Running);
        assert_eq!(world.hosts[B.0 as usize].generation, before + 3);
    }
}
