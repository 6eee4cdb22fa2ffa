//! Which hosts are in which group with a leader, as operators have ordered: services loaded, moved to other groups,
//! stopped, put into maintenance. An order that its supervisor had not answered when it ended may be carried out or not,
//! until the files of the service tell. Checkers of elections share it; it judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{Reply, RequestId, ServiceGroup, Topology};

use crate::action::world::{Record, What};
use crate::action::{
    Action, DiskAfter, DrainService, HostId, LoadService, MaintainService, Restart, StartService,
    StopService, UndrainService, UnloadService, UpdateService,
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
    /// The services with orders that were never answered, and how each was before.
    unanswered: BTreeMap<Loaded, Option<Service>>,
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
                if let Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old }) = action {
                    self.unanswered.retain(|(at, _), _| at != host);
                }
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
            What::HostStarted { host, .. } | What::HostStopped { host, .. } => {
                for (request, (key, before)) in std::mem::take(&mut self.asked) {
                    if key.0 == *host {
                        self.unanswered.entry(key).or_insert(before);
                    } else {
                        self.asked.insert(request, (key, before));
                    }
                }
                Vec::new()
            }
            What::Rendered { host, service, rendering } => {
                self.rendered((*host, service.as_str().to_owned()), &rendering.group)
            }
            _ => Vec::new(),
        }
    }

    /// The files of a service are written, so it is loaded and wanted up in this group. Whether the group has a leader
    /// they do not tell.
    fn rendered(&mut self, key: Loaded, group: &ServiceGroup) -> Vec<Order> {
        let in_it = |service: &Option<Service>| {
            service.as_ref().is_some_and(|service| {
                let name = service.how.group.as_deref().unwrap_or("default");
                service.up && name == group.group()
            })
        };
        let now = self.services.get(&key).cloned();
        let Some(before) = self.unanswered.get(&key).cloned() else { return Vec::new() };
        match (in_it(&now), in_it(&before)) {
            (false, true) => {
                self.unanswered.remove(&key);
                self.take_back(key, before)
            }
            (true, false) => {
                self.unanswered.remove(&key);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it is not known how the service of this group is wanted on a host.
    pub(super) fn is_unsure(&self, host: HostId, group: &ServiceGroup) -> bool {
        self.unanswered.contains_key(&(host, group.service().to_owned()))
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
    use super::super::testing::{record, rendering};
    use super::*;
    use crate::engine::rendering::Rendering;

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
    fn an_order_that_was_never_answered_is_as_the_files_say() {
        let (host, service, request) = (HostId(1), "redis".to_owned(), RequestId(7));
        let to_blue = |group: &str| UpdateService {
            host,
            service: service.clone(),
            group: Some(group.to_owned()),
            topology: None,
            quorum: None,
            to: None,
        };
        let files = |name: &str| {
            let rendering = Box::new(Rendering { group: group(name), ..rendering(None) });
            record(What::Rendered { host, service: "redis".parse().expect("a name"), rendering })
        };
        let ended = record(What::HostStopped { host, why: crate::engine::record::StopReason::Crashed });
        for (found, stays) in [("redis.blue", true), ("redis.green", false)] {
            let mut groups = Groups::default();
            for before in [typed(load(Some("green"))), typed(to_blue("blue")), ended.clone()] {
                groups.observe(&before);
            }
            assert!(!groups.is_unsure(host, &group("redis.blue")), "each order has its number");
            let mut groups = Groups::default();
            let asked = record(What::Asked { host, request });
            for before in [typed(load(Some("green"))), typed(to_blue("blue")), asked, ended.clone()] {
                groups.observe(&before);
            }
            assert!(groups.is_unsure(host, &group("redis.blue")));
            let orders = groups.observe(&files(found));
            let back = [Order::Out(host, group("redis.blue")), Order::In(host, group("redis.green"))];
            assert_eq!(orders, if stays { &[][..] } else { &back });
            assert!(
                !groups.is_unsure(host, &group("redis.blue")) && groups.how(host, &group(found)).is_some()
            );
        }
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
            to: None,
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
