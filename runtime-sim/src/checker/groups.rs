//! Which hosts are in which group with a leader, as operators have ordered: services loaded, moved to other groups,
//! stopped, put into maintenance. Checkers of elections share it; it judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{Reply, RequestId, ServiceGroup, Topology};

use crate::action::world::{Record, What};
use crate::action::{
    Action, DrainService, HostId, LoadService, MaintainService, StartService, StopService, UndrainService,
    UnloadService, UpdateService,
};
use crate::engine::lead::Load;

/// A service on a host, by its name.
pub(super) type Loaded = (HostId, String);

/// The services that operators have loaded, and how.
#[derive(Debug, Default)]
pub(super) struct Groups {
    services: BTreeMap<Loaded, Service>,
    /// The service of the order that was typed last, and how it was before; until the order has its number.
    typed: Option<(Loaded, Option<Service>)>,
    /// The same by the order's number, until it is answered.
    asked: BTreeMap<RequestId, (Loaded, Option<Service>)>,
}

/// The wish of its operator.
#[derive(Clone, Debug)]
struct Service {
    how: Load,
    /// Its group, where that has a leader.
    group: Option<ServiceGroup>,
    /// Whether it is wanted up.
    up: bool,
    /// Whether it is in maintenance or drained, and cannot lead.
    aside: bool,
}

/// An order that concerns a group with a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The host has come to be in the group, or is wanted up in it again.
    In(HostId, ServiceGroup),
    /// The host is wanted in the group no longer.
    Out(HostId, ServiceGroup),
}

impl Groups {
    /// Takes note of a record; the orders that it means, in order. One that is refused is taken back.
    pub(super) fn observe(&mut self, record: &Record) -> Vec<Order> {
        match &record.what {
            What::Action(action) => {
                self.typed = key(action).map(|key| (key.clone(), self.services.get(&key).cloned()));
                self.order(action)
            }
            What::Asked { request, .. } => {
                self.asked.extend(self.typed.take().map(|typed| (*request, typed)));
                Vec::new()
            }
            What::Reply { request, reply, .. } => match (self.asked.remove(request), reply) {
                (Some((key, before)), Reply::Failed(_)) => self.take_back(key, before),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn take_back(&mut self, key: Loaded, before: Option<Service>) -> Vec<Order> {
        let host = key.0;
        let place = |service: Option<&Service>| {
            service.and_then(|service| service.group.clone().filter(|_| service.up))
        };
        let (now, then) = (place(self.services.get(&key)), place(before.as_ref()));
        match before {
            Some(before) => drop(self.services.insert(key, before)),
            None => drop(self.services.remove(&key)),
        }
        if now == then {
            return Vec::new();
        }
        let out = now.map(|group| Order::Out(host, group));
        out.into_iter().chain(then.map(|group| Order::In(host, group))).collect()
    }

    fn order(&mut self, action: &Action) -> Vec<Order> {
        match action {
            // A second load of one service is refused.
            Action::LoadService(LoadService { host, service, how }) => {
                let key = (*host, service.clone());
                if self.services.contains_key(&key) {
                    return Vec::new();
                }
                let group = group_of(service, how);
                let loaded = Service { how: how.clone(), group: group.clone(), up: true, aside: false };
                self.services.insert(key, loaded);
                group.map(|group| Order::In(*host, group)).into_iter().collect()
            }
            Action::UnloadService(UnloadService { host, service }) => {
                let gone = self.services.remove(&(*host, service.clone()));
                gone.and_then(|gone| gone.group).map(|group| Order::Out(*host, group)).into_iter().collect()
            }
            Action::StopService(StopService { host, service }) => {
                let Some(stopped) = self.services.get_mut(&(*host, service.clone())) else {
                    return Vec::new();
                };
                stopped.up = false;
                stopped.group.iter().map(|group| Order::Out(*host, group.clone())).collect()
            }
            Action::StartService(StartService { host, service }) => {
                let Some(started) = self.services.get_mut(&(*host, service.clone())) else {
                    return Vec::new();
                };
                started.up = true;
                started.group.iter().map(|group| Order::In(*host, group.clone())).collect()
            }
            Action::UpdateService(update) => self.update(update),
            Action::MaintainService(MaintainService { host, service, reason }) => {
                self.put_aside(*host, service, reason.is_some());
                Vec::new()
            }
            Action::DrainService(DrainService { host, service, .. }) => {
                self.put_aside(*host, service, true);
                Vec::new()
            }
            Action::UndrainService(UndrainService { host, service }) => {
                self.put_aside(*host, service, false);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn update(&mut self, update: &UpdateService) -> Vec<Order> {
        let host = update.host;
        let Some(updated) = self.services.get_mut(&(host, update.service.clone())) else { return Vec::new() };
        let before = updated.group.clone();
        updated.how.group = update.group.clone().or(updated.how.group.take());
        updated.how.leader =
            update.topology.map_or(updated.how.leader, |topology| topology == Topology::Leader);
        updated.how.quorum = update.quorum.or(updated.how.quorum);
        updated.group = group_of(&update.service, &updated.how);
        if updated.group == before || !updated.up {
            return Vec::new();
        }
        let out = before.map(|group| Order::Out(host, group));
        out.into_iter().chain(updated.group.clone().map(|group| Order::In(host, group))).collect()
    }

    fn put_aside(&mut self, host: HostId, service: &str, aside: bool) {
        if let Some(service) = self.services.get_mut(&(host, service.to_owned())) {
            service.aside = aside;
        }
    }

    /// How the service of this group was loaded on a host; none where it is not in the group.
    pub(super) fn how(&self, host: HostId, group: &ServiceGroup) -> Option<&Load> {
        let service = self.services.get(&(host, group.service().to_owned()))?;
        (service.group.as_ref() == Some(group) && service.up).then_some(&service.how)
    }

    /// The hosts that an operator wants to run in a group, and of these those that could lead it.
    pub(super) fn wanted(&self, group: &ServiceGroup) -> (BTreeSet<HostId>, BTreeSet<HostId>) {
        let of = self.services.iter().filter(|(_, of)| of.up && of.group.as_ref() == Some(group));
        let (mut wanted, mut able) = (BTreeSet::new(), BTreeSet::new());
        for ((host, _), service) in of {
            wanted.insert(*host);
            if !service.aside {
                able.insert(*host);
            }
        }
        (wanted, able)
    }

    /// The groups with a leader that a host is in.
    pub(super) fn of_host(&self, host: HostId) -> impl Iterator<Item = &ServiceGroup> {
        self.services.iter().filter(move |((at, _), _)| *at == host).filter_map(|(_, of)| of.group.as_ref())
    }
}

/// The service that an operator's order is about.
fn key(action: &Action) -> Option<Loaded> {
    Some(match action {
        Action::LoadService(LoadService { host, service, .. })
        | Action::UnloadService(UnloadService { host, service })
        | Action::StopService(StopService { host, service })
        | Action::StartService(StartService { host, service })
        | Action::UpdateService(UpdateService { host, service, .. })
        | Action::MaintainService(MaintainService { host, service, .. })
        | Action::DrainService(DrainService { host, service, .. })
        | Action::UndrainService(UndrainService { host, service }) => (*host, service.clone()),
        _ => return None,
    })
}

/// The group of a service that is loaded so; none where it has no leader.
fn group_of(service: &str, how: &Load) -> Option<ServiceGroup> {
    let name = how.group.as_deref().unwrap_or("default");
    ServiceGroup::new(service, name, None).ok().filter(|_| how.leader)
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    fn group(name: &str) -> ServiceGroup {
        name.parse().expect("a group")
    }

    fn load(group: Option<&str>) -> Action {
        let how = Load { group: group.map(str::to_owned), ..Load::led() };
        LoadService { host: HostId(1), service: "redis".to_owned(), how }.into()
    }

    fn typed(action: impl Into<Action>) -> Record {
        record(What::Action(action.into()))
    }

    #[test]
    fn an_order_that_is_refused_is_taken_back() {
        let (host, service, request) = (HostId(1), "redis".to_owned(), RequestId(7));
        let mut groups = Groups::default();
        groups.observe(&typed(load(None)));
        groups.observe(&typed(StopService { host, service: service.clone() }));
        let start = groups.observe(&typed(StartService { host, service }));
        assert_eq!(start, [Order::In(host, group("redis.default"))]);
        assert_eq!(groups.observe(&record(What::Asked { host, request })), []);
        let reply = Reply::Failed(annulus_core::CommandError::Leaving);
        let refused = groups.observe(&record(What::Reply { host, request, reply }));
        assert_eq!(refused, [Order::Out(host, group("redis.default"))]);
    }

    #[test]
    fn a_service_is_in_one_group_at_a_time() {
        let (host, service) = (HostId(1), "redis".to_owned());
        let mut groups = Groups::default();
        assert_eq!(groups.observe(&typed(load(Some("blue")))), [Order::In(host, group("redis.blue"))]);
        assert_eq!(groups.observe(&typed(load(None))), [], "a second load is refused");
        let update = |to: Option<&str>, topology| UpdateService {
            host,
            service: service.clone(),
            group: to.map(str::to_owned),
            topology,
            quorum: None,
        };
        let moved = groups.observe(&typed(update(Some("green"), None)));
        assert_eq!(moved, [Order::Out(host, group("redis.blue")), Order::In(host, group("redis.green"))]);
        assert!(
            groups.how(host, &group("redis.green")).is_some()
                && groups.how(host, &group("redis.blue")).is_none()
        );
        let alone = groups.observe(&typed(update(None, Some(Topology::Standalone))));
        assert_eq!(alone, [Order::Out(host, group("redis.green"))]);
        assert_eq!(groups.of_host(host).count(), 0);
        let led = groups.observe(&typed(update(None, Some(Topology::Leader))));
        assert_eq!(led, [Order::In(host, group("redis.green"))]);
        let stop = groups.observe(&typed(StopService { host, service: service.clone() }));
        assert_eq!(stop, [Order::Out(host, group("redis.green"))]);
    }

    #[test]
    fn what_is_in_maintenance_cannot_lead() {
        let (host, service) = (HostId(1), "redis".to_owned());
        let mut groups = Groups::default();
        groups.observe(&typed(load(None)));
        let count = |groups: &Groups| {
            let (wanted, able) = groups.wanted(&group("redis.default"));
            (wanted.len(), able.len())
        };
        assert_eq!(count(&groups), (1, 1));
        let reason = Some("a new disk".to_owned());
        groups.observe(&typed(MaintainService { host, service: service.clone(), reason }));
        assert_eq!(count(&groups), (1, 0));
        groups.observe(&typed(MaintainService { host, service: service.clone(), reason: None }));
        assert_eq!(count(&groups), (1, 1));
        groups.observe(&typed(UnloadService { host, service }));
        assert_eq!(count(&groups), (0, 0));
    }
}
