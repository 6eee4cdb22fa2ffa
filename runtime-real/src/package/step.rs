//! Moments at which a crash must do no harm. Tests end the process at each of them; otherwise they do nothing.

/// Marks such a moment.
#[cfg(not(test))]
pub(super) fn reached(_: &'static str) {}

#[cfg(test)]
pub(super) use for_tests::{abort_at, count, reached};

#[cfg(test)]
mod for_tests {
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
        static ABORT_AT: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    pub(in crate::package) fn reached(_: &'static str) {
        COUNT.set(COUNT.get() + 1);
        if COUNT.get() == ABORT_AT.get() {
            // Like a crash: nothing is dropped and nothing is cleaned up.
            std::process::abort();
        }
    }

    /// Ends this process at the moment with this number, counted from 1.
    pub(in crate::package) fn abort_at(number: u32) {
        ABORT_AT.set(number);
    }

    /// How many moments this thread has passed.
    pub(in crate::package) fn count() -> u32 {
        COUNT.get()
    }
}
