//! Beside a running process: its files, the hooks that tell it of changes, its part in the group.

use alloc::boxed::Box;

use super::super::deadline;
use super::super::spec::Hook;
use super::super::work::Work;
use super::{Env, Instance, Phase, Stale, hash_of, ms_until, start};
use crate::facts::Role;
use crate::io::{Effect, EffectResult};
use crate::prepared::{Changed, HookEnd, Rendered};
use crate::service::{Demoted, Purpose};

impl Instance {
    /// A process that this supervisor started.
    pub(super) fn process_started(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        if self.has_hook(Hook::PostRun) {
            self.works.want_now(Work::PostRun, now);
        }
        self.check_again(env);
        self.ask_suitability(env);
        self.renew_lease(env);
        // What changed while it was being started.
        self.works.want_now(Work::Render, now);
    }

    /// The effect that a kind of work begins with.
    pub(super) fn effect_of(&mut self, work: Work, env: &Env<'_>) -> Effect {
        let service = self.name.clone();
        match (work, work.hook()) {
            (_, Some(hook)) => {
                let timeout_ms = match work {
                    Work::PostRun => deadline::POST_RUN_MS,
                    Work::Reconfigure => deadline::RECONFIGURE_MS,
                    Work::FileUpdated => deadline::FILE_UPDATED_MS,
                    Work::Suitability => deadline::SUITABILITY_MS,
                    _ => self.drain_left_ms(env),
                };
                Effect::RunHook { service, hook, timeout_ms }
            }
            (Work::Health, _) => Effect::CheckHealth { service, timeout_ms: self.check_timeout_ms() },
            (Work::Inflight, _) => Effect::CountInflight { service, timeout_ms: deadline::INFLIGHT_MS },
            (Work::Prepare, _) => self.prepare_effect(env),
            _ => Effect::Render { service, facts: Box::new(self.facts(env)) },
        }
    }

    /// Writes the files again, whatever they were written with. Before there is a process, the next start does it.
    pub(in super::super) fn render_again(&mut self, env: &mut Env<'_>) {
        self.rendered_with = None;
        if matches!(self.phase, Phase::Running { .. }) {
            self.works.want_now(Work::Render, env.now());
        }
        self.reconcile(env);
    }

    /// Whether writing the files again could make a difference.
    pub(super) fn has_news(&self, env: &Env<'_>) -> bool {
        self.rendered_with != Some(hash_of(&self.look_around(env), &self.group))
    }

    /// A kind of work has ended.
    pub(in super::super) fn handle_work_done(
        &mut self,
        work: Work,
        epoch: u64,
        result: &EffectResult,
        env: &mut Env<'_>,
    ) {
        if matches!(work, Work::Prepare | Work::Render) {
            self.is_writing = false;
            self.prepare_when_free(env);
        }
        if epoch != self.epoch {
            return;
        }
        match (work, result) {
            (Work::Prepare, EffectResult::Prepared(prepared)) => {
                self.works.succeeded(work);
                self.adopted_prepared(prepared, env);
            }
            (Work::Render, EffectResult::Rendered(rendered)) => {
                self.works.succeeded(work);
                self.handle_rendered(rendered, env);
            }
            (_, EffectResult::PrepareFailed { reason } | EffectResult::RenderFailed { reason }) => {
                // The process goes on with the files that it has.
                self.last_error = Some(reason.clone());
                self.rendered_with = None;
                self.works.failed(work, env.now(), env.backoff, env.rng);
            }
            (Work::Health, EffectResult::HealthChecked { health, note }) => {
                self.handle_checked(*health, note, env);
            }
            (Work::Suitability, EffectResult::HookEnded(end)) => self.handle_suitability(end, env),
            (Work::DrainHook, EffectResult::HookEnded(end)) => self.drain_hook_ended(end, env),
            (Work::Inflight, EffectResult::Inflight(count)) => self.inflight_counted(*count, env),
            (_, EffectResult::HookEnded(end)) => self.handle_hook_ended(work, end, env),
            _ => {}
        }
        self.reconcile(env);
    }

    fn handle_hook_ended(&mut self, work: Work, end: &HookEnd, env: &mut Env<'_>) {
        let hook = work.hook().unwrap_or_default();
        match start::failure_of(hook, end) {
            None => {
                self.works.succeeded(work);
                self.last_error = None;
            }
            Some(reason) => {
                self.last_error = Some(reason);
                self.works.failed(work, env.now(), env.backoff, env.rng);
            }
        }
    }

    fn handle_rendered(&mut self, rendered: &Rendered, env: &mut Env<'_>) {
        if let Some(prepared) = self.prepared.as_mut() {
            prepared.exports.clone_from(&rendered.exports);
            prepared.applied_config = rendered.applied_config;
        }
        self.versions_applied = self.versions_in_hand;
        self.publish(env);
        self.follow_changes(&rendered.changed, env);
    }

    /// What changed files mean for the process (as in Habitat): some hooks make sense only with a new process, the
    /// configuration is told to a reconfigure hook where there is one, and the other hooks are simply the new ones.
    pub(super) fn follow_changes(&mut self, changed: &Changed, env: &mut Env<'_>) {
        let reconfigures = self.has_hook(Hook::Reconfigure);
        let reason = if changed.hooks.contains(&Hook::Init) {
            "its init hook changed"
        } else if changed.hooks.contains(&Hook::Run) {
            "its run hook changed"
        } else if changed.hooks.contains(&Hook::PostRun) {
            "its post-run hook changed"
        } else if changed.config && !reconfigures {
            "its configuration changed"
        } else {
            if reconfigures && (changed.config || changed.hooks.contains(&Hook::Reconfigure)) {
                self.works.want_now(Work::Reconfigure, env.now());
                self.check_again(env);
            }
            if changed.files && self.has_hook(Hook::FileUpdated) {
                self.works.want_now(Work::FileUpdated, env.now());
            }
            return;
        };
        self.failures = 0;
        self.stale = Some(Stale { reason, drain: true });
    }

    /// The election has spoken.
    pub(in super::super) fn handle_role(&mut self, role: Role, env: &mut Env<'_>) {
        if !self.topology_is_leader() {
            return;
        }
        let led = self.leads_until().is_some();
        let same = self.role.as_ref().is_some_and(|old| is_same(old, &role));
        self.role = Some(role);
        self.reconsider = true;
        if matches!(self.phase, Phase::Running { .. }) {
            self.renew_lease(env);
            let leads = self.leads_until().is_some();
            if led && !leads {
                self.demoted(env);
            } else if !leads && self.role_missing().is_some() && self.is_idle_follower() {
                self.stale = Some(Stale { reason: "only a leader runs", drain: true });
            }
            if !same && self.stale.is_none() {
                self.works.want(Work::Render, env.now());
                self.ask_suitability(env);
            }
        }
        self.reconcile(env);
    }

    fn is_idle_follower(&self) -> bool {
        matches!(self.role, Some(Role::Follower { .. }))
    }

    /// It led and does so no longer. There is no time to drain: another may lead already.
    fn demoted(&mut self, env: &mut Env<'_>) {
        match self.prepared.as_ref().map(|p| p.demoted).unwrap_or_default() {
            Demoted::Restart | Demoted::Stop => {
                self.failures = 0;
                self.stale = Some(Stale { reason: "it leads no longer", drain: false });
            }
            Demoted::Reconfigure => {
                self.lease(None, env);
                if self.has_hook(Hook::Reconfigure) {
                    self.works.want_now(Work::Reconfigure, env.now());
                }
            }
        }
    }

    /// Tells whoever holds the process how long it may act as the leader.
    pub(super) fn renew_lease(&mut self, env: &mut Env<'_>) {
        if let Some(until) = self.leads_until() {
            self.lease(Some(ms_until(until, env.now())), env);
        }
    }

    fn lease(&mut self, left_ms: Option<u64>, env: &mut Env<'_>) {
        let Phase::Running { pid } = self.phase else { return };
        let then = self.prepared.as_ref().map(|p| p.demoted).unwrap_or_default();
        let effect = Effect::Lease { service: self.name.clone(), pid, left_ms, then };
        env.want(&self.name, Purpose::Lease, effect);
    }
}

/// Whether two roles differ at most in how long they last.
fn is_same(a: &Role, b: &Role) -> bool {
    match (a, b) {
        (Role::Leader { term: a, .. }, Role::Leader { term: b, .. }) => a == b,
        _ => a == b,
    }
}
