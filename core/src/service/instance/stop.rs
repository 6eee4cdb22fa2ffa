//! From running to down: the ring is told, work in flight is waited for, the process is signalled.

use super::super::deadline;
use super::{Env, Instance, Phase, bounded};
use crate::command::StopHow;
use crate::io::{Effect, StopSignal};
use crate::planted::Bug;
use crate::service::{DesiredState, Leaving, Purpose};
use crate::time::Instant;

use core::time::Duration;

/// How far the end of a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The ring is being told that it takes no new work.
    Announcing { until: Instant },
    /// What is in flight is waited for.
    Draining,
    /// It was signalled. KILL follows at the deadline; none when it was sent.
    Signalled { kill_at: Option<Instant> },
}

impl Instance {
    /// Why the process is to end and how; none when it is to run on.
    pub(super) fn why_stop(&self, env: &Env<'_>) -> Option<(&'static str, StopHow)> {
        if let Leaving::Polite { drain } = env.leaving {
            return Some(("the supervisor is leaving", StopHow { drain, ..StopHow::default() }));
        }
        if env.leaving != Leaving::No {
            return Some(("the supervisor is leaving", StopHow { drain: false, ..StopHow::default() }));
        }
        if self.removing {
            return Some(("unloaded", self.how));
        }
        if self.spec.desired == DesiredState::Down {
            return Some(("wanted down", self.how));
        }
        let stale = self.stale?;
        Some((stale.reason, StopHow { drain: stale.drain, ..StopHow::default() }))
    }

    /// The ring hears of it before the process does.
    pub(super) fn begin_stop(&mut self, pid: u32, reason: &str, how: StopHow, env: &mut Env<'_>) {
        self.how = how;
        if self.inherited.is_some() {
            // What the last supervisor said of it would stand until its process is gone.
            self.retract(env);
        }
        let announcing = how.drain && self.announced.as_ref().is_some_and(|a| a.initialized);
        if !announcing || env.planted.has(Bug::SignalUnannounced) {
            return self.signal_stop(pid, reason, env);
        }
        let until = env.now() + Duration::from_millis(deadline::ANNOUNCE_MS);
        self.enter(Phase::Stopping { pid, step: Step::Announcing { until } }, reason, env);
        self.shorten_drain(how.drain_timeout_ms, env);
    }

    /// Takes the steps that are due.
    pub(super) fn go_on_stopping(&mut self, env: &mut Env<'_>) {
        let Phase::Stopping { pid, step } = self.phase else { return };
        let hurried = matches!(env.leaving, Leaving::Hurried | Leaving::Killing);
        match step {
            Step::Announcing { until }
                if hurried || until <= env.now() || env.at.around.is_told(&self.group) =>
            {
                self.phase = Phase::Stopping { pid, step: Step::Draining };
                if !hurried {
                    self.drain_before_stop(env);
                }
                self.go_on_stopping(env);
            }
            Step::Draining if hurried || self.is_drained(env) => {
                self.finish_drain(env);
                self.signal_stop(pid, "drained", env);
                self.go_on_stopping(env);
            }
            Step::Signalled { kill_at: Some(at) } if at <= env.now() || env.leaving == Leaving::Killing => {
                self.phase = Phase::Stopping { pid, step: Step::Signalled { kill_at: None } };
                self.signal(pid, StopSignal::Kill, env);
            }
            _ => {}
        }
    }

    pub(super) fn step_due(&self, step: Step) -> Option<Instant> {
        match step {
            Step::Announcing { until } => Some(until),
            Step::Draining => self.drain_ends(),
            Step::Signalled { kill_at } => kill_at,
        }
    }

    /// Whether it waits for the ring to be told.
    pub(in super::super) fn is_announcing(&self) -> bool {
        matches!(self.phase, Phase::Stopping { step: Step::Announcing { .. }, .. })
    }

    fn signal_stop(&mut self, pid: u32, reason: &str, env: &mut Env<'_>) {
        let kill = env.leaving == Leaving::Killing;
        let kill_at = (!kill).then(|| env.now() + self.shutdown_timeout());
        self.enter(Phase::Stopping { pid, step: Step::Signalled { kill_at } }, reason, env);
        self.signal(pid, if kill { StopSignal::Kill } else { StopSignal::Stop }, env);
        let is_replaced = self.is_wanted(env);
        if is_replaced && env.planted.has(Bug::StartBeforeExit) {
            self.prepare("its options changed", env);
        }
    }

    /// As the command says, else the spec, else the package.
    fn shutdown_timeout(&self) -> Duration {
        let prepared = self.prepared.as_ref().map_or(deadline::SHUTDOWN_MS, |p| p.shutdown_timeout_ms);
        bounded(self.how.shutdown_timeout_ms.or(self.spec.shutdown_timeout_ms).unwrap_or(prepared))
    }

    fn signal(&self, pid: u32, signal: StopSignal, env: &mut Env<'_>) {
        let effect = Effect::Signal { service: self.name.clone(), pid, signal };
        env.want(&self.name, Purpose::Signal, effect);
    }
}
