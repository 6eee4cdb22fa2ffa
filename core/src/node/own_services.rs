//! What this member says about its own services. Nobody else speaks for them: whatever the ring holds against it is
//! restated, one incarnation higher.

use alloc::vec::Vec;

use super::elections::electorate_min;
use super::{Node, ctx};
use crate::membership::Heard;
use crate::model::context::Context;
use crate::model::id::{Incarnation, ServiceGroup};
use crate::model::limits::{Limit, RUMOR_BYTES_MAX};
use crate::model::planted::Bug;
use crate::model::rumor::{Rumor, RumorKey, ServiceHealth, ServiceRumor};
use crate::model::service::Health;
use crate::rumor::Priority;
use crate::service::Announcement;

impl Node {
    pub(super) fn announce(&mut self, a: Announcement) {
        let rumor = ServiceRumor {
            member_id: self.me,
            group: a.group,
            incarnation: Incarnation(0),
            initialized: a.initialized,
            pkg: a.pkg,
            cfg: a.cfg,
            sys: self.config.sys.clone(),
            pkg_incarnation: 0,
            tombstone: false,
            accepting: a.accepting,
            maintenance: a.maintenance,
            config_incarnation: a.applied_config,
            electorate_min: 0,
            versions_digest: a.applied_versions,
        };
        let mut rumor = rumor;
        let views = self.services.views();
        let view = views.iter().find(|view| view.group == rumor.group);
        rumor.electorate_min = view.map_or(0, |view| electorate_min(&view.spec));
        let bytes = Rumor::Service(rumor.clone()).encode().len();
        if bytes > RUMOR_BYTES_MAX {
            // Without its exports it can still be found; with them nobody would take the rumor.
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::ExportedConfiguration);
            rumor.cfg.clear();
        }
        assert!(rumor.initialized || !rumor.accepting, "only a process takes work");
        self.tell_own_service(rumor, Incarnation(0));
    }

    /// The service runs no longer; the ring hears it at once (Habitat never says so).
    pub(super) fn retract(&mut self, group: &ServiceGroup) {
        if self.config.planted.has(Bug::RetractionForgotten) {
            return;
        }
        let key = RumorKey::Service { group: group.clone(), member: self.me };
        if let Some(Rumor::Service(held)) = self.rumors.get(&key).cloned()
            && !held.tombstone
        {
            let retracted = ServiceRumor { tombstone: true, initialized: false, accepting: false, ..held };
            self.tell_own_service(retracted, Incarnation(0));
        }
        let key = RumorKey::ServiceHealth { group: group.clone(), member: self.me };
        if let Some(Rumor::ServiceHealth(held)) = self.rumors.get(&key).cloned()
            && !held.tombstone
        {
            self.tell_own_health(ServiceHealth { tombstone: true, ..held }, Incarnation(0));
        }
    }

    /// States something about an own service, above everything that was stated before.
    fn tell_own_service(&mut self, mut rumor: ServiceRumor, above: Incarnation) {
        let key = RumorKey::Service { group: rumor.group.clone(), member: self.me };
        let held = match self.rumors.get(&key) {
            Some(Rumor::Service(held)) => held.incarnation,
            _ => Incarnation(0),
        };
        assert!(rumor.member_id == self.me, "a member speaks for its own services");
        rumor.incarnation = held.max(above).next();
        assert!(rumor.incarnation >= held, "what is stated never goes back");
        self.learn(&Rumor::Service(rumor), Priority::Normal, None);
    }

    /// How an own service is.
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
        self.tell_own_health(told, Incarnation(0));
    }

    fn tell_own_health(&mut self, mut told: ServiceHealth, above: Incarnation) {
        let key = RumorKey::ServiceHealth { group: told.group.clone(), member: self.me };
        let held = match self.rumors.get(&key) {
            Some(Rumor::ServiceHealth(held)) => held.incarnation,
            _ => Incarnation(0),
        };
        assert!(told.member_id == self.me, "a member speaks for its own services");
        told.incarnation = held.max(above).next();
        assert!(told.incarnation >= held, "what is stated never goes back");
        self.learn(&Rumor::ServiceHealth(told), Priority::Normal, None);
    }

    /// What the disk remembers of own services is from the last life; what starts is announced anew.
    pub(super) fn withdraw_restored_services(&mut self) {
        let own = |r: &&Rumor| r.owner() == Some(self.me) && !r.is_tombstone();
        let group_of = |r: &Rumor| match r.key() {
            RumorKey::Service { group, .. } | RumorKey::ServiceHealth { group, .. } => Some(group),
            _ => None,
        };
        // Processes that outlived the last supervisor serve on, and nobody has noticed anything.
        let kept = self.services.kept_groups();
        let groups = self.rumors.iter().filter(own).filter_map(group_of);
        let groups: Vec<ServiceGroup> = groups.filter(|group| !kept.contains(group)).collect();
        for group in groups {
            self.retract(&group);
        }
        self.plan_collection();
    }

    pub(super) fn hear_of_own_service(&mut self, told: &ServiceRumor) -> Heard {
        assert!(told.member_id == self.me, "what others say of their services is no concern of this one");
        let key = RumorKey::Service { group: told.group.clone(), member: self.me };
        match self.rumors.get(&key).cloned() {
            Some(Rumor::Service(held)) if held == *told => Heard::Known,
            Some(Rumor::Service(held)) if held.incarnation > told.incarnation => Heard::Stale,
            Some(Rumor::Service(held)) => {
                self.tell_own_service(held, told.incarnation);
                Heard::Stale
            }
            _ if told.tombstone => Heard::Known,
            _ => {
                let retracted =
                    ServiceRumor { tombstone: true, initialized: false, accepting: false, ..told.clone() };
                self.tell_own_service(retracted, told.incarnation);
                Heard::Stale
            }
        }
    }

    pub(super) fn hear_of_own_health(&mut self, told: &ServiceHealth) -> Heard {
        assert!(told.member_id == self.me, "what others say of their services is no concern of this one");
        let key = RumorKey::ServiceHealth { group: told.group.clone(), member: self.me };
        match self.rumors.get(&key).cloned() {
            Some(Rumor::ServiceHealth(held)) if held == *told => Heard::Known,
            Some(Rumor::ServiceHealth(held)) if held.incarnation > told.incarnation => Heard::Stale,
            Some(Rumor::ServiceHealth(held)) => {
                self.tell_own_health(held, told.incarnation);
                Heard::Stale
            }
            _ if told.tombstone => Heard::Known,
            _ => {
                self.tell_own_health(ServiceHealth { tombstone: true, ..told.clone() }, told.incarnation);
                Heard::Stale
            }
        }
    }
}
