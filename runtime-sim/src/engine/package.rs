//! How the package of a simulated service behaves: its hooks, its process, its health.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{Demoted, Health, Hook};

use crate::engine::link::Delay;

/// A package as a scenario describes it. The default is a service that starts at once, runs for ever and has no
/// hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Hooks that do their work.
    pub hooks: BTreeSet<Hook>,
    /// Hooks that never end.
    pub hanging: BTreeSet<Hook>,
    /// Hooks that fail.
    pub failing: BTreeSet<Hook>,
    /// How often each of these fails before it works; none: always.
    pub failures: Option<u32>,
    /// How long its hooks take; none: a moment.
    pub hooks_take: Option<Delay>,
    /// What its process does when it leads no longer.
    pub demoted: Demoted,
    /// How long its process takes to start; none: a moment.
    pub starts_in: Option<Delay>,
    /// How long its process takes to end when it is asked to; none: a moment.
    pub stops_in: Option<Delay>,
    /// Whether its process ignores the signal that asks it to end.
    pub ignores_stop: bool,
    /// For how long a process that it started, in a group of its own, goes on after the stop signal has ended the first
    /// one; none: it starts no other.
    pub children: Option<Delay>,
    /// How long each process runs before it ends with exit code 1; none: until it is stopped.
    pub lives: Option<Duration>,
    /// The result of its health check; none: it has no check.
    pub health: Option<Health>,
    /// How long a polite stop may take, where the spec does not say; none: the usual time.
    pub shutdown: Option<Duration>,
    /// How long draining may take, where requests in flight can be counted; none: it cannot be drained.
    pub drain: Option<Duration>,
    /// The group that it is bound to, as `name:service.group`.
    pub bind: Option<String>,
    /// Whether the group's configuration is in one of its files.
    pub configured: bool,
    /// Whether its part in a group with a leader is in one of its files.
    pub shows_part: bool,
}

impl Package {
    /// All hooks that it has.
    #[must_use]
    pub fn all_hooks(&self) -> BTreeSet<Hook> {
        self.hooks.iter().chain(&self.hanging).chain(&self.failing).copied().collect()
    }
}

/// A load balancer in front of a service. It asks each supervisor now and then whether its service takes work, and
/// sends requests to those that do, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// The service.
    pub service: String,
    /// Where it runs.
    pub hosts: Vec<crate::engine::ids::HostId>,
    /// Time between two looks at a host.
    pub check: Duration,
    /// Time between two requests.
    pub every: Duration,
}
