//! Which process trees act as leaders, by what files, hooks and ends show of them; no supervisor is asked. Checkers
//! share it; it judges nothing.
//!
//! A tree acts from the moment at which a file tells it that it leads, until it is empty or killed, or until a
//! reconfigure hook has succeeded that was told otherwise. A hook whose own file says that it leads acts until it has
//! ended, whether there is a process beside it or not.

use std::collections::BTreeMap;

use annulus_core::{Hook, Instant, ServiceGroup, ServiceName};

use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::engine::rendering::Rendering;

/// A service on a host.
pub(super) type Place = (HostId, ServiceName);

/// A group, and the term in which a process or hook acts as its leader.
type Acts = (ServiceGroup, u64);

/// A tree of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) pid: u32,
    /// When it began.
    pub(super) since: Instant,
    /// As the leader of which group it acts, and in which term.
    pub(super) acts: Option<Acts>,
}

/// Files and trees of all hosts.
#[derive(Debug, Default)]
pub(super) struct Acting {
    /// What the files of each service say, and since when.
    pub(super) files: BTreeMap<Place, (Instant, Rendering)>,
    pub(super) trees: BTreeMap<Place, Tree>,
    /// The hooks that act, with the group and the term in which.
    hooks: BTreeMap<Place, Vec<(Hook, Acts)>>,
}

impl Acting {
    /// Takes note of a record; returns the place whose tree came to act by it.
    pub(super) fn observe(&mut self, record: &Record) -> Option<Place> {
        match &record.what {
            What::Rendered { host, service, rendering } => {
                let place = (*host, service.clone());
                self.files.insert(place.clone(), (record.at, (**rendering).clone()));
                let acts = role_of(rendering)?;
                let tree = self.trees.get_mut(&place)?;
                tree.acts = Some(acts);
                Some(place)
            }
            What::ProcessStarted { host, service, pid } => {
                let place = (*host, service.clone());
                let acts = self.files.get(&place).and_then(|(_, rendering)| role_of(rendering));
                let began = acts.is_some();
                self.trees.insert(place.clone(), Tree { pid: *pid, since: record.at, acts });
                began.then_some(place)
            }
            What::HookBegan { host, service, hook, rendering } => {
                let acts = rendering.as_deref().and_then(role_of)?;
                let place = (*host, service.clone());
                self.hooks.entry(place.clone()).or_default().push((*hook, acts));
                Some(place)
            }
            What::HookEnded { host, service, hook, succeeded, rendering } => {
                let (place, told) = ((*host, service.clone()), rendering.as_deref().and_then(role_of));
                let hooks = self.hooks.entry(place.clone()).or_default();
                if let Some(at) =
                    hooks.iter().position(|(other, acts)| (other, Some(acts)) == (hook, told.as_ref()))
                {
                    hooks.remove(at);
                }
                let is_word = *hook == Hook::Reconfigure && *succeeded && told.is_none();
                if let Some(tree) = self.trees.get_mut(&place).filter(|_| is_word) {
                    tree.acts = None;
                }
                None
            }
            What::LeaseRanOut { host, service, pid } => {
                self.hooks.remove(&(*host, service.clone()));
                if let Some(tree) = self.trees.get_mut(&(*host, service.clone())).filter(|t| t.pid == *pid) {
                    tree.acts = None;
                }
                None
            }
            What::ProcessExited { host, service, pid, .. } => {
                let place = (*host, service.clone());
                if self.trees.get(&place).is_some_and(|tree| tree.pid == *pid) {
                    self.trees.remove(&place);
                }
                None
            }
            _ => None,
        }
    }

    /// Where trees act as the leader of a group.
    pub(super) fn leaders(&self, group: &ServiceGroup) -> impl Iterator<Item = (&Place, &Tree)> {
        self.trees.iter().filter(move |(_, tree)| tree.acts.as_ref().is_some_and(|(led, _)| led == group))
    }
}

impl Acting {
    /// Who acts as a leader at a place: the process or a hook, in which group and term.
    pub(super) fn at(&self, place: &Place) -> Option<(String, &ServiceGroup, u64)> {
        let tree = self.trees.get(place).and_then(|tree| Some((tree.pid, tree.acts.as_ref()?)));
        let process = tree.map(|(pid, (group, term))| (format!("process {pid}"), group, *term));
        process.or_else(|| {
            let (hook, (group, term)) = self.hooks.get(place)?.first()?;
            Some((format!("the {hook} hook of {}", place.1), group, *term))
        })
    }

    /// The same at every place where anything acts.
    pub(super) fn everywhere(&self) -> impl Iterator<Item = (&Place, (String, &ServiceGroup, u64))> {
        self.trees
            .keys()
            .chain(self.hooks.keys().filter(|place| !self.trees.contains_key(*place)))
            .filter_map(|place| Some((place, self.at(place)?)))
    }
}

fn role_of(rendering: &Rendering) -> Option<Acts> {
    rendering.leads().map(|term| (rendering.group.clone(), term))
}
