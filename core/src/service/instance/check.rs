//! How the service is, and how well it would lead its group.

use alloc::string::String;
use core::time::Duration;

use super::super::deadline;
use super::super::spec::{HEALTH_CHECK_INTERVAL_MS, Health, Hook, ServiceState};
use super::super::work::Work;
use super::{Env, Instance, Phase};
use crate::facts::Fitness;
use crate::prepared::{HookEnd, HookExit};
use crate::service::DesiredState;

impl Instance {
    /// The next check comes at once, where there is one.
    pub(super) fn check_again(&mut self, env: &Env<'_>) {
        if self.prepared.as_ref().is_some_and(|p| p.has_health_check) {
            self.works.want_now(Work::Health, env.now());
        }
    }

    /// As the operator says, else the package.
    fn check_interval(&self) -> Duration {
        let of_spec = self.spec.health_check_interval_ms;
        let of_package = self.prepared.as_ref().and_then(|p| p.health_interval_ms);
        let ms = of_package.filter(|_| of_spec == HEALTH_CHECK_INTERVAL_MS).unwrap_or(of_spec);
        super::bounded(ms.max(deadline::HEALTH_INTERVAL_MS_MIN))
    }

    pub(super) fn check_timeout_ms(&self) -> u64 {
        let interval_ms = u64::try_from(self.check_interval().as_millis()).unwrap_or(u64::MAX);
        interval_ms.clamp(1_000, deadline::HEALTH_MS_MAX)
    }

    /// A health check has ended. The first that finds the service well is followed by one at a random time, so that
    /// services that were started together are not checked together. Until then the next one comes soon: a process
    /// that was just started answers in a moment, and whoever sends it work waits for that.
    pub(super) fn handle_checked(&mut self, health: Health, note: &str, env: &mut Env<'_>) {
        self.works.succeeded(Work::Health);
        let before = self.warming_up;
        self.warming_up = before.filter(|_| health != Health::Ok).map(|checks| checks.saturating_add(1));
        self.checked = Some(health);
        self.health_note = String::from(note);
        let interval = self.check_interval();
        let wait = match health {
            Health::Ok if before.is_some() => {
                let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                Duration::from_millis(env.rng.between(deadline::HEALTH_INTERVAL_MS_MIN, ms))
            }
            Health::Ok => interval,
            _ => {
                let soon = before.map(|checks| deadline::WARM_UP_INTERVAL_MS << checks.min(16));
                let ms = soon.unwrap_or(u64::MAX).min(deadline::UNWELL_INTERVAL_MS);
                interval.min(Duration::from_millis(ms))
            }
        };
        self.works.want(Work::Health, env.now() + wait);
        self.publish(env);
    }

    /// How it is: by its check where it has one, else by its process.
    pub(in super::super) fn health(&self) -> Health {
        let has_check = self.prepared.as_ref().is_none_or(|p| p.has_health_check);
        match self.state() {
            ServiceState::Up | ServiceState::Stopping if has_check => self.checked.unwrap_or_default(),
            ServiceState::Up | ServiceState::Stopping => Health::Ok,
            ServiceState::Backoff | ServiceState::Failed | ServiceState::Down => Health::Critical,
            ServiceState::Loaded | ServiceState::Starting | ServiceState::Waiting => Health::Unknown,
        }
    }

    /// In a group with a leader: asks how well it would lead.
    pub(super) fn ask_suitability(&mut self, env: &Env<'_>) {
        if self.topology_is_leader() && self.has_hook(Hook::Suitability) {
            self.works.want_now(Work::Suitability, env.now());
        }
    }

    pub(super) fn handle_suitability(&mut self, end: &HookEnd, env: &mut Env<'_>) {
        self.works.succeeded(Work::Suitability);
        // A hook that fails says that the service is as unsuitable as can be.
        self.suitability = Some(if end.is_ok() { end.value.unwrap_or_default() } else { 0 });
        if !matches!(end.exit, HookExit::Missing) {
            self.works.want(Work::Suitability, env.now() + self.check_interval());
        }
    }

    /// How well it would lead its group; none outside of groups with a leader.
    pub(in super::super) fn fitness(&self) -> Option<Fitness> {
        if !self.topology_is_leader() {
            return None;
        }
        let asked = self.suitability.is_some() || !self.has_hook(Hook::Suitability);
        let up = self.spec.desired == DesiredState::Up && !self.removing && self.prepared.is_some();
        let at_hand = !matches!(self.phase, Phase::Idle | Phase::Stopping { .. } | Phase::AfterStop { .. });
        let willing = !self.is_draining() && self.spec.maintenance.is_none();
        let well = self.health() != Health::Critical;
        let fit = up && asked && at_hand && willing && well;
        Some(Fitness { suitability: self.suitability.unwrap_or_default(), fit })
    }
}
