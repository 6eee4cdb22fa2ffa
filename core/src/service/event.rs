//! The events of the service machine, by which it asks the node for effects, answers and rumors.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::command::Reply;
use crate::model::context::Follows;
use crate::model::id::{RequestId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::Effect;
use crate::model::service::{Health, Hook, ObstacleKind, ServiceState, SlowHook, Topology};
use crate::service::purpose::Errand;

/// One request or news of the service machine for the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceEvent {
    /// A service changed state.
    Changed {
        /// The service.
        service: ServiceName,
        /// Its state before; none when it was not loaded.
        from: Option<ServiceState>,
        /// Its state now; none when it is unloaded.
        to: Option<ServiceState>,
        /// Why, for people.
        reason: String,
        /// The event that it follows from.
        after: Follows,
    },
    /// Something came to stand between the wanted and the running state of a service, or is gone.
    Obstacle {
        /// The service.
        service: ServiceName,
        /// The kind.
        kind: ObstacleKind,
        /// The hook that failed; none for other kinds.
        hook: Option<Hook>,
        /// What it is; none when it is gone.
        what: Option<String>,
        /// The event that it follows from.
        after: Follows,
    },
    /// This build of a service was made ready to run, or runs already.
    Build {
        /// The service.
        service: ServiceName,
        /// The build, fully qualified.
        ident: PackageIdent,
    },
    /// A service has another spec, or is wanted no longer.
    Wish {
        /// The service.
        service: ServiceName,
    },
    /// An effect for the runtime.
    Effect {
        /// Its purpose, which the node gives back with the effect's number.
        errand: Errand,
        /// The effect.
        effect: Effect,
    },
    /// A command's answer.
    Reply(RequestId, Reply),
    /// The node is to tell the ring this about a service of this member.
    Announce(Announcement),
    /// The node is to tell the ring the health of a service of this member.
    Health {
        /// In which group.
        group: ServiceGroup,
        /// Its health.
        health: Health,
    },
    /// The node is to tell the ring that this member serves this group no longer.
    Retract {
        /// Which group.
        group: ServiceGroup,
    },
    /// What the election of this group depends on has changed: [`super::Services::fitness`].
    Fitness {
        /// Which group.
        group: ServiceGroup,
    },
    /// No process here acts as this group's leader any more, and no guard holds a right to resume.
    ActsNoLonger {
        /// Which group.
        group: ServiceGroup,
    },
    /// After `handle_leave`, once: no process is left and no change waits for the disk.
    AllStopped,
}

/// What the ring believes of a service here, by the service's own books.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    /// In which group.
    pub(crate) group: &'a ServiceGroup,
    /// What this supervisor said last; none where the last supervisor's word still stands.
    pub(crate) announced: Option<(&'a Announcement, Option<Health>)>,
}

/// A member's statement about one of its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// In which group.
    pub(crate) group: ServiceGroup,
    /// The package that runs, fully qualified.
    pub(crate) pkg: PackageIdent,
    /// Exported configuration, TOML text.
    pub(crate) cfg: Vec<u8>,
    /// Whether the process runs; false while it is being started (again).
    pub(crate) initialized: bool,
    /// Whether it takes new work.
    pub(crate) accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub(crate) maintenance: Option<String>,
    /// Whether the group has a leader.
    pub(crate) topology: Topology,
    /// With a leader: how many members an election counts at least, where its operator says so.
    pub(crate) quorum: Option<u32>,
    /// The version of the group configuration in use; 0 when there is none.
    pub(crate) applied_config: u64,
    /// The digest of the group's configuration and files that it runs with.
    pub(crate) applied_versions: u64,
    /// What keeps it from taking in more, by kind.
    pub(crate) held_back: BTreeSet<ObstacleKind>,
    /// A hook of it that takes its time.
    pub(crate) slow_hook: Option<SlowHook>,
}
