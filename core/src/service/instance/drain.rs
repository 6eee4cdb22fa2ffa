//! Drains a service: it takes no new work, and the supervisor waits for requests in flight, within a bound.

use core::time::Duration;

use super::super::deadline;
use super::super::work::Work;
use super::{Drain, Env, Instance, bounded, start};
use crate::model::command::Reply;
use crate::model::id::RequestId;
use crate::model::mutant::mutated;
use crate::model::prepared::HookEnd;
use crate::model::service::{Hook, ObstacleKind};
use crate::model::time::Instant;
use crate::service::event::ServiceEvent;

impl Instance {
    /// An operator's drain: it lasts until the operator ends it.
    pub(in super::super) fn drain(
        &mut self,
        request: RequestId,
        timeout_ms: Option<u64>,
        env: &mut Env<'_, '_>,
    ) {
        if self.drain.is_none() {
            self.begin_drain(timeout_ms, env);
            self.publish(env);
        }
        if let Some(drain) = self.drain.as_mut() {
            drain.ordered(request);
        }
        assert!(self.drain.as_ref().is_some_and(Drain::is_by_operator), "an operator's drain is one");
        self.reconcile(env);
    }

    /// True when it was drained.
    pub(in super::super) fn undrain(&mut self, env: &mut Env<'_, '_>) -> bool {
        let drained = self.drain.as_ref().is_some_and(Drain::is_by_operator);
        if self.progress.is_stopping() {
            // A service that is being stopped goes on being drained for the stop.
            self.drain.iter_mut().for_each(Drain::released);
        } else {
            self.end_drain(env);
            self.publish(env);
        }
        assert!(
            !self.drain.as_ref().is_some_and(Drain::is_by_operator),
            "an operator's drain ends with the order"
        );
        drained
    }

    /// Ends the drain: the service takes work again.
    pub(super) fn end_drain(&mut self, env: &mut Env<'_, '_>) {
        self.finish_drain(env);
        self.drain = None;
        self.works.drop(Work::DrainHook);
        self.works.drop(Work::Inflight);
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The second step of a stop, unless an operator began it earlier.
    pub(super) fn drain_before_stop(&mut self, env: &Env<'_, '_>) {
        if self.drain.is_none() {
            self.begin_drain(self.wish.drain_timeout_ms(), env);
        }
    }

    /// A drain that is under way already lasts no longer than the stop allows.
    pub(super) fn shorten_drain(&mut self, timeout_ms: Option<u64>, env: &Env<'_, '_>) {
        if let (Some(drain), Some(ms)) = (self.drain.as_mut(), timeout_ms) {
            mutated!(DrainNotShortened, drain.shorten(env.now() + bounded(ms)), ());
        }
    }

    fn begin_drain(&mut self, timeout_ms: Option<u64>, env: &Env<'_, '_>) {
        assert!(self.drain.is_none(), "a service is drained once at a time");
        let running = self.progress.pid().is_some();
        let hook = running && self.files.has_hook(Hook::Drain);
        let count = running && self.files.package().is_some_and(|package| package.drain.inflight);
        let ms = if running { self.drain_ms(timeout_ms) } else { 0 };
        self.drain = Some(Drain::new(env.now(), ms, hook, count));
        assert!(!count || running, "only a process has requests in flight");
        if hook && ms > 0 {
            self.works.want_now(Work::DrainHook, env.now());
        }
        if count && ms > 0 {
            self.works.want_now(Work::Inflight, env.now());
        }
    }

    /// How long a drain of a process takes at most.
    fn drain_ms(&self, timeout_ms: Option<u64>) -> u64 {
        let plan = self.files.package().map(|p| p.drain).unwrap_or_default();
        let has_means = plan.inflight || self.files.has_hook(Hook::Drain);
        timeout_ms.or(plan.timeout_ms).unwrap_or(if has_means { deadline::DRAIN_MS } else { 0 })
    }

    /// The same for the drain of a stop: one that an operator began has begun already.
    pub(super) fn drain_bound_ms(&self, timeout_ms: Option<u64>, env: &Env<'_, '_>) -> u64 {
        let begun = self.drain.as_ref().map(|drain| drain.left_ms(env.now()));
        begun.unwrap_or_else(|| self.drain_ms(timeout_ms))
    }

    /// How long the drain hook may take.
    pub(super) fn drain_left_ms(&self, env: &Env<'_, '_>) -> u64 {
        self.drain.as_ref().map_or(1, |drain| drain.left_ms(env.now()))
    }

    pub(super) fn drain_hook_ended(&mut self, end: &HookEnd, env: &mut Env<'_, '_>) {
        if let Some(reason) = start::failure_of(Hook::Drain, end) {
            self.obstruct(ObstacleKind::Hook, Some(Hook::Drain), &reason, env);
            self.tries.note_error(reason);
        }
        assert!(self.files.has_hook(Hook::Drain), "only a hook that a package has is run");
        self.works.succeeded(Work::DrainHook);
        if let Some(drain) = self.drain.as_mut() {
            drain.hook_ended();
        }
        self.go_on_draining(env);
    }

    pub(super) fn inflight_counted(&mut self, count: Option<u64>, env: &Env<'_, '_>) {
        self.works.succeeded(Work::Inflight);
        let Some(drain) = self.drain.as_mut() else { return };
        if drain.counted(count) {
            self.works.want(Work::Inflight, env.now() + Duration::from_millis(deadline::INFLIGHT_MS));
        }
    }

    pub(super) fn is_drained(&self, env: &Env<'_, '_>) -> bool {
        self.drain.as_ref().is_none_or(|drain| drain.is_over(env.now()))
    }

    /// Ends an operator's drain when it is over; the service stays drained.
    pub(super) fn go_on_draining(&mut self, env: &mut Env<'_, '_>) {
        if self.drain.is_some() && self.progress.is_stopping() {
            return;
        }
        if self.is_drained(env) {
            self.finish_drain(env);
            assert!(self.drain_ends().is_none(), "a drain that is over does not end again");
        }
    }

    /// The commands that waited for the drain are answered.
    pub(super) fn finish_drain(&mut self, env: &mut Env<'_, '_>) {
        let Some(drain) = self.drain.as_mut() else { return };
        for request in drain.finish() {
            env.tell(ServiceEvent::Reply(request, Reply::Done));
        }
    }

    /// The process is gone: a drain that was a step of its stop is over with it.
    pub(super) fn process_drained(&mut self, env: &mut Env<'_, '_>) {
        self.finish_drain(env);
        if mutated!(DrainOutlivesTheProcess, self.drain.as_ref().is_some_and(|d| !d.is_by_operator()), false)
        {
            self.drain = None;
        }
        assert!(
            self.drain.as_ref().is_none_or(Drain::is_by_operator),
            "only an operator's drain outlives a process"
        );
    }

    /// When a drain ends by itself.
    pub(super) fn drain_ends(&self) -> Option<Instant> {
        self.drain.as_ref().and_then(Drain::ends)
    }
}
