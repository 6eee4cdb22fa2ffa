//! Asks how the service is and how well it would lead its group, and tells the ring. A bad answer starts and stops no
//! process.

use core::time::Duration;

use super::super::deadline;
use super::super::work::Work;
use super::{Env, Instance};
use crate::model::election::{Fitness, Readiness};
use crate::model::mutant::mutated;
use crate::model::prepared::{HookEnd, HookExit};
use crate::model::service::{HEALTH_CHECK_INTERVAL_MS, Health, Hook, ServiceState};
use crate::service::purpose::Leaving;

impl Instance {
    /// Makes the next check due at once, where the package has one: once the process has had the time that it is left
    /// alone.
    pub(super) fn check_again(&mut self, env: &Env<'_, '_>) {
        if self.files.package().is_some_and(|p| p.has_health_check) {
            self.works.want_now(Work::Health, self.checks.due(env.now()));
        }
    }

    /// The first check of a process that was just started, or has just been adopted.
    pub(super) fn check_first(&mut self, env: &Env<'_, '_>) {
        let delay_ms = self.files.package().map_or(0, |package| package.health_delay_ms);
        let (since, _) = self.progress.since();
        self.checks.begin_at(since + super::bounded(delay_ms));
        self.check_again(env);
    }

    /// As the operator says, else the package.
    fn check_interval(&self) -> Duration {
        let of_spec = self.spec().health_check_interval_ms;
        let of_package = self.files.package().and_then(|p| p.health_interval_ms);
        let ms = of_package
            .filter(|_| mutated!(PackageIntervalIgnored, true, false))
            .filter(|_| of_spec == HEALTH_CHECK_INTERVAL_MS)
            .unwrap_or(of_spec);
        let interval = super::bounded(ms.max(deadline::HEALTH_INTERVAL_MS_MIN));
        assert!(!interval.is_zero(), "checks follow each other with a pause");
        interval
    }

    pub(super) fn check_timeout_ms(&self) -> u64 {
        let interval_ms = u64::try_from(self.check_interval().as_millis()).unwrap_or(u64::MAX);
        interval_ms.clamp(1_000, deadline::HEALTH_MS_MAX)
    }

    /// A health check has ended.
    pub(super) fn handle_checked(&mut self, health: Health, note: &str, env: &mut Env<'_, '_>) {
        self.works.succeeded(Work::Health);
        self.files.checked(matches!(health, Health::Ok | Health::Warning));
        let wait = self.checks.checked(health, note, self.check_interval(), env.rng);
        assert!(!wait.is_zero(), "checks follow each other with a pause");
        self.works.want(Work::Health, env.now() + wait);
        if health == Health::Ok && self.files.is_unconfirmed() {
            // It had begun before the process was told of the versions that it runs with.
            self.check_again(env);
        }
        self.publish(env);
    }

    /// The service's health: by its check where it has one, else by its process.
    pub(in super::super) fn health(&self) -> Health {
        let has_check = self.files.package().is_none_or(|p| p.has_health_check);
        match self.progress.state() {
            ServiceState::Up | ServiceState::Stopping if has_check => self.checks.health(),
            ServiceState::Up | ServiceState::Stopping => Health::Ok,
            ServiceState::Backoff | ServiceState::Failed | ServiceState::Down => Health::Critical,
            ServiceState::Loaded | ServiceState::Starting | ServiceState::Waiting => Health::Unknown,
        }
    }

    /// In a group with a leader: runs the suitability hook.
    pub(super) fn ask_suitability(&mut self, env: &Env<'_, '_>) {
        if self.wish.has_leader() && self.files.has_hook(Hook::Suitability) {
            self.works.want_now(Work::Suitability, env.now());
        }
    }

    pub(super) fn handle_suitability(&mut self, end: &HookEnd, env: &mut Env<'_, '_>) {
        self.works.succeeded(Work::Suitability);
        self.checks.asked(end);
        assert!(self.checks.suitability().is_some(), "a hook that ended has answered");
        if !matches!(end.exit, HookExit::Missing) {
            self.works.want(Work::Suitability, env.now() + self.check_interval());
        }
    }

    /// How well it would lead its group; none outside of groups with a leader.
    pub(in super::super) fn fitness(&self, leaving: Leaving) -> Option<Fitness> {
        if !self.wish.has_leader() {
            return None;
        }
        let readiness = self.readiness(leaving);
        let is_fit = readiness == Readiness::Fit;
        assert!(!is_fit || self.wish.is_up(), "only a service that is wanted up leads");
        assert!(!is_fit || !self.is_draining(), "only a service that takes new work leads");
        Some(Fitness { suitability: self.checks.suitability().unwrap_or_default(), readiness })
    }
}
