//! The announcements of a service that the ring still believes, so that only changes are told.

use alloc::collections::BTreeSet;

use super::Env;
use crate::model::id::ServiceGroup;
use crate::model::mutant::mutated;
use crate::model::service::{Health, ObstacleKind, SlowHook};
use crate::service::event::{Announcement, ServiceEvent};

/// The announcements of a service. A service is not announced before its package is known.
#[derive(Debug)]
pub(super) struct Told {
    /// Whether the ring is to know of it.
    public: bool,
    /// The last announcement that the ring still believes.
    announced: Option<Announcement>,
    /// The group in which the ring still believes the last supervisor's announcement.
    inherited: Option<ServiceGroup>,
    health: Option<Health>,
}

impl Told {
    pub(super) const fn new(inherited: Option<ServiceGroup>) -> Self {
        Self { public: false, announced: None, inherited, health: None }
    }

    /// From now on the ring is to know of it.
    pub(super) const fn publish(&mut self) {
        self.public = true;
    }

    pub(super) const fn is_public(&self) -> bool {
        self.public
    }

    /// The groups that the ring believes it in, with what was said of each; nothing where the last supervisor said it.
    pub(super) fn statements(&self) -> impl Iterator<Item = super::Statement<'_>> {
        let own = self.announced.as_ref().map(|announced| super::Statement {
            group: &announced.group,
            announced: Some((announced, self.health)),
        });
        own.into_iter()
            .chain(self.inherited.as_ref().map(|group| super::Statement { group, announced: None }))
    }

    /// Whether the ring believes that its process runs.
    pub(super) fn is_initialized(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.initialized)
    }

    /// Whether the ring believes it in another group than this.
    pub(super) fn is_elsewhere(&self, group: &ServiceGroup) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.group != *group)
    }

    /// Whether the ring still believes the last supervisor's announcement.
    pub(super) const fn has_inherited(&self) -> bool {
        self.inherited.is_some()
    }

    /// The last supervisor did not announce it.
    pub(super) fn disown(&mut self) {
        assert!(self.announced.is_none(), "a process that has no spec was never announced");
        self.inherited = None;
    }

    /// Tells the ring the changes since the last announcement.
    pub(super) fn announce(&mut self, announcement: Announcement, health: Health, env: &mut Env<'_, '_>) {
        assert!(self.public, "only a service that the ring may know of is announced");
        assert!(!self.is_elsewhere(&announcement.group), "a service is in one group at a time");
        let group = announcement.group.clone();
        if self.announced.as_ref() != Some(&announcement) {
            if let Some(group) = self.inherited.take().filter(|group| *group != announcement.group) {
                env.tell(ServiceEvent::Retract { group });
            }
            self.announced = Some(announcement.clone());
            env.tell(ServiceEvent::Announce(announcement));
        }
        if mutated!(HealthNotTold, self.health != Some(health), self.health.is_none()) {
            self.health = Some(health);
            env.tell(ServiceEvent::Health { group, health });
        }
    }

    /// What the ring was told of what holds the service back, and of a hook that takes its time; none when it was told of
    /// no service.
    pub(super) fn hindered_by(&self) -> Option<(&BTreeSet<ObstacleKind>, Option<SlowHook>)> {
        self.announced.as_ref().map(|announced| (&announced.held_back, announced.slow_hook))
    }

    /// The ring is to forget the service.
    pub(super) fn retract(&mut self, env: &mut Env<'_, '_>) {
        assert!(self.public || self.announced.is_none(), "only a public service is announced");
        self.public = false;
        self.health = None;
        let announced = self.announced.take().map(|announced| announced.group);
        for group in announced.into_iter().chain(self.inherited.take()) {
            env.tell(ServiceEvent::Retract { group });
        }
    }
}
