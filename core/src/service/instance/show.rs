//! Shows a service to the ring and to people. It only reads the service's state.

use alloc::string::String;

use super::{Env, Instance};
use crate::model::planted::Bug;
use crate::model::service::ServiceView;
use crate::model::update::{Subject, UpdateView};
use crate::service::event::Announcement;
use crate::service::purpose::Leaving;

impl Instance {
    /// Tells the ring the changes since the last announcement.
    pub(super) fn publish(&mut self, env: &mut Env<'_, '_>) {
        self.confirm_versions();
        let Some(prepared) = self.files.package().filter(|_| self.told.is_public()) else { return };
        let initialized = self.progress.pid().is_some();
        let announcement = Announcement {
            group: self.group.clone(),
            pkg: prepared.ident.clone(),
            cfg: prepared.exports.clone(),
            initialized,
            accepting: self.accepts() || (initialized && env.planted.has(Bug::SignalUnannounced)),
            maintenance: self.spec().maintenance.clone(),
            topology: self.wish.topology(),
            quorum: self.spec().quorum,
            applied_config: self.files.in_effect().config,
            applied_versions: self.files.in_effect().digest,
            held_back: self.obstacles.held_back(),
            slow_hook: self.hooks.slow(),
        };
        assert!(initialized || !announcement.accepting, "only a process takes work");
        let health = self.health();
        self.told.announce(announcement, health, env);
    }

    /// The versions that its process runs with are in effect once a check has found it well, where there is one; and those
    /// that a service will start with, which waits only for its turn to lead.
    fn confirm_versions(&mut self) {
        let is_checked = self.files.package().is_some_and(|package| package.has_health_check);
        let waits_its_turn = self.progress.waits_on().is_some_and(|(kind, _)| kind.is_none());
        if waits_its_turn || (self.progress.is_running() && !is_checked) {
            self.files.confirm();
        }
    }

    /// Whether it takes new work.
    fn accepts(&self) -> bool {
        self.progress.is_running() && !self.is_draining() && self.spec().maintenance.is_none()
    }

    /// What updates have to know of it.
    pub(in super::super) fn subject(&self, leaving: Leaving) -> Subject<'_> {
        let rests = self.progress.is_given_a_rest();
        Subject {
            spec: self.spec(),
            is_wanted: self.wish.is_up() && leaving == Leaving::No,
            state: self.progress.state(),
            health: self.health(),
            health_delay_ms: self.files.package().map_or(0, |package| package.health_delay_ms),
            fault: self.obstacles.of_build().filter(|_| rests),
        }
    }

    pub(in super::super) fn view(&self) -> ServiceView {
        let (since, since_wall) = self.progress.since();
        assert!(
            self.progress.pid().is_none() || self.progress.next_start().is_none(),
            "a service that runs is not started"
        );
        ServiceView {
            spec: self.spec().clone(),
            group: self.group.clone(),
            state: self.progress.state(),
            running: self.files.ident().cloned(),
            pid: self.progress.pid(),
            since,
            since_wall,
            restarts: self.tries.restarts(),
            last_exit: self.tries.last_exit(),
            last_error: self.tries.last_error().cloned(),
            next_start: self.progress.next_start(),
            stop_ends: self.progress.due(self.drain_ends()).filter(|_| self.progress.is_stopping()),
            health: self.health(),
            health_note: String::from(self.checks.note()),
            accepting: self.accepts(),
            // What was signalled has had its time for that.
            draining: self.is_draining() && !self.progress.is_signalled(),
            maintenance: self.spec().maintenance.clone(),
            role: self.part.role().cloned(),
            waiting_for: self.progress.waiting_for().cloned(),
            hooks: self.hooks.views(),
            obstacles: self.obstacles.views(),
            update: UpdateView::default(),
        }
    }
}
