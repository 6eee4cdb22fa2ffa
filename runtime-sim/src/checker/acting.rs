//! Which process trees act as leaders, by what files, hooks and ends show of them; no supervisor is asked. Checkers
//! share it; it judges nothing.
//!
//! A tree acts from the moment at which a file tells it that it leads, until it is empty or killed, or until a
//! reconfigure hook has succeeded that was told otherwise.

use std::collections::BTreeMap;

use annulus_core::{Hook, Instant, ServiceGroup, ServiceName};

use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::engine::rendering::Rendering;

/// A service on a host.
pub(super) type Place = (HostId, ServiceName);

/// A tree of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) pid: u32,
    /// When it began.
    pub(super) since: Instant,
    /// As the leader of which group it acts, and in which term.
    pub(super) acts: Option<(ServiceGroup, u64)>,
}

/// Files and trees of all hosts.
#[derive(Debug, Default)]
pub(super) struct Acting {
    /// What the files of each service say, and since when.
    pub(super) files: BTreeMap<Place, (Instant, Rendering)>,
    pub(super) trees: BTreeMap<Place, Tree>,
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
            What::HookEnded { host, service, hook: Hook::Reconfigure, succeeded: true, rendering } => {
                let told = rendering.as_deref().and_then(role_of);
                if let Some(tree) = self.trees.get_mut(&(*host, service.clone())).filter(|_| told.is_none()) {
                    tree.acts = None;
                }
                None
            }
            What::LeaseRanOut { host, service, pid } => {
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

fn role_of(rendering: &Rendering) -> Option<(ServiceGroup, u64)> {
    rendering.leads().map(|term| (rendering.group.clone(), term))
}
