//! What the ring and people are told of a service.

use alloc::string::String;

use super::super::spec::{Health, ServiceState, ServiceView};
use super::{Announcement, Env, Instance, Phase};
use crate::ident::PackageIdent;
use crate::planted::Bug;
use crate::service::ServiceEvent;

impl Instance {
    /// Tells the ring what has changed since it was last told.
    pub(super) fn publish(&mut self, env: &mut Env<'_>) {
        let Some(prepared) = self.prepared.as_ref().filter(|_| self.public) else { return };
        let initialized = matches!(self.phase, Phase::Running { .. } | Phase::Stopping { .. });
        let announcement = Announcement {
            group: self.group.clone(),
            pkg: prepared.ident.clone(),
            cfg: prepared.exports.clone(),
            initialized,
            accepting: self.accepts() || (initialized && env.planted.has(Bug::SignalUnannounced)),
            maintenance: self.spec.maintenance.clone(),
            applied_config: prepared.applied_config,
            applied_versions: self.versions_applied,
        };
        if self.announced.as_ref() != Some(&announcement) {
            if let Some(group) = self.inherited.take().filter(|group| *group != announcement.group) {
                env.tell(ServiceEvent::Retract { group });
            }
            self.announced = Some(announcement.clone());
            env.tell(ServiceEvent::Announce(announcement));
        }
        let health = self.health();
        if self.told_health != Some(health) {
            self.told_health = Some(health);
            env.tell(ServiceEvent::Health { group: self.group.clone(), health });
        }
    }

    /// The ring is to forget the service.
    pub(super) fn retract(&mut self, env: &mut Env<'_>) {
        self.public = false;
        self.told_health = None;
        let announced = self.announced.take().map(|announced| announced.group);
        for group in announced.into_iter().chain(self.inherited.take()) {
            env.tell(ServiceEvent::Retract { group });
        }
    }

    /// Whether it takes new work.
    fn accepts(&self) -> bool {
        matches!(self.phase, Phase::Running { .. }) && !self.is_draining() && self.spec.maintenance.is_none()
    }

    pub(in super::super) fn state(&self) -> ServiceState {
        match self.phase {
            Phase::New => ServiceState::Loaded,
            Phase::Idle => ServiceState::Down,
            Phase::Failed => ServiceState::Failed,
            Phase::Backoff { .. } => ServiceState::Backoff,
            Phase::Waiting => ServiceState::Waiting,
            Phase::Preparing | Phase::Initializing | Phase::Spawning { .. } => ServiceState::Starting,
            Phase::Running { .. } => ServiceState::Up,
            Phase::Stopping { .. } | Phase::AfterStop { .. } => ServiceState::Stopping,
        }
    }

    pub(in super::super) fn view(&self) -> ServiceView {
        let pid = match self.phase {
            Phase::Running { pid } | Phase::Stopping { pid, .. } => Some(pid),
            _ => None,
        };
        let next_start = match self.phase {
            Phase::Backoff { until } => Some(until),
            _ => None,
        };
        let health: Health = self.health();
        ServiceView {
            spec: self.spec.clone(),
            group: self.group.clone(),
            state: self.state(),
            running: self.running(),
            pid,
            since: self.since,
            since_wall: self.since_wall,
            restarts: self.restarts,
            last_exit: self.last_exit,
            last_error: self.last_error.clone(),
            next_start,
            health,
            health_note: if self.checked.is_some() { self.health_note.clone() } else { String::new() },
            accepting: self.accepts(),
            draining: self.is_draining(),
            maintenance: self.spec.maintenance.clone(),
            role: self.role.clone(),
            waiting_for: self.waiting_for.clone(),
        }
    }

    fn running(&self) -> Option<PackageIdent> {
        self.prepared.as_ref().map(|p| p.ident.clone()).or_else(|| self.adopted.clone())
    }
}
