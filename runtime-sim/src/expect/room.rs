//! The shape of a room, which is the file of one statement, and helpers that rooms share.

use std::time::Duration;

use annulus_core::{Incarnation, Instant, MemberId, State};
use serde::de::DeserializeOwned;

use super::event_word::Report;
use super::{Statement, When};
use crate::engine::host::{HostId, HostState};
use crate::engine::scene::Scene;
use crate::form::entry::{Entry, Kind, Word};
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// A statement. Its file holds all that is known of it; `mod.rs` lists the files.
pub(crate) trait Room: Sized + Into<Statement> {
    /// The table of a scenario file that makes it, without the times.
    type Form: DeserializeOwned;

    /// Its words, as `annulus-sim list` and messages show them; several where they differ in little.
    const WORDS: &'static [Word];

    /// The statement that a table makes; none when the table is wrong, which is reported.
    fn read(form: Self::Form, reading: &mut Reading<'_, '_>) -> Option<Self>;

    /// The lines that are read as this.
    fn write(&self, names: &Names<'_>) -> String;

    /// The same for other hosts; none when it was only about hosts that are gone.
    fn moved(&self, hosts: &Moved<'_>) -> Option<Self>;

    /// The parts of the file without which it could never hold, or says nothing.
    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    /// Whether it holds; the error tells how the ring looks instead.
    fn holds(&self, look: &Look<'_>) -> Result<(), String>;

    /// The lists of words that can stand in its table, by their names.
    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        Vec::new()
    }

    /// Its word and the advice when it cannot be asked at this time.
    fn unasked(&self, _: &When) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Whether it is about the whole scenario where no time is given.
    fn needs_no_time(&self) -> bool {
        false
    }

    /// The earlier time that it compares with.
    fn since(&self) -> Option<Instant> {
        None
    }

    /// How long it has to hold, once it does.
    fn lasting(&self) -> Option<Duration> {
        None
    }

    /// Whether it is about reports of nodes, not about their state.
    #[cfg(feature = "beds")]
    fn listens(&self) -> bool {
        false
    }

    /// Whether it is about this report.
    fn hears(&self, _: &Report) -> bool {
        false
    }
}

/// How a room's words are read.
pub(super) const fn kind<R: Room>() -> Kind<Option<Statement>> {
    Kind { words: R::WORDS, keys: keys::of::<R::Form>, values: R::values, read: read::<R> }
}

fn read<R: Room>(entry: Entry<'_>, reading: &mut Reading<'_, '_>) -> Option<Statement> {
    R::read(entry.table(reading.problems)?, reading).map(Into::into)
}

/// Members that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// All members that run at that moment.
    Running,
    /// These.
    Hosts(Vec<HostId>),
}

impl Who {
    /// The members that are named; all running members where none is.
    pub(super) fn read(names: Option<&SpannedNames>, reading: &mut Reading<'_, '_>) -> Self {
        let running = |names: &SpannedNames| matches!(names.get_ref().0.as_slice(), [name] if name.get_ref() == "running");
        match names {
            Some(names) if !running(names) => Self::Hosts(reading.hosts(names)),
            Some(_) | None => Self::Running,
        }
    }

    pub(super) fn write(&self, names: &Names<'_>) -> String {
        match self {
            Self::Running => String::from("\"running\""),
            Self::Hosts(hosts) => names.list(hosts),
        }
    }

    pub(super) fn moved(&self, moved: &Moved<'_>) -> Option<Self> {
        match self {
            Self::Running => Some(Self::Running),
            Self::Hosts(hosts) => moved.some(hosts).map(Self::Hosts),
        }
    }

    /// Whether this host may be meant.
    pub(super) fn names(&self, host: HostId) -> bool {
        match self {
            Self::Running => true,
            Self::Hosts(hosts) => hosts.contains(&host),
        }
    }
}

/// The identity of a host at a time; none while it did not run.
pub(crate) type Identity = Option<(MemberId, Incarnation)>;

/// The ring as statements see it.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) scene: &'a dyn Scene,
    /// Every host.
    pub(crate) hosts: &'a [HostId],
    /// The identity of every host at the times that statements compare with.
    pub(crate) remembered: &'a [(Instant, Vec<Identity>)],
    /// The reports that this statement has heard.
    pub(crate) heard: Option<&'a str>,
}

impl<'a> Look<'a> {
    pub(super) fn name(&self, host: HostId) -> &'a str {
        self.scene.name(host)
    }

    pub(super) fn runs(&self, host: HostId) -> bool {
        self.scene.identity(host).is_some()
    }

    /// Hosts whose supervisor runs and is not paused.
    pub(super) fn live(&self) -> Vec<HostId> {
        let live = |host: &HostId| self.scene.state(*host) == HostState::Running && self.runs(*host);
        self.hosts.iter().copied().filter(live).collect()
    }

    /// The members that look. A member that is named must run.
    pub(super) fn observers(&self, who: &Who) -> Result<Vec<HostId>, String> {
        let hosts = match who {
            Who::Running => self.live(),
            Who::Hosts(hosts) => hosts.clone(),
        };
        match hosts.iter().find(|host| !self.runs(**host)) {
            None => Ok(hosts),
            Some(host) => Err(format!("{} does not run and sees no member", self.name(*host))),
        }
    }

    pub(super) fn held(&self, by: HostId, of: HostId) -> Option<State> {
        self.scene.member_id(of).and_then(|member| self.scene.held(by, &member))
    }

    /// Whether each of `seen_by` holds each of `of` in this state; none: does not know it.
    pub(super) fn in_state(&self, of: &Who, state: Option<State>, seen_by: &Who) -> Result<(), String> {
        let of = match of {
            Who::Running => self.live(),
            Who::Hosts(hosts) => hosts.clone(),
        };
        for host in self.observers(seen_by)? {
            for subject in &of {
                // A member always holds itself alive, so it is skipped unless it is asked for by name.
                if host == *subject && *seen_by == Who::Running {
                    continue;
                }
                let held = self.held(host, *subject);
                if held != state {
                    let held = held.map_or("does not know", |state| match state {
                        State::Alive => "holds alive",
                        State::Suspect => "suspects",
                        State::Confirmed => "holds dead",
                        State::Departed => "holds departed",
                    });
                    return Err(format!("{} {held}: {}", self.name(host), self.name(*subject)));
                }
            }
        }
        Ok(())
    }

    /// Compares the identity of each of these hosts with its earlier one.
    pub(super) fn compare(
        &self,
        of: &[HostId],
        since: Instant,
        check: impl Fn((MemberId, Incarnation), (MemberId, Incarnation)) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((_, all)) = self.remembered.iter().find(|(at, _)| *at == since) else {
            return Err(format!("{since} has not come yet"));
        };
        for host in of {
            let name = self.name(*host);
            let before = all.get(host.0 as usize).copied().flatten();
            let before = before.ok_or_else(|| format!("{name} did not run at {since}"))?;
            let now = self.scene.identity(*host).ok_or_else(|| format!("{name} does not run"))?;
            check(before, now).map_err(|found| format!("{name} {found} at {since}"))?;
        }
        Ok(())
    }
}

/// The words for a member's state.
pub(super) const fn state_word(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Confirmed => "confirmed",
        State::Departed => "departed",
    }
}
