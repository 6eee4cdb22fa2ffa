//! The statements that a scenario can make about a ring, one file for each, and the list of all.
//!
//! A statement's file holds the table by which a scenario file makes it, its static check, the way it is written back,
//! the hosts that it is about and whether it holds: see `room::Room`. A new statement is a new file, its module and
//! its line in the list below. Statements look at a ring through `room::Look` and may not know what it runs on.
#![deny(clippy::wildcard_enum_match_arm)]

mod acting;
pub(crate) mod acts;
mod all_alive;
mod applied;
mod count;
mod event;
mod event_word;
mod identity;
mod in_state;
mod incarnation;
mod leader;
mod no_leader;
mod one_leader;
mod one_view;
mod opaque_held;
mod rendered;
mod requests_lost;
mod ring_key;
pub(crate) mod room;
mod running;
mod service;
mod settled;
mod split;
mod version_held;
mod when;

pub(crate) use one_view::one_view_bound;
use std::time::Duration;

use annulus_core::Instant;

use crate::engine::host::HostId;
use crate::form::entry::{Entry, Kind, Section, Word};
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

use acts::Acts;
use room::{Look, Room};
use when::Times;

pub(crate) use event_word::Report;
pub use event_word::{EVENTS, EventWord};
pub use room::Who;
pub use when::When;

/// Makes the enum and its dispatch from the list of rooms.
macro_rules! statements {
    ($($file:ident::$name:ident,)+) => {
        $(pub use $file::$name;)+

        /// A statement that must hold.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Statement {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)+
        }

        $(impl From<$name> for Statement {
            fn from(statement: $name) -> Self {
                Self::$name(statement)
            }
        })+

        /// How the words of each statement are read.
        pub(crate) const KINDS: &[Kind<Option<Statement>>] = &[$(room::kind::<$name>(),)+];

        /// Asks the room of a statement.
        macro_rules! room {
            ($self:expr, $statement:ident => $asked:expr) => {
                match $self {
                    $(Statement::$name($statement) => $asked,)+
                }
            };
        }
    };
}

statements! {
    all_alive::AllAlive,
    one_view::OneView,
    settled::Settled,
    in_state::InState,
    running::Running,
    split::Split,
    count::Count,
    service::Service,
    leader::Leader,
    one_leader::OneLeader,
    no_leader::NoLeader,
    acting::Acting,
    rendered::Rendered,
    requests_lost::RequestsLost,
    version_held::VersionHeld,
    applied::Applied,
    opaque_held::OpaqueHeld,
    ring_key::RingKey,
    incarnation::Incarnation,
    identity::Identity,
    event::Event,
}

/// The section `[[expect]]` in messages.
pub(crate) const SECTION: Section = Section {
    common: &["by", "within", "at", "always", "after"],
    none: (
        "this entry states nothing",
        "add a statement, for example alive = \"all\"; `annulus-sim list` shows all",
    ),
    several: ("this entry makes two statements", "give each its own [[expect]]"),
};

/// The statement of an entry of `[[expect]]`, its time, and the statement in the words of the file; none when a part
/// of it is wrong. Without `after`, a statement with `by` counts from the last action before that time.
pub(crate) fn read(
    mut entry: Entry<'_>,
    acts: &Acts,
    reading: &mut Reading<'_, '_>,
) -> Option<(String, When, Statement)> {
    let word = entry.word(KINDS, &SECTION, reading.problems);
    let span = entry.span();
    let times = Times::take(&mut entry, reading.problems);
    let (word, kind) = word?;
    let text = entry.text(word.key, reading.context.source);
    let statement = (kind.read)(entry, reading);
    let when = times.when(span, statement.as_ref(), acts, reading)?;
    Some((text, when, statement?))
}

/// Each word of `[[expect]]` with the keys that may stand beside it.
#[must_use]
pub fn words() -> Vec<(Word, Vec<&'static str>)> {
    KINDS.iter().flat_map(|kind| kind.words.iter().map(|word| (*word, kind.parts()))).collect()
}

impl Statement {
    /// The lines of a scenario file that are read as this.
    pub(crate) fn write(&self, names: &Names<'_>) -> String {
        room!(self, statement => statement.write(names))
    }

    /// The same for other hosts: `moved` gives each host's new number, none when it is gone. None when the statement
    /// was only about hosts that are gone.
    #[must_use]
    pub fn map_hosts(&self, moved: &dyn Fn(HostId) -> Option<HostId>) -> Option<Self> {
        room!(self, statement => statement.moved(&Moved(moved)).map(Self::from))
    }

    /// Whether it holds; the error tells how the ring looks instead.
    pub(crate) fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        room!(self, statement => statement.holds(look))
    }

    /// The parts of the file without which it could never hold, or says nothing.
    pub(crate) fn needs(&self) -> Vec<Need> {
        room!(self, statement => statement.needs())
    }

    /// The earlier time that it compares with.
    pub(crate) fn since(&self) -> Option<Instant> {
        room!(self, statement => statement.since())
    }

    /// How long it has to hold, once it does.
    pub(crate) fn lasting(&self) -> Option<Duration> {
        room!(self, statement => statement.lasting())
    }

    /// Whether it is about reports of nodes, not about their state.
    #[cfg(feature = "beds")]
    pub(crate) fn listens(&self) -> bool {
        room!(self, statement => statement.listens())
    }

    /// Whether it is about this report.
    pub(crate) fn hears(&self, report: &Report) -> bool {
        room!(self, statement => statement.hears(report))
    }

    fn unasked(&self, when: &When) -> Option<(&'static str, &'static str)> {
        room!(self, statement => statement.unasked(when))
    }

    fn needs_no_time(&self) -> bool {
        room!(self, statement => statement.needs_no_time())
    }
}
