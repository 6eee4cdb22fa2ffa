//! The runtime's answers about a service's package, its files and its hooks. They are facts of the host; the service
//! machine decides what follows from them.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::exit_status::ExitStatus;
use crate::model::ident::PackageIdent;
use crate::model::service::{Demoted, Hook, Obstacle};

/// The runtime's findings about a package, and the files that it wrote for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The fully qualified ident that will run.
    pub ident: PackageIdent,
    /// How long a polite stop may take before KILL, in milliseconds.
    pub shutdown_timeout_ms: u64,
    /// The exported configuration, TOML text, for the service rumor.
    pub exports: Vec<u8>,
    /// The hooks that the package has.
    pub hooks: BTreeSet<Hook>,
    /// Whether the service's health can be asked: by its hook or by a check that the plan names.
    pub has_health_check: bool,
    /// Time between health checks, in milliseconds, where its operator does not say.
    pub health_interval_ms: Option<u64>,
    /// How long a process is left alone before its first health check, in milliseconds.
    pub health_delay_ms: u64,
    /// How it is drained.
    pub drain: DrainPlan,
    /// The step that its process takes when it leads no longer.
    pub demoted: Demoted,
    /// Its needs of other groups.
    pub binds: Vec<Bind>,
    /// What differs from the files that were there before.
    pub changed: Changed,
    /// The version of the group configuration in use; 0 when there is none.
    pub applied_config: u64,
    /// What the files were written in spite of.
    pub obstacles: Vec<Obstacle>,
}

impl Prepared {
    /// A package with neither hooks nor binds, freshly written.
    #[must_use]
    pub const fn new(ident: PackageIdent, shutdown_timeout_ms: u64) -> Self {
        Self {
            ident,
            shutdown_timeout_ms,
            exports: Vec::new(),
            hooks: BTreeSet::new(),
            has_health_check: false,
            health_interval_ms: None,
            health_delay_ms: 0,
            drain: DrainPlan { timeout_ms: None, inflight: false },
            demoted: Demoted::Restart,
            binds: Vec::new(),
            changed: Changed { config: false, hooks: BTreeSet::new(), files: false },
            applied_config: 0,
            obstacles: Vec::new(),
        }
    }
}

/// The result of writing a service's files again with new facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The exported configuration, TOML text.
    pub exports: Vec<u8>,
    /// What differs from the files that were there before.
    pub changed: Changed,
    /// The version of the group configuration in use; 0 when there is none.
    pub applied_config: u64,
    /// What the files were written in spite of.
    pub obstacles: Vec<Obstacle>,
}

/// Which of a service's files differ from those that were there before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// A configuration file.
    pub config: bool,
    /// These hooks.
    pub hooks: BTreeSet<Hook>,
    /// A file of the group.
    pub files: bool,
}

/// How a package wants to be drained before it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainPlan {
    /// How long draining may take, in milliseconds; none where the package does not say.
    pub timeout_ms: Option<u64>,
    /// Whether the requests in flight can be counted (`Effect::CountInflight`).
    pub inflight: bool,
}

/// A package's need of another group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The name that templates use.
    pub name: String,
    /// Whether the service works without.
    pub optional: bool,
    /// The keys that the other group has to export.
    pub exports: Vec<String>,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEnd {
    /// How its process ended, if it had one.
    pub exit: HookExit,
    /// The last line of its standard output as a number, where it is one: the answer of a suitability hook.
    pub value: Option<u64>,
}

/// How a hook's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookExit {
    /// The package has no such hook.
    Missing,
    /// By itself.
    Ended(ExitStatus),
    /// It was killed at its deadline, with all processes that it had started.
    TimedOut,
    /// It could not be started.
    Failed(String),
}

impl HookEnd {
    /// The end of a hook that does not exist.
    pub const MISSING: Self = Self { exit: HookExit::Missing, value: None };

    /// Whether the hook succeeded, or the package has none.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self.exit, HookExit::Missing | HookExit::Ended(ExitStatus::Code(0)))
    }
}
