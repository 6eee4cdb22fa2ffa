//! The time of the input that is being handled. It must never go back, and it tells when the process stood still.

use core::time::Duration;

use crate::model::id::InputId;
use crate::model::time::{Instant, UnixTime};

/// The node's time, by the clocks that the runtime reads for it.
#[derive(Debug)]
pub(super) struct Clock {
    now: Instant,
    wall: UnixTime,
    input: InputId,
    /// When this node last asked to be woken; being woken much later means that it was not running.
    expected: Instant,
}

impl Clock {
    pub(super) const fn new(now: Instant, wall: UnixTime) -> Self {
        Self { now, wall, input: InputId(0), expected: now }
    }

    /// Now, monotonic.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Now, by the wall clock.
    pub(super) const fn wall(&self) -> UnixTime {
        self.wall
    }

    /// The input that is being handled.
    pub(super) const fn input(&self) -> InputId {
        self.input
    }

    /// Another input begins. Answers with how much later it comes than the node asked to be woken.
    pub(super) fn begin(&mut self, now: Instant, wall: UnixTime) -> Duration {
        assert!(now >= self.now, "time never goes back");
        (self.now, self.wall) = (now, wall);
        self.input = InputId(self.input.0 + 1);
        assert!(self.input > InputId(0), "inputs are counted from 1");
        now.saturating_since(self.expected)
    }

    /// Notes that the node asks to be woken then.
    pub(super) const fn expect(&mut self, at: Instant) {
        self.expected = at;
    }
}
