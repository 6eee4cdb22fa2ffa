//! The steps from running to down: telling the ring, waiting for work in flight, signalling the process. Each has a
//! bound, so that a stop ends.

use core::time::Duration;

use super::super::deadline;
use super::{Env, Instance, Phase, Step};
use crate::model::command::{Reply, StopHow};
use crate::model::id::RequestId;
use crate::model::io::{Effect, StopSignal};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::service::DesiredState;
use crate::model::time::Instant;
use crate::service::purpose::{Leaving, Purpose};

impl Instance {
    /// An operator wants another process in the place of this one, or another start in the place of one under way.
    pub(in super::super) fn begin_anew(&mut self) {
        assert!(self.spec().desired == DesiredState::Up, "only what is wanted up is started again");
        self.wish.outdated("an operator restarts it", true);
    }

    /// The ring hears of it before the process does.
    pub(super) fn begin_stop(&mut self, pid: u32, reason: &str, how: StopHow, env: &mut Env<'_, '_>) {
        assert!(self.progress.has_process(), "only a process is stopped");
        assert!(!self.progress.is_stopping(), "a stop begins once");
        self.wish.stop(how);
        // The ring believes what was announced, be it by the last supervisor.
        let announcing = how.drain && (self.told.is_initialized() || self.told.has_inherited());
        if mutated!(InheritedStands, self.told.has_inherited(), false) {
            // The last supervisor's announcement would otherwise stand until the process is gone.
            self.told.retract(env);
        }
        let drain_ms = announcing.then(|| self.drain_bound_ms(how.drain_timeout_ms, env));
        self.pause_lead(drain_ms, env);
        if !announcing || env.planted.has(Bug::SignalUnannounced) {
            return self.signal_stop(pid, reason, env);
        }
        let until = env.now() + Duration::from_millis(deadline::ANNOUNCE_MS);
        self.enter(Phase::Stopping { pid, step: Step::Announcing { until } }, reason, env);
        self.shorten_drain(how.drain_timeout_ms, env);
    }

    /// What the disk did not take is written again then.
    pub(in super::super) fn store_again_at(&mut self, at: Instant) {
        self.wish.store_again_at(at);
    }

    /// How many commands wait until the service is down.
    pub(in super::super) const fn awaited(&self) -> usize {
        self.wish.awaited()
    }

    /// Another order to stop what is on its way down: where it leaves less time, it is obeyed, and answered when the
    /// service is down.
    pub(in super::super) fn stop_sooner(&mut self, how: StopHow, request: RequestId, env: &mut Env<'_, '_>) {
        self.wish.stop_sooner(how);
        self.wish.answer_when_down(request, Reply::Done);
        self.shorten_drain(how.drain_timeout_ms, env);
        if let Phase::Stopping { step: Step::Signalled { kill_at: Some(at) }, .. } = self.progress.phase() {
            let kill_at = env.now() + self.shutdown_timeout();
            if kill_at < at {
                self.progress.advance(Step::Signalled { kill_at: Some(kill_at) });
            }
        }
    }

    /// Takes the steps that are due.
    pub(super) fn go_on_stopping(&mut self, env: &mut Env<'_, '_>) {
        let Phase::Stopping { pid, step } = self.progress.phase() else { return };
        // A leader whose lead is gone is killed at its deadline: what is left of the time belongs to its shutdown.
        let hurried = (env.leaving >= mutated!(SecondSignalIgnored, Leaving::Hurried, Leaving::Killing))
            || self.wish.is_without_drain()
            || self.has_lost_lead();
        match step {
            Step::Announcing { until }
                if hurried
                    || until <= env.now()
                    || mutated!(ToldRingIsAwaited, self.is_told(env), false)
                    || env.planted.has(Bug::SignalBeforeTold) =>
            {
                self.progress.advance(Step::Draining);
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
            Step::Signalled { kill_at: Some(at) }
                if mutated!(NeverKilled, at <= env.now(), false) || env.leaving == Leaving::Killing =>
            {
                self.progress.advance(Step::Signalled { kill_at: None });
                self.signal(pid, StopSignal::Kill, env);
            }
            // The deadline has not come, or the KILL was sent.
            Step::Announcing { .. } | Step::Draining | Step::Signalled { .. } => {}
        }
    }

    /// Whether the ring knows. What this very step says of the service is not in the ring's hands yet; where no other member
    /// is alive, there is none to wait for.
    fn is_told(&self, env: &Env<'_, '_>) -> bool {
        env.around.is_alone() || !env.outbox.is_telling(&self.group) && env.around.is_told(&self.group)
    }

    /// Whether the stop waits until the ring knows.
    pub(in super::super) fn is_announcing(&self) -> bool {
        matches!(self.progress.phase(), Phase::Stopping { step: Step::Announcing { .. }, .. })
    }

    /// Ends the hooks that an order has made pointless: a start that is no longer wanted, and with a second order to leave
    /// what follows a stop. The hooks beside a process end with its signal.
    pub(super) fn end_hooks(&mut self, env: &mut Env<'_, '_>) {
        if env.leaving == Leaving::Killing {
            // They end with the supervisor, which waits for none of them.
            self.hooks.forget();
        }
        let is_wanted = self.is_wanted(env);
        let is_pointless = match self.progress.phase() {
            Phase::Preparing | Phase::Initializing => !is_wanted || self.wish.is_stale(),
            Phase::AfterStop { .. } => env.leaving >= Leaving::Hurried,
            Phase::Spawning { .. } | Phase::Running { .. } | Phase::Stopping { .. } => false,
            Phase::New | Phase::Idle | Phase::Failed | Phase::Backoff { .. } | Phase::Waiting => !is_wanted,
        };
        let prepares = self.progress.phase() == Phase::Preparing && !self.files.is_writing();
        if is_pointless && (self.hooks.tell() | (prepares && self.hooks.tell_preparing())) {
            assert!(!self.progress.has_process(), "what runs beside a process ends with its signal");
            let effect = Effect::EndHooks { service: self.name.clone() };
            env.want(&self.name, Purpose::EndHooks, effect);
        }
    }

    fn signal_stop(&mut self, pid: u32, reason: &str, env: &mut Env<'_, '_>) {
        let kill = env.leaving == Leaving::Killing;
        let kill_at = (!kill).then(|| env.now() + self.shutdown_timeout());
        assert!(kill_at.is_some() != kill, "a process that is not killed at once has a deadline");
        self.enter(Phase::Stopping { pid, step: Step::Signalled { kill_at } }, reason, env);
        self.hooks.tell();
        self.signal(pid, if kill { StopSignal::Kill } else { StopSignal::Stop }, env);
        let is_replaced = self.is_wanted(env);
        if is_replaced && env.planted.has(Bug::StartBeforeExit) {
            self.prepare("its options changed", env);
        }
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        let package_ms = self.files.shutdown_timeout_ms().unwrap_or(deadline::SHUTDOWN_MS);
        self.wish.shutdown_timeout(package_ms)
    }

    fn signal(&self, pid: u32, signal: StopSignal, env: &mut Env<'_, '_>) {
        assert!(self.progress.pid() == Some(pid), "only the process of this service is signalled");
        let effect = Effect::Signal { service: self.name.clone(), pid, signal };
        env.want(&self.name, Purpose::Signal, effect);
    }
}
