//! Whether a build has proved itself, or failed. It keeps times and judges; it takes no step.

use alloc::string::String;
use core::time::Duration;

use crate::model::planted::{Bug, Planted};
use crate::model::service::{Health, ServiceState};
use crate::model::time::Instant;
use crate::model::update::Subject;

/// A build has proved itself after so long in health.
const HEALTHY_FOR_MS: u64 = 10_000;
/// A process that was not well for so long, from its first check on, speaks against its build.
const WELL_BY_MS: u64 = 120_000;

const _: () = assert!(HEALTHY_FOR_MS < WELL_BY_MS, "a proof has the time that it takes");

/// The witness of one service.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// The process that runs has been well since then.
    healthy_since: Option<Instant>,
    /// It is to be well by then.
    well_by: Option<Instant>,
}

/// The verdict on what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Open,
    /// It was well for long enough.
    Proved,
    /// It is not what it should be, and why.
    Failed(String),
}

impl Trial {
    /// The service is so now.
    pub(super) fn observe(&mut self, subject: &Subject<'_>, now: Instant) {
        if subject.state != ServiceState::Up {
            *self = Self::default();
            return;
        }
        let delay_ms = subject.health_delay_ms.min(WELL_BY_MS * 10);
        let first = self.well_by.is_none();
        if first {
            self.well_by = Some(now + Duration::from_millis(WELL_BY_MS + delay_ms));
        }
        let is_well = matches!(subject.health, Health::Ok | Health::Warning);
        self.healthy_since = is_well.then(|| self.healthy_since.unwrap_or(now));
        assert!(self.well_by.is_some(), "a process that runs has its time");
    }

    /// Another build is to run: what was seen of this one counts no longer.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The verdict changes nothing: there is no build to go back to.
    pub(super) fn overlook(&mut self) {
        self.well_by = Some(Instant::FAR_FUTURE);
    }

    /// Whether what runs has been well for long enough.
    pub(super) fn is_proved(&self, now: Instant, planted: Planted) -> bool {
        if planted.has(Bug::ProvedByRunning) {
            return self.well_by.is_some();
        }
        assert!(self.healthy_since.is_none() || self.well_by.is_some(), "only a process that runs is well");
        self.healthy_since.is_some_and(|since| since + Duration::from_millis(HEALTHY_FOR_MS) <= now)
    }

    /// The verdict now. `fault` is what the build is to blame for while the service rests after a failure.
    pub(super) fn verdict(&self, fault: Option<&String>, now: Instant, planted: Planted) -> Verdict {
        if let Some(fault) = fault {
            return Verdict::Failed(fault.clone());
        }
        if self.is_proved(now, planted) {
            return Verdict::Proved;
        }
        let is_late = self.healthy_since.is_none() && self.well_by.is_some_and(|by| by <= now);
        if is_late {
            let seconds = WELL_BY_MS / 1_000;
            return Verdict::Failed(alloc::format!("it was not well within {seconds} s of its start"));
        }
        Verdict::Open
    }

    /// When the verdict may be another one by itself.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match (self.healthy_since, self.well_by) {
            (Some(since), _) => Some(since + Duration::from_millis(HEALTHY_FOR_MS)),
            (None, by) => by,
        }
    }
}
