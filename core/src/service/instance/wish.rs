//! The operator's wish for a service: its spec, how it is to be stopped, and whether its process still fits. It says
//! what is wanted and takes no step.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Env, bounded};
use crate::model::command::{Reply, StopHow};
use crate::model::id::RequestId;
use crate::model::mutant::mutated;
use crate::model::service::{DesiredState, ServiceSpec, Topology};
use crate::model::time::Instant;
use crate::service::event::ServiceEvent;
use crate::service::purpose::Leaving;

/// Why a process has to be replaced although its service is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stale {
    reason: &'static str,
    /// Whether there is time to drain it.
    drain: bool,
}

/// A stop that was carried out although the disk did not take it: a full disk must not keep up what fills it.
#[derive(Debug)]
struct Unstored {
    reason: String,
    /// When it is written again.
    again_at: Instant,
}

/// The operator's wish, and the changes that the process cannot follow.
#[derive(Debug)]
pub(super) struct Wish {
    spec: ServiceSpec,
    /// The spec's row is deleted: forget the service once it has no process.
    removing: bool,
    /// How the operator wants it stopped.
    how: StopHow,
    /// The spec, package or configuration has changed in a way that the process (or its preparation) cannot follow.
    stale: Option<Stale>,
    /// The commands that are answered when the process is gone, and their answers.
    requests: Vec<(RequestId, Reply)>,
    /// The disk has not taken the spec as it is here.
    unstored: Option<Unstored>,
    /// Group and topology as the last preparation had them: a process keeps its part until it is gone.
    in_force: (String, Topology),
}

/// The consequences of a new spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// A process started with the old one has to be replaced.
    pub(super) needs_restart: bool,
    /// It was not wanted before, or not this package.
    pub(super) is_start: bool,
    /// Its health is to be checked more often.
    pub(super) is_checked_sooner: bool,
}

impl Wish {
    pub(super) fn new(spec: ServiceSpec) -> Self {
        let in_force = (spec.group.clone(), spec.topology);
        Self {
            spec,
            removing: false,
            how: StopHow::default(),
            stale: None,
            requests: Vec::new(),
            unstored: None,
            in_force,
        }
    }

    pub(super) const fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    /// Whether operators want it to run.
    pub(super) fn is_up(&self) -> bool {
        self.spec.desired == DesiredState::Up && !self.removing
    }

    /// Whether its group has a leader, as far as a process of it is concerned that may still run.
    pub(super) fn has_leader(&self) -> bool {
        self.topology() == Topology::Leader
    }

    /// The relation of its group's members, as far as a process of it is concerned that may still run.
    pub(super) const fn topology(&self) -> Topology {
        self.in_force.1
    }

    /// Whether the next preparation is for another group, or for a group that has a leader where this one has none.
    pub(super) fn moves(&self) -> bool {
        self.in_force.0 != self.spec.group || self.in_force.1 != self.spec.topology
    }

    /// A process was found that the last supervisor had started in a group with or without a leader.
    pub(super) fn found(&mut self, group: &str, topology: Topology) {
        self.in_force = (String::from(group), topology);
    }

    pub(super) const fn is_removing(&self) -> bool {
        self.removing
    }

    /// Its row is deleted.
    pub(super) const fn remove(&mut self) {
        self.removing = true;
    }

    /// Takes a spec that is on disk by now.
    pub(super) fn replace(&mut self, spec: ServiceSpec) -> Replaced {
        assert_eq!(spec.name(), self.spec.name(), "a service keeps its name");
        assert!(!self.removing, "a service whose row is deleted gets no new one");
        let replaced = Replaced {
            needs_restart: needs_restart(&self.spec, &spec),
            is_start: self.spec.desired == DesiredState::Down || self.spec.ident != spec.ident,
            is_checked_sooner: self.spec.health_check_interval_ms > spec.health_check_interval_ms,
        };
        // Before a start there is nothing that could be stale, and `prepare` clears the mark in any case.
        if replaced.needs_restart {
            self.outdated("its options changed", true);
        }
        self.spec = spec;
        self.unstored = None;
        if self.is_up() {
            self.how = StopHow::default();
        }
        assert!(!replaced.needs_restart || self.stale.is_some(), "an outdated process is known to be one");
        replaced
    }

    /// Wants it down although the disk has not taken that, which is tried again then.
    pub(super) fn hold_down(&mut self, reason: &str, again_at: Instant) {
        self.spec.desired = DesiredState::Down;
        self.unstored = Some(Unstored { reason: String::from(reason), again_at });
        assert!(!self.is_up(), "a stop counts at once");
    }

    /// The disk is tried again then.
    pub(super) fn store_again_at(&mut self, at: Instant) {
        if let Some(unstored) = &mut self.unstored {
            unstored.again_at = at;
        }
    }

    /// When the spec is to be written again; none when the disk has it.
    pub(super) fn unstored_until(&self) -> Option<Instant> {
        self.unstored.as_ref().map(|unstored| unstored.again_at)
    }

    /// Why the disk has not taken the spec.
    pub(super) fn unstored_reason(&self) -> Option<&String> {
        self.unstored.as_ref().map(|unstored| &unstored.reason)
    }

    /// The process, or its preparation, no longer fits the wish. `drain` where there is time for it.
    pub(super) const fn outdated(&mut self, reason: &'static str, drain: bool) {
        self.stale = Some(Stale { reason, drain });
    }

    /// A preparation begins, which fits the wish. Whether it is for another group or topology.
    pub(super) fn renewed(&mut self) -> bool {
        self.stale = None;
        let moves = self.moves();
        self.in_force = (self.spec.group.clone(), self.spec.topology);
        moves
    }

    pub(super) const fn is_stale(&self) -> bool {
        self.stale.is_some()
    }

    /// How it is to be stopped, now that it is no longer wanted.
    pub(super) const fn stop(&mut self, how: StopHow) {
        self.how = how;
    }

    /// A later order to stop it takes nothing back, and may leave less time.
    pub(super) fn stop_sooner(&mut self, how: StopHow) {
        let shorter = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        self.how.drain &= how.drain;
        self.how.drain_timeout_ms = shorter(self.how.drain_timeout_ms, how.drain_timeout_ms);
        self.how.shutdown_timeout_ms = shorter(self.how.shutdown_timeout_ms, how.shutdown_timeout_ms);
    }

    /// Whether its stop waits for no work in flight.
    pub(super) const fn is_without_drain(&self) -> bool {
        !self.how.drain
    }

    /// How long the drain before its stop may take, where the operator said so.
    pub(super) const fn drain_timeout_ms(&self) -> Option<u64> {
        self.how.drain_timeout_ms
    }

    /// The time between the stop signal and KILL: as the command says, else the spec, else the package.
    pub(super) fn shutdown_timeout(&self, package_ms: u64) -> Duration {
        bounded(
            mutated!(
                SpecBeforeCommand,
                self.how.shutdown_timeout_ms.or(self.spec.shutdown_timeout_ms),
                self.spec.shutdown_timeout_ms.or(self.how.shutdown_timeout_ms)
            )
            .unwrap_or(package_ms),
        )
    }

    /// Why the process is to end and how; none when it is to run on.
    pub(super) fn why_stop(&self, leaving: Leaving) -> Option<(&'static str, StopHow)> {
        match leaving {
            Leaving::No => {}
            Leaving::Polite { drain } => {
                return Some(("the supervisor is leaving", StopHow { drain, ..StopHow::default() }));
            }
            Leaving::Hurried | Leaving::Killing => {
                return Some(("the supervisor is leaving", StopHow { drain: false, ..StopHow::default() }));
            }
        }
        if self.removing {
            return Some(("unloaded", self.how));
        }
        if self.spec.desired == DesiredState::Down {
            return Some(("wanted down", self.how));
        }
        assert!(self.is_up(), "a service that is neither unloaded nor wanted down is wanted up");
        let stale = self.stale?;
        Some((
            stale.reason,
            StopHow { drain: mutated!(ReplacedUndrained, stale.drain, false), ..StopHow::default() },
        ))
    }

    /// Answers `request` with this once no process is left.
    pub(super) fn answer_when_down(&mut self, request: RequestId, reply: Reply) {
        assert!(!self.is_up(), "a command waits for the end of a process that is to end");
        self.requests.push((request, reply));
    }

    /// How many commands wait for the end of the process.
    pub(super) const fn awaited(&self) -> usize {
        self.requests.len()
    }

    pub(super) const fn is_awaited(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Takes the commands that waited for the end: the process is gone, or the end is no longer wanted.
    pub(super) fn answer(&mut self, env: &mut Env<'_, '_>) {
        for (request, reply) in self.requests.drain(..) {
            env.tell(ServiceEvent::Reply(request, reply));
        }
    }
}

/// Whether a process started with `old` has to be replaced to do what `new` says. The remaining options are
/// looked up at the moment they are needed.
fn needs_restart(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    old.ident != new.ident
        || old.group != new.group
        || old.topology != new.topology
        || mutated!(BindsOfTheStart, old.binds != new.binds, false)
        || old.binding_mode != new.binding_mode
        || old.config_from != new.config_from
}
