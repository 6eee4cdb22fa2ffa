//! Moments at which a crash must do no harm. Tests end the process at each of them; otherwise nothing happens there.

/// Says that such a moment has come.
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
            // As a crash would: nothing is dropped, nothing cleaned up.
            std::process::abort();
        }
    }

    /// Ends this process at the moment of this number, from 1.
    pub(in crate::package) fn abort_at(number: u32) {
        ABORT_AT.set(number);
    }

    /// Moments that this thread has passed.
    pub(in crate::package) fn count() -> u32 {
        COUNT.get()
    }
}
