//! Ctrl-C and a polite signal, noticed instead of obeyed, so that the bed can remove all that it made.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM are noticed.
#[allow(unsafe_code)]
pub(crate) fn watch() {
    for what in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler stores to an atomic and does nothing else.
        let _ = unsafe { signal(what, SigHandler::Handler(note)) };
    }
}

/// Whether a signal came.
pub(crate) fn noticed() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
