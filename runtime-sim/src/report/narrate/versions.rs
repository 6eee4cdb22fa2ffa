//! Versions of groups' configuration and files, and what templates were told, in sentences.

use std::collections::BTreeSet;

use annulus_core::{Instant, Role, RumorKey, ServiceName};

use super::{Holders, Narrator};
use crate::action::HostId;
use crate::action::room::NAMES_MAX;
use crate::engine::rendering::Rendering;

impl Narrator {
    /// A supervisor took a version; news is when the last running one has.
    pub(super) fn holds(&mut self, at: Instant, host: HostId, key: &RumorKey, version: u64) {
        if !matches!(key.name(), "service_config" | "service_file") {
            return;
        }
        let new = || Holders { first: at, by: BTreeSet::new(), all_told: false };
        let holders = self.versions.entry((key.clone(), version)).or_insert_with(new);
        holders.by.insert(host);
        let all = self.views.running() > 1 && self.views.hosts().all(|host| holders.by.contains(&host));
        if !all || std::mem::replace(&mut holders.all_told, true) {
            return;
        }
        let after = at.saturating_since(holders.first).as_millis();
        let text = format!(
            "every running member holds version {version} of the {key}, {}.{:03}s after the first.",
            after / 1000,
            after % 1000
        );
        self.say(at, &text);
    }

    /// A service's files were written; news is another part in the group, or another configuration.
    pub(super) fn rendered(&mut self, at: Instant, host: HostId, service: &ServiceName, given: &Rendering) {
        let leader = match &given.role {
            Some(Role::Follower { leader, .. }) => self.who(leader),
            _ => String::new(),
        };
        let part = match (given.part(), given.term()) {
            (Some("leader"), Some(term)) => format!("it leads {} in term {term}", given.group),
            (Some("follower"), Some(term)) => format!("{leader} leads {} in term {term}", given.group),
            _ => String::new(),
        };
        let config = match given.config {
            0 => String::new(),
            version => format!("version {version} of its configuration is in effect"),
        };
        let told: Vec<&str> =
            [part.as_str(), config.as_str()].into_iter().filter(|t| !t.is_empty()).collect();
        let told = told.join(", and ");
        let before = self.parts.insert((host, service.clone()), told.clone());
        if told.is_empty() || before.is_some_and(|before| before == told) || self.names.len() > NAMES_MAX {
            return;
        }
        let text = format!("{service} on {} is told: {told}.", self.name(host));
        self.say(at, &text);
    }
}
