//! What a service is made of: its package, and the files that were written for it.

use crate::model::election::Role;
use crate::model::facts::{Facts, versions_digest};
use crate::model::id::ServiceGroup;
use crate::model::ident::PackageIdent;
use crate::model::prepared::{Changed, Prepared, Rendered};
use crate::model::service::{Demoted, Hook};
use crate::model::time::Instant;

/// The package and its files, in hand and applied.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// What `Prepared` said last.
    prepared: Option<Prepared>,
    /// What an adopted process was started from, until its package is looked at.
    adopted: Option<PackageIdent>,
    /// The hash of what the files were written with, or are being written.
    rendered_with: Option<u64>,
    /// Digest of what operators gave to the group, as far as files were written with it, or are being written.
    versions_in_hand: u64,
    /// The same of the files that are there.
    versions_applied: u64,
    /// `Effect::Render`, or `Effect::Prepare` for an adopted process, is unanswered.
    is_writing: bool,
}

/// What changed files mean for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It has to be replaced.
    Replace(&'static str),
    /// It is told, as far as it has hooks for that.
    Tell {
        /// By its reconfigure hook.
        reconfigure: bool,
        /// By its file-updated hook.
        file_updated: bool,
    },
}

impl Files {
    /// The package, once it was looked at.
    pub(super) const fn package(&self) -> Option<&Prepared> {
        self.prepared.as_ref()
    }

    /// What runs, or is to run.
    pub(super) fn ident(&self) -> Option<&PackageIdent> {
        self.prepared.as_ref().map(|p| &p.ident).or(self.adopted.as_ref())
    }

    pub(super) fn has_hook(&self, hook: Hook) -> bool {
        self.prepared.as_ref().is_some_and(|p| p.hooks.contains(&hook))
    }

    /// What becomes of the process when it leads no longer.
    pub(super) fn demoted(&self) -> Demoted {
        self.prepared.as_ref().map(|p| p.demoted).unwrap_or_default()
    }

    /// A process is being adopted that was started from this package.
    pub(super) fn adopt(&mut self, ident: PackageIdent) {
        assert!(self.prepared.is_none(), "a process is adopted before its package is looked at");
        self.adopted = Some(ident);
    }

    /// Files are about to be written with these facts.
    pub(super) fn take_in_hand(&mut self, facts: &Facts, own: &ServiceGroup) {
        self.rendered_with = Some(hash_of(facts, own));
        self.versions_in_hand = versions_digest(facts.config.as_ref(), &facts.files);
    }

    /// Whether writing the files again with these facts could make a difference.
    pub(super) fn has_news(&self, facts: &Facts, own: &ServiceGroup) -> bool {
        self.rendered_with != Some(hash_of(facts, own))
    }

    /// Writing them again makes a difference, whatever they were written with.
    pub(super) const fn forget_facts(&mut self) {
        self.rendered_with = None;
    }

    /// Files are being written beside a process.
    pub(super) const fn begin_writing(&mut self) {
        self.is_writing = true;
    }

    pub(super) const fn end_writing(&mut self) {
        self.is_writing = false;
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// The package was looked at and its files are written. True when a process was adopted that was started from
    /// another package.
    pub(super) fn prepared(&mut self, prepared: &Prepared) -> bool {
        self.prepared = Some(prepared.clone());
        self.versions_applied = self.versions_in_hand;
        assert!(self.ident() == Some(&prepared.ident), "what runs is what was made ready");
        self.adopted.take().is_some_and(|ident| ident != prepared.ident)
    }

    /// The files are written again.
    pub(super) fn rendered(&mut self, rendered: &Rendered) {
        if let Some(prepared) = self.prepared.as_mut() {
            prepared.exports.clone_from(&rendered.exports);
            prepared.applied_config = rendered.applied_config;
        }
        self.versions_applied = self.versions_in_hand;
    }

    /// The digest of what operators gave to the group and these files were written with.
    pub(super) const fn versions_applied(&self) -> u64 {
        self.versions_applied
    }

    /// What changed files mean for the process (as in Habitat): some hooks make sense only with a new process, the
    /// configuration is told to a reconfigure hook where there is one, and the other hooks are simply the new ones.
    pub(super) fn meaning_of(&self, changed: &Changed) -> Meaning {
        let reconfigures = self.has_hook(Hook::Reconfigure);
        if changed.hooks.contains(&Hook::Init) {
            Meaning::Replace("its init hook changed")
        } else if changed.hooks.contains(&Hook::Run) {
            Meaning::Replace("its run hook changed")
        } else if changed.hooks.contains(&Hook::PostRun) {
            Meaning::Replace("its post-run hook changed")
        } else if changed.config && !reconfigures {
            Meaning::Replace("its configuration changed")
        } else {
            assert!(!changed.config || reconfigures, "a change that no hook is told of replaces the process");
            Meaning::Tell {
                reconfigure: reconfigures && (changed.config || changed.hooks.contains(&Hook::Reconfigure)),
                file_updated: changed.files && self.has_hook(Hook::FileUpdated),
            }
        }
    }
}

/// A number that differs when templates could see a difference. What a service says of itself is left out: its own
/// start would otherwise be a reason to write its files again.
fn hash_of(facts: &Facts, own: &ServiceGroup) -> u64 {
    let mut facts = facts.clone();
    if let Some(Role::Leader { until, .. }) = &mut facts.role {
        *until = Instant::ZERO;
    }
    if let Some(group) = facts.census.groups.get_mut(own) {
        assert!(group.service_group == *own, "a group stands under its name");
        group.population.remove(&facts.me);
        if group.population.is_empty() {
            facts.census.groups.remove(own);
        }
    }
    for member in facts.census.groups.values_mut().flat_map(|group| group.population.values_mut()) {
        // How far the others are with what they were given is no concern of a template.
        (member.config_incarnation, member.versions_digest) = (0, 0);
    }
    crate::model::digest::hash_of(&facts)
}
