//! The steps beside a running process: writing its files, running the hooks that tell it of changes.

use alloc::boxed::Box;
use alloc::format;

use super::super::deadline;
use super::super::work::Work;
use super::adoption::Adoption;
use super::files::Meaning;
use super::{Env, Instance, Phase, binds, start};
use crate::model::io::{Effect, EffectResult};
use crate::model::mutant::mutated;
use crate::model::prepared::{Changed, HookEnd, Rendered};
use crate::model::service::{Hook, ObstacleKind};
use crate::service::purpose::Purpose;

impl Instance {
    /// A process that this supervisor started.
    pub(super) fn process_started(&mut self, env: &mut Env<'_, '_>) {
        let now = env.now();
        assert!(self.progress.is_running(), "work beside a process begins when it runs");
        assert!(!self.wish.is_stale(), "a process that was just started fits the wish");
        if self.files.has_hook(Hook::PostRun) {
            self.works.want_now(Work::PostRun, now);
        }
        self.check_first(env);
        self.ask_suitability(env);
        // The facts may have changed during the start.
        self.works.want_now(Work::Render, now);
        self.look_at_binds(env);
    }

    /// A strict bind holds a start back, and not a process that runs: its loss is told, here and to people.
    pub(super) fn look_at_binds(&mut self, env: &mut Env<'_, '_>) {
        let Some(plan) = self.files.package().map(|package| &package.binds) else { return };
        let census = env.around.census(&binds::groups(self.spec()));
        let lost = binds::missing(self.spec(), plan, &census).filter(|_| self.progress.is_running());
        self.lost_bind = lost;
    }

    /// The effect that a kind of work begins with.
    pub(super) fn effect_of(&mut self, work: Work, env: &Env<'_, '_>) -> Effect {
        let service = self.name.clone();
        // The suitability hook is asked again later, when another package may be at hand.
        let has_hook = work.hook().is_none_or(|hook| self.files.has_hook(hook));
        assert!(has_hook || work == Work::Suitability, "only a hook that a package has is run");
        match (work, work.hook()) {
            (_, Some(hook)) => {
                let timeout_ms = match work {
                    Work::PostRun => deadline::POST_RUN_MS,
                    Work::Reconfigure => {
                        mutated!(ReconfigureForFiveMinutes, deadline::RECONFIGURE_MS, deadline::INIT_MS)
                    }
                    Work::FileUpdated => deadline::FILE_UPDATED_MS,
                    Work::Suitability => deadline::SUITABILITY_MS,
                    Work::Look
                    | Work::Prepare
                    | Work::Render
                    | Work::Health
                    | Work::DrainHook
                    | Work::Inflight => self.drain_left_ms(env),
                };
                let lease = self.hook_lease(Purpose::Work(work, self.works.process()), env);
                Effect::RunHook { service, hook, timeout_ms, lease }
            }
            (Work::Health, _) => {
                // A check that the plan names is asked by the supervisor itself.
                let by_hook = self.files.has_hook(Hook::HealthCheck);
                let purpose = Purpose::Work(work, self.works.process());
                let lease = if by_hook { self.hook_lease(purpose, env) } else { None };
                Effect::CheckHealth { service, timeout_ms: self.check_timeout_ms(), lease }
            }
            (Work::Inflight, _) => Effect::CountInflight { service, timeout_ms: deadline::INFLIGHT_MS },
            (Work::Look, _) => self.look_effect(env),
            (Work::Prepare, _) => self.prepare_effect(env),
            _ => Effect::Render { service, facts: Box::new(self.facts(env)) },
        }
    }

    /// Whether news of the ring can move it now: it waits for the ring, or its files are written again.
    pub(in super::super) fn follows_facts(&self) -> bool {
        self.progress.phase() == Phase::Waiting || self.progress.is_running()
    }

    /// Writes the files again, also where their facts are the same. Before there is a process, the next start does it.
    pub(in super::super) fn render_again(&mut self, env: &mut Env<'_, '_>) {
        self.files.forget_facts();
        if self.progress.is_running() {
            self.works.want_now(Work::Render, env.now());
        }
        self.try_with_new_files(env);
        self.reconcile(env);
    }

    /// Whether writing the files again could make a difference.
    pub(super) fn has_news(&self, env: &Env<'_, '_>) -> bool {
        self.files.has_news(&self.look_around(env), &self.group)
    }

    /// A kind of work has ended.
    pub(in super::super) fn handle_work_done(
        &mut self,
        work: Work,
        process: u64,
        result: &EffectResult,
        env: &mut Env<'_, '_>,
    ) {
        let told = work.hook().is_some_and(|hook| self.hooks.end(hook, process));
        if work.writes() {
            self.files.end_writing(process);
            if matches!(result, EffectResult::Rendered(_) | EffectResult::Prepared(_)) {
                self.files.are_written();
            }
            self.prepare_when_free(env);
            self.post_stop_when_free(env);
        }
        // Also work of a service of this name that was unloaded meanwhile: its numbers are others. The end of the write
        // may have been the last thing that an unload waited for.
        if mutated!(LateResultsCount, process != self.works.process(), false) {
            return self.reconcile(env);
        }
        self.demotion_goes_on(work, result, env);
        match (work, result) {
            // What it said says nothing of the service.
            _ if told => self.works.succeeded(work),
            (Work::Prepare, EffectResult::Prepared(prepared)) => {
                self.works.succeeded(work);
                self.written_in_spite_of(&prepared.obstacles, env);
                self.adopted_prepared(prepared, env);
            }
            (Work::Look, EffectResult::Prepared(prepared)) => {
                self.works.succeeded(work);
                self.adopted_looked_at(prepared, env);
            }
            (Work::Look, EffectResult::PrepareFailed { reason, .. }) => {
                // It is stopped as its launcher knows it.
                self.works.succeeded(work);
                self.tries.note_error(reason.clone());
                self.adoption.iter_mut().for_each(Adoption::looked);
            }
            (Work::Render, EffectResult::Rendered(rendered)) => {
                self.works.succeeded(work);
                self.handle_rendered(rendered, env);
            }
            (
                _,
                EffectResult::PrepareFailed { kind, reason } | EffectResult::RenderFailed { kind, reason },
            ) => {
                // The process goes on with the files that it has.
                self.tries.note_error(reason.clone());
                if *kind != ObstacleKind::Bind {
                    self.obstruct(*kind, None, &format!("its files stay as they are: {reason}"), env);
                }
                mutated!(FailedFilesForgotten, self.files.forget_facts(), ());
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

    fn handle_hook_ended(&mut self, work: Work, end: &HookEnd, env: &mut Env<'_, '_>) {
        assert!(work.hook().is_some(), "only work that runs a hook ends with one");
        let hook = work.hook().unwrap_or_default();
        match start::failure_of(hook, end) {
            None => {
                self.works.succeeded(work);
                self.tries.clear_error();
                self.clear_hook(hook, env);
                if self.files.work_succeeded(work) {
                    self.check_again(env);
                    self.publish(env);
                }
            }
            Some(reason) => {
                self.obstruct(ObstacleKind::Hook, Some(hook), &reason, env);
                self.tries.note_error(reason);
                self.works.failed(work, env.now(), env.backoff, env.rng);
            }
        }
    }

    fn handle_rendered(&mut self, rendered: &Rendered, env: &mut Env<'_, '_>) {
        self.written_in_spite_of(&rendered.obstacles, env);
        self.files.rendered(rendered, env.planted);
        if self.files.is_unconfirmed() {
            self.check_again(env);
        }
        self.publish(env);
        self.follow_changes(&rendered.changed, env);
    }

    /// The process follows a change of its files, or is replaced.
    pub(super) fn follow_changes(&mut self, changed: &Changed, env: &mut Env<'_, '_>) {
        match self.files.meaning_of(changed) {
            Meaning::Replace(reason) => {
                self.tries.forget_failures();
                self.wish.outdated(reason, true);
            }
            Meaning::Tell { reconfigure, file_updated } => {
                if reconfigure {
                    self.works.want_now(Work::Reconfigure, env.now());
                    self.check_again(env);
                }
                if file_updated {
                    self.works.want_now(Work::FileUpdated, env.now());
                }
            }
        }
    }
}
