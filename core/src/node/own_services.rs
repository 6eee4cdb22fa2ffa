//! This member's rumors about its own services. No other member may speak for them: a rumor of another member is
//! answered by restating the own one, one incarnation higher.

use alloc::vec::Vec;

use super::elections::electorate_min;
use super::wire_up::Learned;
use super::{Node, Phase, ctx};
use crate::membership::Heard;
use crate::model::context::{Context, Follows};
use crate::model::id::{Incarnation, ServiceGroup};
use crate::model::limits::INCARNATION_MAX;
use crate::model::limits::{Limit, RUMOR_BYTES_MAX};
use crate::model::planted::Bug;
use crate::model::rumor::{KeyParts, Rumor, RumorKey, RumorKind, ServiceHealth, ServiceRumor, Told};
use crate::model::service::Health;
use crate::rumor::Priority;
use crate::service::Announcement;

impl Node {
    pub(super) fn announce(&mut self, a: &Announcement) {
        let rumor = self.service_rumor(a);
        if rumor.cfg != a.cfg {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::ExportedConfiguration);
        }
        self.tell_own(Rumor::Service(rumor), Incarnation(0));
    }

    /// What the ring is told by an announcement.
    pub(super) fn service_rumor(&self, a: &Announcement) -> ServiceRumor {
        let mut rumor = ServiceRumor {
            member_id: self.me,
            group: a.group.clone(),
            incarnation: Incarnation(0),
            initialized: a.initialized,
            pkg: a.pkg.clone(),
            cfg: a.cfg.clone(),
            sys: self.config.sys.clone(),
            pkg_incarnation: 0,
            tombstone: false,
            accepting: a.accepting,
            maintenance: a.maintenance.clone(),
            config_incarnation: a.applied_config,
            electorate_min: electorate_min(a),
            versions_digest: a.applied_versions,
            held_back: a.held_back.clone(),
            slow_hook: a.slow_hook,
        };
        if Rumor::Service(rumor.clone()).encode().len() > RUMOR_BYTES_MAX {
            // Without its exports other members can still find it; with them they would refuse the rumor.
            rumor.cfg.clear();
        }
        assert!(rumor.initialized || !rumor.accepting, "only a process takes work");
        rumor
    }

    /// The service runs no longer; the ring hears it at once (Habitat never says so). Returns what was withdrawn.
    pub(super) fn retract(&mut self, group: &ServiceGroup) -> Vec<RumorKey> {
        let mut withdrawn = Vec::new();
        if self.config.planted.has(Bug::RetractionForgotten) {
            return withdrawn;
        }
        for kind in RumorKind::ALL {
            let parts = KeyParts { group: Some(group), member: Some(&self.me), ..KeyParts::default() };
            let key = RumorKey::from_parts(kind, parts).filter(|key| key.owner().is_some());
            let held = key.and_then(|key| self.rumors.get(&key)).filter(|held| !held.is_tombstone());
            if let Some(mut held) = held.cloned() {
                held.retract();
                assert!(held.is_tombstone(), "a withdrawn rumor is a tombstone");
                withdrawn.push(held.key());
                self.tell_own(held, Incarnation(0));
            }
        }
        withdrawn
    }

    /// States a rumor about an own service, with a higher number than every rumor before.
    pub(super) fn tell_own(&mut self, mut rumor: Rumor, above: Incarnation) -> Learned {
        assert!(rumor.owner() == Some(self.me), "a member states only what is its own");
        assert!(
            self.phase != Phase::Starting || self.steps_early(),
            "a life tells nothing before its incarnation is on disk"
        );
        let held = self.rumors.get(&rumor.key()).map_or(0, Rumor::number);
        rumor.restate(Incarnation(held).max(above).next());
        assert!(rumor.number() >= held, "a statement's number never goes back");
        let key = rumor.key();
        let after = key.group().map_or(Follows::Input, |group| self.services.follows(group));
        self.repair.plan(self.clock.now());
        let took_work = self.is_taking_work(&key);
        let told = self.signed(rumor);
        let learned = self.learn(&told, Priority::Normal, None, after);
        self.follow_telling(&key, took_work);
        learned
    }

    /// The planted defect of services that take steps before the last life's rumors were withdrawn.
    pub(super) fn steps_early(&self) -> bool {
        self.config.planted.has(Bug::RestoredWithdrawnLate) || self.config.planted.has(Bug::ToldNeverRepaired)
    }

    /// States the health of an own service.
    pub(super) fn tell_health(&mut self, group: ServiceGroup, health: Health) {
        let key = RumorKey::ServiceHealth { group: group.clone(), member: self.me };
        if let Some(Rumor::ServiceHealth(held)) = self.rumors.get(&key)
            && held.health == health
            && !held.tombstone
        {
            return;
        }
        let incarnation = Incarnation(0);
        let told = ServiceHealth { member_id: self.me, group, incarnation, health, tombstone: false };
        self.tell_own(Rumor::ServiceHealth(told), Incarnation(0));
    }

    /// Retracts the last life's rumors of own services; a service that starts is announced anew. Processes that outlived
    /// the last supervisor serve on, and the ring need not hear of the restart.
    pub(super) fn withdraw_restored_services(&mut self) {
        let mut groups = self.strays();
        if self.steps_early() {
            let own = self.services.told().filter(|told| told.announced.is_some());
            groups.extend(own.map(|told| told.group.clone()));
        }
        for group in groups {
            self.retract(&group);
        }
        self.plan_collection();
    }

    /// Answers a rumor of another member about this member's own service, instead of taking it in.
    pub(super) fn hear_of_own(&mut self, as_told: &Told<'_>) -> Heard {
        let told = as_told.rumor();
        assert!(told.owner() == Some(self.me), "only rumors about own services are answered here");
        let number = Incarnation(told.number());
        match self.rumors.get(&told.key()).cloned() {
            Some(_) if self.rumors.holds(as_told) => Heard::Known,
            Some(held) if held.number() > told.number() => Heard::Stale,
            // No number follows, so no answer would prevail.
            _ if number >= Incarnation(INCARNATION_MAX) => Heard::Known,
            Some(held) => {
                self.tell_own(held, number);
                Heard::Stale
            }
            None if told.is_tombstone() => Heard::Known,
            // The disk had not heard of it yet when the last supervisor ended; its process serves on, and is announced
            // anew once its package was looked at.
            None if told.key().group().is_some_and(|group| self.services.inherits(group)) => {
                self.learn(as_told, Priority::Normal, None, Follows::Input).heard
            }
            None => {
                let mut retracted = told.clone();
                retracted.retract();
                assert!(retracted.is_tombstone(), "a withdrawn rumor is a tombstone");
                self.tell_own(retracted, number);
                Heard::Stale
            }
        }
    }
}
