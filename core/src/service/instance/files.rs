//! The package and the written files of a service: those in hand, and those that its process was started with. It
//! compares them and says whether the process needs a hook or a restart; it writes none itself.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::super::work::Work;
use super::applied::{Applied, Versions};
use crate::model::census::{CensusGroup, CensusMember};
use crate::model::election::Role;
use crate::model::facts::{Facts, Given};
use crate::model::id::ServiceGroup;
use crate::model::ident::PackageIdent;
use crate::model::mutant::mutated;
use crate::model::planted::Planted;
use crate::model::prepared::{Changed, Prepared, Rendered};
use crate::model::service::{Demoted, Hook, Obstacle, ObstacleKind};
use crate::model::time::Instant;

/// The package and its files, in hand and applied.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The last `Prepared`.
    prepared: Option<Prepared>,
    /// The package that an adopted process was started from, until its files are this supervisor's.
    adopted: Option<PackageIdent>,
    /// How long the stop of an adopted process may take, where its package was not looked at.
    adopted_shutdown_ms: Option<u64>,
    /// The hash of the facts that the files were written with, or are being written with.
    rendered_with: Option<u64>,
    /// Digest of the group's configuration and files with which the service's files were written, or are being written.
    given_in_hand: Given,
    applied: Applied,
    /// The role that the files speak of, or are about to.
    role_in_hand: Option<Role>,
    /// Whether what is on disk may say that the service leads: since a write began that says so, until one has succeeded
    /// that says otherwise.
    disk_says_it_leads: bool,
    /// The process beside which `Effect::Render`, or `Effect::Prepare` for an adopted one, is unanswered.
    writing_for: Option<u64>,
}

/// The consequence of changed files for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The process has to be replaced.
    Replace(&'static str),
    /// The process is told by the hooks that it has for that.
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

    /// The package that runs, or is to run.
    pub(super) fn ident(&self) -> Option<&PackageIdent> {
        self.prepared.as_ref().map(|p| &p.ident).or(self.adopted.as_ref())
    }

    pub(super) fn has_hook(&self, hook: Hook) -> bool {
        self.prepared.as_ref().is_some_and(|p| p.hooks.contains(&hook))
    }

    /// The step that the package wants for a process that leads no longer.
    pub(super) fn demoted(&self) -> Demoted {
        self.prepared.as_ref().map(|p| p.demoted).unwrap_or_default()
    }

    /// A process is being adopted that was started from this package.
    pub(super) fn adopt(&mut self, ident: PackageIdent, shutdown_ms: Option<u64>) {
        assert!(self.prepared.is_none(), "a process is adopted before its package is looked at");
        (self.adopted, self.adopted_shutdown_ms) = (Some(ident), shutdown_ms);
    }

    /// The package of an adopted process, until its files are this supervisor's.
    pub(super) const fn adopted(&self) -> Option<&PackageIdent> {
        self.adopted.as_ref()
    }

    /// The package of an adopted process was looked at; its files are still those of the last supervisor.
    pub(super) fn looked_at(&mut self, prepared: &Prepared) {
        assert!(self.adopted.is_some(), "only what was adopted is looked at without being written");
        self.prepared = Some(prepared.clone());
    }

    /// How long a polite stop may take, as the package says; none when nothing is known of it.
    pub(super) fn shutdown_timeout_ms(&self) -> Option<u64> {
        self.prepared.as_ref().map(|p| p.shutdown_timeout_ms).or(self.adopted_shutdown_ms)
    }

    /// Files are about to be written with these facts.
    pub(super) fn take_in_hand(&mut self, facts: &Facts, own: &ServiceGroup) {
        self.rendered_with = Some(hash_of(facts, own));
        self.role_in_hand.clone_from(&facts.role);
        self.disk_says_it_leads |= matches!(self.role_in_hand, Some(Role::Leader { .. }));
        self.given_in_hand = Given::of(facts.config.as_ref(), &facts.files, &facts.sealed);
    }

    /// Whether writing the files again with these facts could make a difference.
    pub(super) fn has_news(&self, facts: &Facts, own: &ServiceGroup) -> bool {
        self.rendered_with != Some(hash_of(facts, own))
    }

    /// Forgets the facts that the files were written with, so that they are written again in any case.
    pub(super) const fn forget_facts(&mut self) {
        self.rendered_with = None;
    }

    /// Whether they could not be written with the last news.
    pub(super) const fn are_behind(&self) -> bool {
        self.prepared.is_some() && self.rendered_with.is_none()
    }

    /// The role that the files speak of, or are about to.
    pub(super) const fn role_in_hand(&self) -> Option<&Role> {
        self.role_in_hand.as_ref()
    }

    /// Whether the files say that the service leads, or are about to.
    pub(super) const fn say_it_leads(&self) -> bool {
        matches!(self.role_in_hand, Some(Role::Leader { .. }))
    }

    /// Whether a hook that is run now may find that the service leads: the files say so, are about to, or said so before
    /// a write that has not succeeded.
    pub(super) const fn may_say_it_leads(&self) -> bool {
        self.disk_says_it_leads || self.say_it_leads()
    }

    /// The write that is under way has succeeded.
    pub(super) fn are_written(&mut self) {
        self.disk_says_it_leads = self.say_it_leads();
    }

    /// Files are being written beside the process with this number.
    pub(super) fn begin_writing(&mut self, process: u64) {
        assert!(self.writing_for.is_none(), "one effect at a time writes a service's files");
        self.writing_for = Some(process);
    }

    /// A write has ended. One that an unloaded service of this name began is not this one's.
    pub(super) fn end_writing(&mut self, process: u64) {
        if self.writing_for == Some(process) {
            self.writing_for = None;
        }
    }

    /// The end of a write that an unloaded service of this name began has to be waited for.
    pub(super) const fn await_writing(&mut self, process: Option<u64>) {
        self.writing_for = process;
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.writing_for.is_some()
    }

    /// The package was looked at and its files are written, for the process that is started next.
    pub(super) fn prepared(&mut self, prepared: &Prepared) {
        self.prepared = Some(prepared.clone());
        self.adopted = None;
        self.are_written();
        self.applied.start(self.versions(prepared.applied_config, &prepared.obstacles));
        assert!(self.ident() == Some(&prepared.ident), "the package that runs is the prepared one");
    }

    /// The same beside an adopted process. True when that was started from another package.
    pub(super) fn prepared_for_adopted(&mut self, prepared: &Prepared, planted: Planted) -> bool {
        self.prepared = Some(prepared.clone());
        let (versions, meaning) =
            (self.versions(prepared.applied_config, &prepared.obstacles), self.meaning_of(&prepared.changed));
        self.applied.written(versions, meaning, planted);
        assert!(self.package().is_some(), "the package of an adopted process is known from now on");
        self.adopted.take().is_some_and(|ident| ident != prepared.ident)
    }

    /// The files are written again.
    pub(super) fn rendered(&mut self, rendered: &Rendered, planted: Planted) {
        if let Some(prepared) = self.prepared.as_mut() {
            prepared.exports.clone_from(&rendered.exports);
        }
        let (versions, meaning) =
            (self.versions(rendered.applied_config, &rendered.obstacles), self.meaning_of(&rendered.changed));
        self.applied.written(versions, meaning, planted);
    }

    /// The versions that the files were written with, in spite of these. What could not be opened is not in the files.
    fn versions(&self, config: u64, obstacles: &[Obstacle]) -> Versions {
        let mut keys = obstacles.iter().filter(|obstacle| obstacle.kind == ObstacleKind::Key);
        // What came plain and does not count stands in the way of all of it.
        let names: Option<Vec<&str>> = keys.try_fold(Vec::new(), |mut names, obstacle| {
            names.push(obstacle.sealed.as_ref()?.as_deref().unwrap_or_default());
            Some(names)
        });
        Versions { config, digest: names.map_or(0, |names| self.given_in_hand.digest_without(&names)) }
    }

    /// A kind of work begins that may tell the process of its files.
    pub(super) fn work_begins(&mut self, work: Work) {
        self.applied.begins(work);
    }

    /// It has succeeded. True when the process runs with other versions from now on.
    pub(super) fn work_succeeded(&mut self, work: Work) -> bool {
        let before = self.applied.runs();
        self.applied.told(work);
        before != self.applied.runs()
    }

    /// The versions of the group's configuration and files that are in effect.
    pub(super) const fn in_effect(&self) -> Versions {
        self.applied.in_effect()
    }

    /// Those that the process runs with are in effect.
    pub(super) const fn confirm(&mut self) {
        self.applied.confirm();
    }

    /// Whether those that the process runs with are not known to be in effect.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.applied.in_effect() != self.applied.runs()
    }

    /// A health check has ended, and found the service well or not.
    pub(super) fn checked(&mut self, is_well: bool) {
        self.applied.checked(is_well);
    }

    /// Whether the group has another configuration or other files than those that these files are written with.
    pub(super) fn has_new_versions(&self, facts: &Facts) -> bool {
        self.given_in_hand != Given::of(facts.config.as_ref(), &facts.files, &facts.sealed)
    }

    /// The consequence of changed files for the process (as in Habitat): some hooks make sense only with a new process,
    /// the configuration is told to a reconfigure hook where there is one, and the other hooks are simply the new ones.
    pub(super) fn meaning_of(&self, changed: &Changed) -> Meaning {
        let reconfigures = self.has_hook(Hook::Reconfigure);
        if changed.hooks.contains(&Hook::Init) {
            Meaning::Replace("its init hook changed")
        } else if mutated!(RunHookChangeIgnored, changed.hooks.contains(&Hook::Run), false) {
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

/// A number that differs when templates could see a difference. The service's own statements are left out: its own
/// start would otherwise be a reason to write its files again. Nor can templates see how long a lease lasts, or with
/// which configuration the other members run.
fn hash_of(facts: &Facts, own: &ServiceGroup) -> u64 {
    crate::model::digest::hash_of(&Shown { facts, own })
}

/// What files can show of facts. It is hashed in place: to look costs as much as the group has members, and happens with
/// each news of any of them.
struct Shown<'a> {
    facts: &'a Facts,
    own: &'a ServiceGroup,
}

impl Hash for Shown<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Facts { me, census, role, config, files, sealed, accepting, maintenance } = self.facts;
        (me, config, files, sealed, accepting, maintenance).hash(state);
        let mut role = role.clone();
        if let Some(Role::Leader { until, .. }) = &mut role {
            *until = mutated!(RenewalsAreNews, Instant::ZERO, *until);
        }
        role.hash(state);
        for (name, group) in &census.groups {
            let CensusGroup { service_group, pkg_incarnation, population, versions, elections } = group;
            assert!(service_group == name, "a group stands under its name");
            let others = || population.values().filter(|m| name != self.own || m.member_id != *me);
            if name == self.own && others().next().is_none() {
                continue;
            }
            (service_group, pkg_incarnation, others().count(), versions, elections).hash(state);
            others().for_each(|member| shown_of(member).hash(state));
        }
    }
}

/// What files can show of a member.
fn shown_of(member: &CensusMember) -> impl Hash {
    // A field that is added has to be named here.
    let CensusMember {
        member_id,
        pkg,
        pkg_incarnation,
        initialized,
        sys,
        cfg,
        health,
        accepting,
        maintenance,
        config_incarnation: _,
        versions_digest: _,
        held_back: _,
        slow_hook: _,
        state,
        permanent,
    } = member;
    let service = (pkg, pkg_incarnation, initialized, sys, cfg, health, accepting, maintenance);
    (member_id, service, state, permanent)
}
