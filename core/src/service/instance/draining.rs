//! The state of a drain that was begun: its hook, its count of requests in flight, and its end. It is data for `drain`,
//! which asks for the effects.
//!
//! A drain is over when the drain hook has ended and no request is in flight any more, as far as the package has means
//! to say so; a package without such means is given its whole drain timeout, which then is a plain wait. Being idle
//! counts only some time after the announcement: clients look for another server only now and then.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::deadline;
use super::{bounded, ms_until};
use crate::model::id::RequestId;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// A drain that was begun.
#[derive(Debug)]
pub(super) struct Drain {
    /// It is over then at the latest.
    until: Instant,
    /// Being idle counts from then on.
    linger_until: Instant,
    /// None: the package has no drain hook.
    hook_ended: Option<bool>,
    /// None: the package cannot count requests in flight.
    idle: Option<bool>,
    over: bool,
    /// An operator wants it, so it lasts until an operator ends it.
    by_operator: bool,
    /// The commands that are answered when it is over.
    requests: Vec<RequestId>,
}

impl Drain {
    /// Begins a drain of so many milliseconds at most, with a drain hook and with a count of requests in flight as far
    /// as the package has them.
    pub(super) fn new(now: Instant, ms: u64, hook: bool, count: bool) -> Self {
        let linger = Duration::from_millis((ms / deadline::LINGER_DIVISOR).min(deadline::LINGER_MS_MAX));
        let drain = Self {
            until: now + bounded(ms),
            linger_until: now + linger,
            hook_ended: hook.then_some(false),
            idle: count.then_some(false),
            over: false,
            by_operator: false,
            requests: Vec::new(),
        };
        assert!(drain.linger_until <= drain.until, "a drain does not end before being idle counts");
        drain
    }

    /// An operator wants it, and is told when it is over.
    pub(super) fn ordered(&mut self, request: RequestId) {
        self.requests.push(request);
        self.by_operator = true;
    }

    /// The operator wants it no longer.
    pub(super) const fn released(&mut self) {
        self.by_operator = false;
    }

    pub(super) const fn is_by_operator(&self) -> bool {
        self.by_operator
    }

    /// Bounds the drain by the deadline of a stop.
    pub(super) fn shorten(&mut self, until: Instant) {
        self.until = self.until.min(until);
        assert!(self.until <= until, "a stop waits no longer than it says");
    }

    /// How long its hook may take.
    pub(super) fn left_ms(&self, now: Instant) -> u64 {
        ms_until(self.until, now)
    }

    pub(super) const fn hook_ended(&mut self) {
        self.hook_ended = Some(true);
    }

    /// Takes the count of requests in flight; none when the service cannot say, and the drain is then a plain wait.
    /// True when the supervisor is to count again.
    pub(super) fn counted(&mut self, count: Option<u64>) -> bool {
        assert!(self.idle.is_some(), "requests are counted only where the package can");
        self.idle = Some(mutated!(BusyCountsAsIdle, count == Some(0), count.is_some()));
        !self.over
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        let said = self.hook_ended.is_some() || self.idle.is_some();
        let hook = self.hook_ended.unwrap_or(true);
        let idle =
            self.idle.is_none_or(|idle| idle && now >= mutated!(IdleCountsAtOnce, self.linger_until, now));
        self.over
            || now >= self.until
            || (said && hook && mutated!(HookEndsTheDrain, idle, self.hook_ended == Some(true) || idle))
    }

    /// Counts as over from now on. Answers with the commands that waited for it.
    pub(super) fn finish(&mut self) -> Vec<RequestId> {
        self.over = true;
        assert!(self.ends().is_none(), "a drain that is over does not end again");
        core::mem::take(&mut self.requests)
    }

    /// When it ends by itself; none when it is over.
    pub(super) fn ends(&self) -> Option<Instant> {
        (!self.over).then_some(self.until)
    }
}
