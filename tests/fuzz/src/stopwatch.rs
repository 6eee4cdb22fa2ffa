//! Measures how long the loop and one input take. What a target does depends on no clock.
#![expect(clippy::disallowed_methods, reason = "this is the place where the fuzzer reads a clock")]

use std::time::{Duration, Instant};

/// Runs from its making on.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
