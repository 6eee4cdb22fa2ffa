//! The actions that can be done to a ring, one file for each or for a few that are alike, and the list of all.
//!
//! An action's file holds the table by which a scenario file asks for it, its static check, the way it is written back,
//! its words for the narrator, its name in traces and the hosts that it concerns, whether it is possible, and what it
//! does to the world, for which the engine offers verbs: see `room::Room`. A new action is a new file, its module and
//! its line in the list below; the compiler asks for the rest. Actions may not know scenarios, reports, sweeps or beds.
#![deny(clippy::wildcard_enum_match_arm)]

mod balance;
mod burst;
mod calm;
mod capacity;
mod clock_jump;
mod clock_rate;
mod clone;
mod crash;
mod crash_at_sync;
mod crash_loop;
mod crash_service;
mod depart;
mod depot;
mod drain;
mod error;
mod flood;
mod forge;
mod group;
mod heal;
mod install;
mod invent;
mod join;
mod kill;
mod kill_guard;
mod kill_launcher;
mod leave;
mod link;
mod load;
mod maintenance;
mod order;
mod overreach;
mod package;
mod partition;
mod pause;
mod pause_launcher;
mod promote;
mod publish;
mod put_key;
mod refused;
mod replay;
mod reset;
mod reset_group;
mod restart;
mod resume;
mod resume_launcher;
pub(crate) mod room;
mod set_disk;
mod set_suitability;
mod slow;
mod spoof;
mod suspend;
mod tell_opaque;
#[cfg(test)]
pub(crate) mod testing;
mod update;
mod use_key;
mod wait;
pub mod world;

use crate::form::entry::{Entry, Kind, Section, Word};
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

use room::{Cast, Ground, Room, Traced};
use world::World;

pub use crate::engine::depot::{BuildKind, DepotState};
pub use crate::engine::disk::DiskAfter;
pub use crate::engine::host::{HostId, HostState};
pub use crate::engine::lead::Load;
pub use crate::engine::link::{Burst, Capacity, Delay, LinkQuality, Ratio};
pub use crate::engine::package::{Balancer, Package};
pub use error::ActionError;
pub use flood::Flooded;
pub use forge::{Forged, Vouching};
pub use group::Given;
pub use overreach::Overreached;
pub use refused::Refused;
pub use replay::{Numbers, Taken};

/// Makes the enum and its dispatch from the list of rooms.
macro_rules! actions {
    (
        any_ring: [$($file:ident::$name:ident,)+]
        simulator: [$($sim_file:ident::$sim:ident,)+]
    ) => {
        $(pub use $file::$name;)+
        $(pub use $sim_file::$sim;)+

        /// An action that is done to a ring at one instant.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)+
            $(#[doc = concat!("See [`", stringify!($sim), "`].")] $sim($sim),)+
        }

        #[cfg(feature = "beds")]
        /// An action that a ring of processes can be made to go through as well.
        #[derive(Clone, Copy, Debug)]
        #[cfg_attr(
            not(feature = "turmoil"),
            expect(dead_code, reason = "of real beds turmoil alone has links that can be changed")
        )]
        pub(crate) enum Common<'a> {
            $($name(&'a $name),)+
        }

        $(impl From<$name> for Action {
            fn from(action: $name) -> Self {
                Self::$name(action)
            }
        })+
        $(impl From<$sim> for Action {
            fn from(action: $sim) -> Self {
                Self::$sim(action)
            }
        })+

        impl Action {
            #[cfg(feature = "beds")]
            /// The same for beds other than the simulator; none when it is the simulator's alone.
            pub(crate) const fn common(&self) -> Option<Common<'_>> {
                match self {
                    $(Self::$name(action) => Some(Common::$name(action)),)+
                    $(Self::$sim(_) => None,)+
                }
            }
        }

        impl Action {
            /// Whether it is an operator's command, which a supervisor answers and may refuse.
            #[must_use]
            pub const fn is_command(&self) -> bool {
                match self {
                    $(Self::$name(_) => <$name as Room>::COMMAND,)+
                    $(Self::$sim(_) => <$sim as Room>::COMMAND,)+
                }
            }
        }

        /// The words of operators' commands.
        pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
            let all = [
                $((<$name as Room>::COMMAND, <$name as Room>::WORDS),)+
                $((<$sim as Room>::COMMAND, <$sim as Room>::WORDS),)+
            ];
            all.into_iter().filter(|(command, _)| *command).flat_map(|(_, words)| words).map(|word| word.key)
        }

        /// How the word of each action is read.
        pub(crate) const KINDS: &[Kind<Vec<Action>>] = &[
            $(room::kind::<$name>(),)+
            $(room::kind::<$sim>(),)+
        ];

        /// Asks the room of an action.
        macro_rules! room {
            ($self:expr, $action:ident => $asked:expr) => {
                match $self {
                    $(Action::$name($action) => $asked,)+
                    $(Action::$sim($action) => $asked,)+
                }
            };
        }
    };
}

actions! {
    any_ring: [
        join::Join,
        leave::Leave,
        depart::Depart,
        crash::Crash,
        kill::Kill,
        restart::Restart,
        pause::Pause,
        resume::Resume,
        partition::Partition,
        heal::Heal,
        link::SetLink,
        burst::SetBurst,
        capacity::SetCapacity,
        load::LoadService,
        order::UnloadService,
        order::StartService,
        order::StopService,
        crash_service::CrashService,
    ]
    simulator: [
        calm::Calm,
        slow::Slow,
        clock_rate::ClockRate,
        clock_jump::ClockJump,
        suspend::Suspend,
        kill_launcher::KillLauncher,
        pause_launcher::PauseLauncher,
        resume_launcher::ResumeLauncher,
        kill_guard::KillGuard,
        set_disk::SetDisk,
        crash_at_sync::CrashAtSync,
        crash_loop::CrashLoop,
        clone::CloneDisk,
        package::SetPackage,
        balance::Balance,
        group::ApplyConfig,
        group::PutFile,
        drain::DrainService,
        order::RestartService,
        order::UndrainService,
        maintenance::MaintainService,
        update::UpdateService,
        publish::Publish,
        promote::Promote,
        promote::Demote,
        depot::SetDepot,
        install::Install,
        tell_opaque::TellOpaque,
        forge::Forge,
        replay::Replay,
        reset::Reset,
        reset_group::ResetGroup,
        overreach::Overreach,
        flood::Flood,
        put_key::PutKey,
        use_key::UseKey,
        invent::Invent,
        spoof::Spoof,
        set_suitability::SetSuitability,
    ]
}

/// The section `[[at]]` in messages.
pub(crate) const SECTION: Section = Section {
    common: &["time", "refused"],
    none: (
        "this entry names no action",
        "add one, for example crash = \"bob\"; `annulus-sim list` shows all",
    ),
    several: (
        "this entry names two actions",
        "give each action its own [[at]]; entries of one time are done in the order of the file",
    ),
};

/// The actions that an entry of `[[at]]` asks for.
pub(crate) fn read(mut entry: Entry<'_>, reading: &mut Reading<'_, '_>) -> Vec<Action> {
    match entry.word(KINDS, &SECTION, reading.problems) {
        Some((_, kind)) => (kind.read)(entry, reading),
        None => Vec::new(),
    }
}

/// Each word of `[[at]]` with the keys that may stand beside it.
#[must_use]
pub fn words() -> Vec<(Word, Vec<&'static str>)> {
    KINDS.iter().flat_map(|kind| kind.words.iter().map(|word| (*word, kind.parts()))).collect()
}

impl Action {
    /// The entry of a scenario file that is read as this, each line after a line break.
    pub(crate) fn write(&self, names: &Names<'_>) -> String {
        room!(self, action => action.write(names))
    }

    /// The action as a sentence.
    pub(crate) fn words(&self, cast: &Cast<'_>) -> String {
        room!(self, action => action.words(cast))
    }

    /// The action as traces have it.
    pub(crate) fn traced(&self) -> Traced {
        room!(self, action => action.traced())
    }

    /// The name under which a sweep counts it.
    pub(crate) fn counted(&self) -> &'static str {
        room!(self, action => action.counted())
    }

    /// The same for other hosts: `moved` gives each host's new number, none when it is gone. None when no host is
    /// left that it could be done to.
    #[must_use]
    pub fn map_hosts(&self, moved: &dyn Fn(HostId) -> Option<HostId>) -> Option<Self> {
        room!(self, action => action.moved(&Moved(moved)).map(Self::from))
    }

    /// Whether it is possible now.
    pub(crate) fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        room!(self, action => action.check(ground))
    }

    /// The parts of a scenario file without which it does nothing.
    pub(crate) fn needs(&self) -> Vec<Need> {
        room!(self, action => action.needs())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        room!(self, action => action.act(world))
    }
}
