//! The last answers of a service's health check and suitability hook, and the time until the next check.

use alloc::string::String;
use core::time::Duration;

use super::super::deadline;
use crate::model::mutant::mutated;
use crate::model::prepared::HookEnd;
use crate::model::rng::Rng;
use crate::model::service::Health;
use crate::model::time::Instant;

/// The answers of the check and of the suitability hook.
#[derive(Debug)]
pub(super) struct Checks {
    /// The last health check of this process.
    last: Option<Health>,
    /// Checks of this process before the first that found it well; none once there was one.
    warming_up: Option<u32>,
    /// No check of this process begins before; none where its supervisor found it running.
    not_before: Option<Instant>,
    /// What the last check said, for people.
    note: String,
    suitability: Option<u64>,
}

impl Checks {
    pub(super) const fn new() -> Self {
        Self { last: None, warming_up: Some(0), not_before: None, note: String::new(), suitability: None }
    }

    /// Another process has begun, of which no check has ended yet. How well it would lead outlives the process.
    pub(super) fn forget_process(&mut self) {
        self.last = mutated!(HealthOutlivesTheProcess, None, self.last);
        (self.warming_up, self.not_before) = (Some(0), None);
        self.note.clear();
    }

    /// The process is the one that the last supervisor has checked: what that found holds until a check says otherwise.
    pub(super) fn inherit(&mut self, health: Option<Health>) {
        assert!(self.last.is_none(), "what this supervisor found is newer");
        self.last = health;
    }

    /// A process has begun, which is left alone until then.
    pub(super) const fn begin_at(&mut self, first: Instant) {
        self.not_before = Some(first);
    }

    /// The time for a check that is wanted now.
    pub(super) fn due(&self, now: Instant) -> Instant {
        self.not_before.map_or(now, |first| first.max(now))
    }

    /// The finding of the last check; unknown before the first.
    pub(super) fn health(&self) -> Health {
        self.last.unwrap_or_default()
    }

    /// What the last check said, for people.
    pub(super) fn note(&self) -> &str {
        assert!(self.last.is_some() || self.note.is_empty(), "a check's text comes with its finding");
        &self.note
    }

    /// A health check has ended. Answers with the time until the next.
    ///
    /// The first that finds the service well is followed by one at a random time, so that services that were started
    /// together are not checked together. Until then the next one comes soon: a process that was just started answers
    /// in a moment, and clients wait for that before they send it work.
    pub(super) fn checked(
        &mut self,
        health: Health,
        note: &str,
        interval: Duration,
        rng: &mut Rng,
    ) -> Duration {
        let before = self.warming_up;
        self.warming_up = before.filter(|_| health != Health::Ok).map(|checks| checks.saturating_add(1));
        self.last = Some(health);
        self.note = String::from(note);
        let wait = match health {
            Health::Ok if before.is_some() => {
                let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                let first = rng.between(deadline::HEALTH_INTERVAL_MS_MIN, ms);
                Duration::from_millis(mutated!(CheckedTogether, first, ms))
            }
            Health::Ok => interval,
            Health::Warning | Health::Critical | Health::Unknown => {
                let soon = before.map(|checks| deadline::WARM_UP_INTERVAL_MS << checks.min(16));
                let ms = soon.unwrap_or(u64::MAX).min(deadline::UNWELL_INTERVAL_MS);
                mutated!(IllCheckedRarely, interval.min(Duration::from_millis(ms)), interval)
            }
        };
        assert!(wait <= interval, "a check never comes later than the operator wants");
        assert!(!wait.is_zero(), "checks follow each other with a pause");
        wait
    }

    /// The suitability hook has ended. A hook that fails makes the service as unsuitable as possible.
    pub(super) fn asked(&mut self, end: &HookEnd) {
        self.suitability = Some(if end.is_ok() { end.value.unwrap_or_default() } else { 0 });
    }

    /// The answer of the suitability hook; none before the first.
    pub(super) const fn suitability(&self) -> Option<u64> {
        self.suitability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_were_started_together_are_not_checked_together() {
        let interval = Duration::from_secs(30);
        let mut waits: alloc::vec::Vec<Duration> = (0..20)
            .map(|n| {
                let (mut checks, mut rng) = (Checks::new(), Rng::from_seed([n; 32]));
                let first = checks.checked(Health::Ok, "", interval, &mut rng);
                assert_eq!(checks.checked(Health::Ok, "", interval, &mut rng), interval, "then regularly");
                first
            })
            .collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() >= 18 && waits.iter().all(|wait| *wait <= interval), "{waits:?}");
    }
}
