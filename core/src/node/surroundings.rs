//! Answers the services' questions about the ring out of membership and rumors, and tells them news of the groups that
//! concern them. It shows no other groups.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::time::Duration;

use super::gossip::Gossip;
use super::group_config::{config_of, files_of, sealed_config_of, sealed_files_of};
use super::knowledge::Knowledge;
use super::telling::Telling;
use super::{Node, around, ctx};
use crate::model::census::Census;
use crate::model::context::{Context, Follows, earliest};
use crate::model::facts::{GroupConfig, GroupFile, SealedFacts};
use crate::model::id::{MemberId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::WakeReason;
use crate::model::member::MemberRecord;
use crate::model::planted::Bug;
use crate::model::rumor::{Departure, Rumor, RumorKey, ServiceConfig, ServiceFile};
use crate::model::service::Topology;
use crate::model::time::Instant;
use crate::service::Around;
use crate::update::Updates;

/// News that arrives within this time reaches the services in one step.
const DEBOUNCE_MS: u64 = 50;

/// Groups of which the ring has news, and the time at which services hear of it.
#[derive(Debug)]
pub(super) struct News {
    /// The groups, each with the event that brought the news.
    groups: BTreeMap<ServiceGroup, Follows>,
    at: Instant,
}

impl Default for News {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), at: Instant::FAR_FUTURE }
    }
}

impl News {
    /// The time at which services hear of it.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Service)])
    }

    fn add(&mut self, now: Instant, group: ServiceGroup, after: Follows) {
        self.groups.insert(group, after);
        if self.at == Instant::FAR_FUTURE {
            self.at = now + Duration::from_millis(DEBOUNCE_MS);
        }
        assert!(!self.groups.is_empty() && self.at < Instant::FAR_FUTURE, "news are told");
    }

    fn take(&mut self) -> BTreeMap<ServiceGroup, Follows> {
        assert!(!self.groups.is_empty(), "news are told when there are some");
        core::mem::take(self).groups
    }
}

/// The components of a node that know about the ring.
pub(super) struct Surroundings<'a> {
    pub(super) know: Knowledge<'a>,
    pub(super) gossip: &'a Gossip,
    pub(super) telling: &'a Telling,
    pub(super) updates: &'a Updates,
}

impl Around for Surroundings<'_> {
    fn me(&self) -> MemberId {
        self.know.me
    }

    fn census(&self, groups: &[ServiceGroup]) -> Census {
        let mut rumors: Vec<&Rumor> =
            groups.iter().flat_map(|group| self.know.rumors.facts_of(group)).collect();
        let owners: BTreeSet<MemberId> = rumors.iter().filter_map(|rumor| rumor.owner()).collect();
        let record = |id: &MemberId| self.know.membership.table().get(id).copied();
        let members: Vec<MemberRecord> = owners.iter().filter_map(record).collect();
        let banned = owners.iter().filter(|id| self.know.membership.is_banned(id));
        let bans: Vec<Rumor> = banned.map(|id| Rumor::Departure(Departure::ban(*id))).collect();
        rumors.extend(&bans);
        let census = Census::build(self.know.me, &members, rumors);
        assert!(census.groups.len() <= groups.len(), "a service sees the groups that concern it");
        census
    }

    fn config(&self, group: &ServiceGroup) -> Option<GroupConfig> {
        config_of(self.know.rumors, group).map(config_facts)
    }

    fn files(&self, group: &ServiceGroup) -> Vec<GroupFile> {
        files_of(self.know.rumors, group).map(file_facts).collect()
    }

    fn sealed(&self, group: &ServiceGroup) -> SealedFacts {
        SealedFacts {
            config: sealed_config_of(self.know.rumors, group).map(config_facts),
            files: sealed_files_of(self.know.rumors, group).map(file_facts).collect(),
        }
    }

    fn is_alone(&self) -> bool {
        self.know.membership.is_alone()
    }

    fn announced(&self, service: &ServiceName) -> Vec<(ServiceGroup, Topology)> {
        let own = |rumor: &&Rumor| rumor.owner() == Some(self.know.me) && !rumor.is_tombstone();
        let told = self.know.rumors.iter().filter(own).filter_map(|rumor| {
            let Rumor::Service(told) = rumor else { return None };
            let led = told.electorate_min > 0;
            Some((told.group.clone(), if led { Topology::Leader } else { Topology::Standalone }))
        });
        told.filter(|(group, _)| group.service() == service.as_str()).collect()
    }

    fn build(&self, service: &ServiceName, of: &PackageIdent) -> Option<PackageIdent> {
        self.updates.build(service, of).cloned()
    }

    fn is_told(&self, group: &ServiceGroup) -> bool {
        if self.know.planted.has(Bug::SignalOnceSent) {
            return !self.gossip.is_hot(&RumorKey::Service { group: group.clone(), member: self.know.me });
        }
        self.telling.is_over(group, self.know.membership)
    }
}

fn config_facts(config: &ServiceConfig) -> GroupConfig {
    GroupConfig { incarnation: config.version.number, toml: config.version.body.clone() }
}

fn file_facts(file: &ServiceFile) -> GroupFile {
    GroupFile {
        name: file.name.to_string(),
        incarnation: file.version.number,
        body: file.version.body.clone(),
    }
}

impl Node {
    /// The ring has news of this group: services that it concerns hear of it a little later.
    pub(super) fn group_changed(&mut self, group: &ServiceGroup, after: Follows) {
        if !self.services.watches(group) {
            return;
        }
        self.news.add(self.clock.now(), group.clone(), after);
    }

    /// This member is another than it was, and so are the groups that it serves.
    pub(super) fn groups_of_member_changed(&mut self, id: &MemberId, after: Follows) {
        let serves = |group: &&ServiceGroup| {
            self.rumors.get(&RumorKey::Service { group: (*group).clone(), member: *id }).is_some()
        };
        let groups: Vec<ServiceGroup> = self.services.watched().filter(serves).cloned().collect();
        for group in groups {
            self.group_changed(&group, after);
        }
    }

    /// Tells services the news.
    pub(super) fn tell_news(&mut self) {
        let groups = self.news.take();
        assert!(self.news.poll_timeout().is_none(), "news are told once");
        self.services.handle_facts(ctx!(self), around!(self), &groups);
        for group in groups.keys() {
            if let Some(service) = self.services.name_in(group) {
                self.updates.handle_facts(ctx!(self), service);
            }
        }
    }
}
