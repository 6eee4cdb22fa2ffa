//! What a service may be updated to, and how far an update has come, as plain data. What follows is decided in `update`.

use alloc::string::String;

use crate::model::ident::PackageIdent;
use crate::model::service::{Health, ServiceSpec, ServiceState};

/// The build that a channel names for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The build, fully qualified.
    pub ident: PackageIdent,
    /// The number of the channel's state that says so; it only grows.
    pub number: u64,
    /// The version of its service's interface, where its package says so.
    pub service_version: Option<String>,
}

/// The result of a look for builds of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest installed one that the spec allows.
    pub local: Option<PackageIdent>,
    /// The one that the channel names; none where the channel holds none that the spec allows.
    pub channel: Option<Head>,
}

impl Found {
    /// The build that the channel names.
    pub(crate) fn head(&self) -> Option<&PackageIdent> {
        self.channel.as_ref().map(|head| &head.ident)
    }
}

/// Why a build could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// A network, a disk, or a depot that does not have it: it is tried again.
    Lost,
    /// What came is not that build, or none that may run here: it is not tried again.
    Refused,
}

/// A step of an update of a service here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateStep {
    /// Another build than the one that runs is there to be taken.
    Seen,
    /// An operator ordered a build.
    Ordered,
    /// The build is verified and unpacked here.
    Fetched,
    /// The build takes the place of another one, and is on trial.
    Begun,
    /// The build has proved itself.
    Done,
    /// The build failed, and the one before it takes its place again.
    RolledBack,
    /// The build is not tried here any more.
    Refused,
    /// The build does not fit what this host has, and waits.
    HeldBack,
    /// A look for builds, or the way of one to this host, came to nothing; it is tried again.
    Failed,
}

impl UpdateStep {
    /// Every step.
    pub const ALL: [Self; 9] = [
        Self::Seen,
        Self::Ordered,
        Self::Fetched,
        Self::Begun,
        Self::Done,
        Self::RolledBack,
        Self::Refused,
        Self::HeldBack,
        Self::Failed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Ordered => "ordered",
            Self::Fetched => "fetched",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Refused => "refused",
            Self::HeldBack => "held_back",
            Self::Failed => "failed",
        }
    }
}

/// A build that is not tried here any more, until the channel comes to it anew or an operator orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The build.
    pub ident: PackageIdent,
    /// Why, for people.
    pub reason: String,
    /// Whether the channel has named another build, or none, since.
    pub(crate) left: bool,
}

/// How the updates of one service stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateView {
    /// The build that is to run, whatever else is installed.
    pub runs: Option<PackageIdent>,
    /// The build that takes its place again if it fails.
    pub before: Option<PackageIdent>,
    /// Whether it has yet to prove itself.
    pub on_trial: bool,
    /// The build that is not tried any more.
    pub refused: Option<Refused>,
    /// The build that an operator ordered and that does not run yet.
    pub ordered: Option<PackageIdent>,
    /// The result of the last look for builds; none where none was taken.
    pub found: Option<Found>,
    /// What waits, and what for, for people.
    pub waits: Option<String>,
}

/// What updates have to know of a service here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// What its operator wants.
    pub(crate) spec: &'a ServiceSpec,
    /// Whether it is to run: its operator wants it up, and the supervisor stays.
    pub(crate) is_wanted: bool,
    /// Where it is.
    pub(crate) state: ServiceState,
    /// How it is.
    pub(crate) health: Health,
    /// How long a process is left alone before its first health check, in milliseconds.
    pub(crate) health_delay_ms: u64,
    /// While it rests after a failure: what its build is to blame for.
    pub(crate) fault: Option<&'a str>,
}
