//! A service's spec (what the operator wants) and its view (how the service is), as plain data. The steps from one to
//! the other are decided in `service`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::model::election::Role;
use crate::model::error::ParseError;
use crate::model::exit_status::ExitStatus;
use crate::model::id::{ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::time::{Instant, UnixTime};
use crate::model::update::UpdateView;

/// Declares a closed set of words with the text that specs, flags and JSON use.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? } default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self { Self::$default }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl core::str::FromStr for $name {
            type Err = ParseError;
            fn from_str(s: &str) -> Result<Self, ParseError> {
                match s { $($text => Ok(Self::$variant),)+ _ => Err(ParseError::Choice) }
            }
        }
    };
}

words! {
    /// How the members of a group relate to each other.
    Topology {
        /// They do not.
        Standalone = "standalone",
        /// One leads, chosen by election.
        Leader = "leader",
    } default Standalone
}
words! {
    /// When a service takes a newer package.
    UpdateStrategy {
        /// Never.
        None = "none",
        /// As soon as there is one.
        AtOnce = "at-once",
        /// One member of the group at a time.
        Rolling = "rolling",
    } default None
}
words! {
    /// Which package is newer.
    UpdateCondition {
        /// The newest of the channel and what is installed.
        Latest = "latest",
        /// What the channel holds, older or not.
        TrackChannel = "track-channel",
    } default Latest
}
words! {
    /// What an unsatisfied bind does.
    BindingMode {
        /// The service waits for it.
        Strict = "strict",
        /// The service starts without.
        Relaxed = "relaxed",
    } default Strict
}
words! {
    /// What the operator wants.
    DesiredState {
        /// Running.
        Up = "up",
        /// Loaded, not running.
        Down = "down",
    } default Up
}
words! {
    /// A script of a package, run at its point of a service's life.
    Hook {
        /// Once, after the package was installed.
        Install = "install",
        /// Once, before the package is removed.
        Uninstall = "uninstall",
        /// Before each start.
        Init = "init",
        /// The service itself.
        Run = "run",
        /// After each start, once it succeeds.
        PostRun = "post-run",
        /// After its configuration changed, instead of a restart.
        Reconfigure = "reconfigure",
        /// After a file of its group changed.
        FileUpdated = "file-updated",
        /// Every now and then: says how the service is.
        HealthCheck = "health-check",
        /// Before an election: says how well this member would lead.
        Suitability = "suitability",
        /// Before the service is stopped: ends when no work is left.
        Drain = "drain",
        /// After its process ended.
        PostStop = "post-stop",
    } default Run
}
words! {
    /// What happens to a leader's process when it leads no longer.
    Demoted {
        /// It is stopped and started again as a follower.
        Restart = "restart",
        /// Its files are written again and its reconfigure hook runs.
        Reconfigure = "reconfigure",
        /// It is stopped, and started again when it leads again.
        Stop = "stop",
    } default Restart
}
words! {
    /// Where a service is between what is wanted and what is.
    ServiceState {
        /// Known; nothing done yet.
        Loaded = "loaded",
        /// Its package is being made ready, or its process started.
        Starting = "starting",
        /// Its process runs.
        Up = "up",
        /// Its process was told to stop.
        Stopping = "stopping",
        /// It does not run, as wanted.
        Down = "down",
        /// It ended or could not start, and waits for the next try.
        Backoff = "backoff",
        /// It is wanted up and waits for others: a group it is bound to, a leader.
        Waiting = "waiting",
        /// It failed so often that it is not tried any more; an operator's start tries again.
        Failed = "failed",
    } default Loaded
}

words! {
    /// How a service is, by the exit codes of its health check (as in Habitat), the worse the later.
    Health {
        /// It works.
        Ok = "ok",
        /// It works, with reservations.
        Warning = "warning",
        /// No check has ended yet.
        Unknown = "unknown",
        /// It does not work.
        Critical = "critical",
    } default Unknown
}

/// Time between health checks where neither the operator nor the package says otherwise, in milliseconds.
pub const HEALTH_CHECK_INTERVAL_MS: u64 = 30_000;

/// What to run and how (the fields of Habitat's spec files).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The package, as the operator gave it; the newest installed one that satisfies it runs.
    pub ident: PackageIdent,
    /// The group's name.
    pub group: String,
    /// Relation of the group's members.
    pub topology: Topology,
    /// When to update.
    pub update_strategy: UpdateStrategy,
    /// What counts as an update.
    pub update_condition: UpdateCondition,
    /// Where updates come from.
    pub channel: String,
    /// The package store's address.
    pub bldr_url: String,
    /// `name:service.group[@org]` each.
    pub binds: Vec<String>,
    /// What an unsatisfied bind does.
    pub binding_mode: BindingMode,
    /// A directory to take `default.toml`, `config/` and `hooks/` from instead of the package's.
    pub config_from: Option<String>,
    /// Overrides the package's stop timeout, in milliseconds.
    pub shutdown_timeout_ms: Option<u64>,
    /// Time between health checks, in milliseconds; [`HEALTH_CHECK_INTERVAL_MS`] leaves it to the package.
    pub health_check_interval_ms: u64,
    /// What the operator wants.
    pub desired: DesiredState,
    /// Why the service is in maintenance, where an operator said so: it runs and takes no new work, also after a
    /// restart of the supervisor.
    pub maintenance: Option<String>,
    /// With topology leader: how many members an election counts at least, also while fewer are known; three when
    /// none is given.
    pub quorum: Option<u32>,
}

/// What `svc update` changes of a spec; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecChange {
    /// Another package of the same name.
    pub ident: Option<PackageIdent>,
    /// The group's name.
    pub group: Option<String>,
    /// Relation of the group's members.
    pub topology: Option<Topology>,
    /// When to update.
    pub update_strategy: Option<UpdateStrategy>,
    /// What counts as an update.
    pub update_condition: Option<UpdateCondition>,
    /// Where updates come from.
    pub channel: Option<String>,
    /// The package store's address.
    pub bldr_url: Option<String>,
    /// All binds.
    pub binds: Option<Vec<String>>,
    /// What an unsatisfied bind does.
    pub binding_mode: Option<BindingMode>,
    /// Where templates come from; inner none: from the package.
    pub config_from: Option<Option<String>>,
    /// The stop timeout, in milliseconds; inner none: the package's.
    pub shutdown_timeout_ms: Option<Option<u64>>,
    /// Time between health checks, in milliseconds.
    pub health_check_interval_ms: Option<u64>,
    /// How many members an election counts at least; inner none: the default.
    pub quorum: Option<Option<u32>>,
    /// Not of the spec, and given alone: the build that is to run from now on, fully qualified.
    pub to: Option<PackageIdent>,
}

impl SpecChange {
    /// The spec with these changes.
    #[must_use]
    pub fn apply(self, to: &ServiceSpec) -> ServiceSpec {
        let old = to.clone();
        let changed = ServiceSpec {
            ident: self.ident.unwrap_or(old.ident),
            group: self.group.unwrap_or(old.group),
            topology: self.topology.unwrap_or(old.topology),
            update_strategy: self.update_strategy.unwrap_or(old.update_strategy),
            update_condition: self.update_condition.unwrap_or(old.update_condition),
            channel: self.channel.unwrap_or(old.channel),
            bldr_url: self.bldr_url.unwrap_or(old.bldr_url),
            binds: self.binds.unwrap_or(old.binds),
            binding_mode: self.binding_mode.unwrap_or(old.binding_mode),
            config_from: self.config_from.unwrap_or(old.config_from),
            shutdown_timeout_ms: self.shutdown_timeout_ms.unwrap_or(old.shutdown_timeout_ms),
            health_check_interval_ms: self.health_check_interval_ms.unwrap_or(old.health_check_interval_ms),
            desired: old.desired,
            maintenance: old.maintenance,
            quorum: self.quorum.unwrap_or(old.quorum),
        };
        assert!(changed.desired == to.desired, "an update of options starts and stops nothing");
        assert!(changed.maintenance == to.maintenance, "an update of options ends no maintenance");
        changed
    }
}

impl ServiceSpec {
    /// The spec that `svc load IDENT` makes without further options.
    #[must_use]
    pub fn new(ident: PackageIdent) -> Self {
        Self {
            ident,
            group: String::from("default"),
            topology: Topology::default(),
            update_strategy: UpdateStrategy::default(),
            update_condition: UpdateCondition::default(),
            channel: String::from("stable"),
            bldr_url: String::from("https://bldr.habitat.sh"),
            binds: Vec::new(),
            binding_mode: BindingMode::default(),
            config_from: None,
            shutdown_timeout_ms: None,
            health_check_interval_ms: HEALTH_CHECK_INTERVAL_MS,
            desired: DesiredState::Up,
            maintenance: None,
            quorum: None,
        }
    }

    /// The service's name on this supervisor.
    #[must_use]
    pub fn name(&self) -> ServiceName {
        self.ident.service_name()
    }

    /// The group it belongs to in the ring.
    ///
    /// # Errors
    /// The group or organization is not a word.
    pub fn service_group(&self, org: Option<&str>) -> Result<ServiceGroup, ParseError> {
        let group = ServiceGroup::new(self.ident.name(), &self.group, org)?;
        assert!(group.service() == self.ident.name(), "a service stands in a group of its name");
        Ok(group)
    }
}

/// A hook that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookView {
    /// Which hook.
    pub hook: Hook,
    /// When it was begun.
    pub since: Instant,
    /// When it was begun, by the wall clock.
    pub since_wall: UnixTime,
    /// It is killed after this time, in milliseconds.
    pub limit_ms: u64,
}

/// A hook that has run for a while, as the ring is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlowHook {
    /// Which hook.
    pub hook: Hook,
    /// When it was begun, by its host's wall clock.
    pub since: UnixTime,
    /// It is killed after this time, in milliseconds.
    pub limit_ms: u64,
}

words! {
    /// The kinds of things that stand between the wanted and the running state of a service.
    ObstacleKind {
        /// Its package is not installed, or malformed.
        Package = "package",
        /// A template does not render.
        Template = "template",
        /// A layer of its configuration is malformed or cannot be read.
        Layer = "layer",
        /// What was sealed for its group cannot be opened, or what came plain does not count beside it.
        Key = "key",
        /// A file of its group cannot be written.
        File = "file",
        /// It cannot have the user, the group or the capabilities that it should.
        Rights = "rights",
        /// Its options do not fit its package, or their file cannot be used.
        Spec = "spec",
        /// A strict bind is not satisfied.
        Bind = "bind",
        /// The election of its group has not named a leader.
        Election = "election",
        /// A hook failed.
        Hook = "hook",
        /// Its process could not be started, or ended by itself.
        Process = "process",
        /// Its health check finds it ill.
        Health = "health",
        /// Its guard could not be told.
        Guard = "guard",
        /// The disk has not taken what is wanted.
        Disk = "disk",
    } default Package
}

impl ObstacleKind {
    /// Those that make or keep a service's files, all of which are found when the files are written.
    pub(crate) const fn is_of_files(self) -> bool {
        matches!(
            self,
            Self::Package | Self::Template | Self::Layer | Self::Key | Self::File | Self::Rights | Self::Spec
        )
    }
}

/// One thing that stands between the wanted and the running state of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Its kind.
    pub kind: ObstacleKind,
    /// The hook that failed; none for other kinds.
    pub hook: Option<Hook>,
    /// What it is and what follows, for people.
    pub what: String,
    /// What it keeps from being used, of that which came sealed for the group: a file's name, or none inside for the
    /// configuration. None for all else.
    pub sealed: Option<Option<String>>,
}

impl Obstacle {
    /// What came sealed for the group cannot be opened: this file, or the configuration.
    #[must_use]
    pub const fn sealed(file: Option<String>, what: String) -> Self {
        Self { kind: ObstacleKind::Key, hook: None, what, sealed: Some(file) }
    }

    /// An obstacle of a kind other than a hook.
    #[must_use]
    pub const fn new(kind: ObstacleKind, what: String) -> Self {
        Self { kind, hook: None, what, sealed: None }
    }
}

/// One service of this supervisor as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// What the operator wants.
    pub spec: ServiceSpec,
    /// Its group in the ring.
    pub group: ServiceGroup,
    /// Where it is.
    pub state: ServiceState,
    /// The fully qualified package that runs or ran last.
    pub running: Option<PackageIdent>,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// When it entered its state.
    pub since: Instant,
    /// When it entered its state, by the wall clock.
    pub since_wall: UnixTime,
    /// Restarts since it was loaded or started by an operator.
    pub restarts: u32,
    /// How its process ended last.
    pub last_exit: Option<ExitStatus>,
    /// Why the last start failed, for people.
    pub last_error: Option<String>,
    /// In `Backoff`: when the next try is due.
    pub next_start: Option<Instant>,
    /// In `Stopping`: when the present step ends by itself (telling the ring, draining, shutting down); none when the
    /// processes were killed.
    pub stop_ends: Option<Instant>,
    /// How it is, by its last health check; without a check its process stands for it.
    pub health: Health,
    /// What the last health check said, for people; empty without one.
    pub health_note: String,
    /// Whether it takes new work, as the ring is told.
    pub accepting: bool,
    /// Whether it is being drained, or was and is kept so by an operator; not once it was told to end.
    pub draining: bool,
    /// Why it is in maintenance; none when it is not.
    pub maintenance: Option<String>,
    /// In a group with a leader: what the election says.
    pub role: Option<Role>,
    /// In `Waiting`: what for, for people.
    pub waiting_for: Option<String>,
    /// The hooks that run now.
    pub hooks: Vec<HookView>,
    /// What stands between what is wanted of it and what runs, in order of kind.
    pub obstacles: Vec<Obstacle>,
    /// How its updates stand.
    pub update: UpdateView,
}
