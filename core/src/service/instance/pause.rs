//! The time in which a leader's service does not serve because its supervisor wants so: it is replaced or stopped in
//! order. The lead outlasts it within bounds. It is data; `stop` and `start` take the steps.

use core::time::Duration;

use super::super::deadline;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// How far the pause of a leader's service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The old tree of processes is to be gone by then.
    Ending { by: Instant },
    /// The old tree is gone; the service is well again by then.
    Starting { by: Instant },
    /// It took too long.
    Overdue,
}

impl Pause {
    /// The service is told to end, and its drain and shutdown may take so long.
    pub(super) fn ending(now: Instant, drain: Duration, shutdown: Duration) -> Self {
        let by = now
            + Duration::from_millis(deadline::ANNOUNCE_MS)
            + mutated!(DrainNotCounted, drain, Duration::ZERO)
            + shutdown;
        Self::Ending { by: by + Duration::from_millis(deadline::ORDERED_STOP_MS) }
    }

    /// The old tree is gone, and another is started.
    pub(super) fn starting(now: Instant) -> Self {
        Self::Starting {
            by: now + Duration::from_millis(deadline::RESTARTED_LEAD_MS) * mutated!(LeadKeptTooLong, 1, 6),
        }
    }

    /// When it has taken too long.
    pub(super) const fn poll_timeout(self) -> Option<Instant> {
        match self {
            Self::Ending { by } | Self::Starting { by } => Some(by),
            Self::Overdue => None,
        }
    }

    /// The same at this time.
    pub(super) fn at(self, now: Instant) -> Self {
        let pause = if self.poll_timeout().is_some_and(|by| by <= now) { Self::Overdue } else { self };
        assert!(
            pause.poll_timeout().is_none_or(|by| by > now),
            "a time that has come is waited for no longer"
        );
        pause
    }
}
