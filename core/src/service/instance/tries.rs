//! Counts a service's failures and restarts, and says how long it rests before the next try or that the supervisor
//! gives up.

use alloc::string::String;
use core::time::Duration;

use super::super::backoff::Backoff;
use crate::model::exit_status::ExitStatus;
use crate::model::mutant::mutated;
use crate::model::rng::Rng;

/// The failures of a service, and its restarts.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// In a row.
    failures: u32,
    restarts: u32,
    /// A process has ended since the last start that counted.
    has_ended: bool,
    last_exit: Option<ExitStatus>,
    last_error: Option<String>,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another try, after this time.
    Wait(Duration),
    /// No try any more, after so many failures in a row.
    GiveUp {
        /// How many.
        failures: u32,
    },
}

impl Tries {
    /// A process is taken over whose service had been restarted so often.
    pub(super) const fn adopt(&mut self, restarts: u32) {
        self.restarts = restarts;
    }

    /// An operator's start: no memory of failures.
    pub(super) fn forgive(&mut self) {
        self.failures = mutated!(StartForgivesNothing, 0, self.failures);
        (self.restarts, self.has_ended) = (0, false);
    }

    /// The failures were those of another configuration, package or role, and do not count any more.
    pub(super) const fn forget_failures(&mut self) {
        self.failures = 0;
    }

    /// A start or a process has failed.
    pub(super) fn failed(&mut self, backoff: &Backoff, rng: &mut Rng) -> Next {
        self.failures = self.failures.saturating_add(1);
        assert!(self.failures > 0, "a failure counts");
        if backoff.is_hopeless(self.failures) {
            return Next::GiveUp { failures: self.failures };
        }
        Next::Wait(backoff.wait(self.failures, rng))
    }

    /// The wait is over and it is tried again, which counts as a restart when a process had ended. A start that came to no
    /// process counts for nothing.
    pub(super) const fn again(&mut self) {
        if self.failures > 0 && self.has_ended {
            self.restarts = self.restarts.saturating_add(1);
            self.has_ended = false;
        }
    }

    /// The process ended. `ran` is how long it was up; none when it never was.
    pub(super) fn exited(&mut self, status: ExitStatus, ran: Option<Duration>, backoff: &Backoff) {
        if ran
            .filter(|_| mutated!(FailuresNeverForgotten, true, false))
            .is_some_and(|ran| mutated!(BackoffResetTooEarly, backoff.is_recovered(ran), true))
        {
            self.failures = 0;
        }
        self.last_exit = Some(status);
        self.has_ended = true;
    }

    pub(super) fn note_error(&mut self, reason: String) {
        self.last_error = Some(reason);
    }

    pub(super) fn clear_error(&mut self) {
        self.last_error = None;
    }

    pub(super) const fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(super) const fn last_exit(&self) -> Option<ExitStatus> {
        self.last_exit
    }

    pub(super) const fn last_error(&self) -> Option<&String> {
        self.last_error.as_ref()
    }
}
