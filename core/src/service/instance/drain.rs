//! Draining: the service takes no new work, and what is in flight is waited for, within a bound.
//!
//! It is over when the drain hook has ended and nothing is in flight any more, as far as the package has means to
//! say so; a package without any is given its whole drain timeout, which then is a plain wait. Being idle counts only
//! some time after the announcement: those who send requests look only now and then.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::deadline;
use super::super::spec::Hook;
use super::super::work::Work;
use super::{Env, Instance, Phase, bounded, start};
use crate::command::Reply;
use crate::id::RequestId;
use crate::prepared::HookEnd;
use crate::service::ServiceEvent;
use crate::time::Instant;

/// A drain that was begun.
#[derive(Debug)]
pub(super) struct Drain {
    /// It is over then at the latest.
    until: Instant,
    /// Being idle counts from then on.
    linger_until: Instant,
    /// None: the package has no drain hook.
    hook_ended: Option<bool>,
    /// None: nobody can count what is in flight.
    idle: Option<bool>,
    over: bool,
    /// An operator wants it, so it lasts until an operator ends it.
    by_operator: bool,
    /// Who is told when it is over.
    requests: Vec<RequestId>,
}

impl Instance {
    /// An operator's drain: it lasts until the operator ends it.
    pub(in super::super) fn drain(&mut self, request: RequestId, timeout_ms: Option<u64>, env: &mut Env<'_>) {
        if self.drain.is_none() {
            self.begin_drain(timeout_ms, env);
            self.publish(env);
        }
        if let Some(drain) = self.drain.as_mut() {
            drain.requests.push(request);
            drain.by_operator = true;
        }
        self.reconcile(env);
    }

    /// True when it was drained.
    pub(in super::super) fn undrain(&mut self, env: &mut Env<'_>) -> bool {
        let drained = self.drain.as_ref().is_some_and(|drain| drain.by_operator);
        if matches!(self.phase, Phase::Stopping { .. }) {
            // What is being stopped goes on being drained for that.
            self.drain.iter_mut().for_each(|drain| drain.by_operator = false);
        } else {
            self.end_drain(env);
            self.publish(env);
        }
        drained
    }

    /// It is drained no longer.
    pub(super) fn end_drain(&mut self, env: &mut Env<'_>) {
        self.finish_drain(env);
        self.drain = None;
        self.works.drop(Work::DrainHook);
        self.works.drop(Work::Inflight);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The second step of a stop, unless an operator began it earlier.
    pub(super) fn drain_before_stop(&mut self, env: &mut Env<'_>) {
        if self.drain.is_none() {
            self.begin_drain(self.how.drain_timeout_ms, env);
        }
    }

    /// What is being drained already is not waited for longer than the stop says.
    pub(super) fn shorten_drain(&mut self, timeout_ms: Option<u64>, env: &Env<'_>) {
        if let (Some(drain), Some(ms)) = (self.drain.as_mut(), timeout_ms) {
            drain.until = drain.until.min(env.now() + bounded(ms));
        }
    }

    fn begin_drain(&mut self, timeout_ms: Option<u64>, env: &Env<'_>) {
        let running = matches!(self.phase, Phase::Running { .. } | Phase::Stopping { .. });
        let plan = self.prepared.as_ref().map(|p| p.drain).unwrap_or_default();
        let hook = running && self.has_hook(Hook::Drain);
        let count = running && plan.inflight;
        let default_ms = if hook || count { deadline::DRAIN_MS } else { 0 };
        let ms = timeout_ms.or(plan.timeout_ms).unwrap_or(default_ms);
        let ms = if running { ms } else { 0 };
        let timeout = bounded(ms);
        let linger = Duration::from_millis((ms / deadline::LINGER_DIVISOR).min(deadline::LINGER_MS_MAX));
        self.drain = Some(Drain {
            until: env.now() + timeout,
            linger_until: env.now() + linger,
            hook_ended: hook.then_some(false),
            idle: count.then_some(false),
            over: false,
            by_operator: false,
            requests: Vec::new(),
        });
        if hook && ms > 0 {
            self.works.want_now(Work::DrainHook, env.now());
        }
        if count && ms > 0 {
            self.works.want_now(Work::Inflight, env.now());
        }
    }

    /// How long the drain hook may take.
    pub(super) fn drain_left_ms(&self, env: &Env<'_>) -> u64 {
        self.drain.as_ref().map_or(1, |drain| super::ms_until(drain.until, env.now()))
    }

    pub(super) fn drain_hook_ended(&mut self, end: &HookEnd, env: &mut Env<'_>) {
        if let Some(reason) = start::failure_of(Hook::Drain, end) {
            self.last_error = Some(reason);
        }
        self.works.succeeded(Work::DrainHook);
        if let Some(drain) = self.drain.as_mut() {
            drain.hook_ended = Some(true);
        }
        self.go_on_draining(env);
    }

    pub(super) fn inflight_counted(&mut self, count: Option<u64>, env: &mut Env<'_>) {
        self.works.succeeded(Work::Inflight);
        let Some(drain) = self.drain.as_mut() else { return };
        // Nobody can say: then it is a plain wait.
        drain.idle = Some(count == Some(0));
        if !drain.over {
            self.works.want(Work::Inflight, env.now() + Duration::from_millis(deadline::INFLIGHT_MS));
        }
    }

    pub(super) fn is_drained(&self, env: &Env<'_>) -> bool {
        let Some(drain) = &self.drain else { return true };
        let now = env.now();
        let said = drain.hook_ended.is_some() || drain.idle.is_some();
        let hook = drain.hook_ended.unwrap_or(true);
        let idle = drain.idle.is_none_or(|idle| idle && now >= drain.linger_until);
        drain.over || now >= drain.until || (said && hook && idle)
    }

    /// Ends an operator's drain when it is over; the service stays drained.
    pub(super) fn go_on_draining(&mut self, env: &mut Env<'_>) {
        if self.drain.is_some() && matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        if self.is_drained(env) {
            self.finish_drain(env);
        }
    }

    /// Whoever waited for the drain waits no longer.
    pub(super) fn finish_drain(&mut self, env: &mut Env<'_>) {
        let Some(drain) = self.drain.as_mut() else { return };
        drain.over = true;
        for request in core::mem::take(&mut drain.requests) {
            env.tell(ServiceEvent::Reply(request, Reply::Done));
        }
    }

    /// The process is gone: a drain that only led to its end is over with it.
    pub(super) fn process_drained(&mut self, env: &mut Env<'_>) {
        self.finish_drain(env);
        if self.drain.as_ref().is_some_and(|drain| !drain.by_operator) {
            self.drain = None;
        }
    }

    /// When a drain ends by itself.
    pub(super) fn drain_ends(&self) -> Option<Instant> {
        self.drain.as_ref().filter(|drain| !drain.over).map(|drain| drain.until)
    }

    pub(super) fn drain_due(&self) -> Option<Instant> {
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        self.drain_ends().filter(|_| !stopping)
    }
}
