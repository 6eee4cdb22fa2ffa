//! How a build comes to this host, takes the place of another one, proves itself, or goes back.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::{format, vec};
use core::time::Duration;

use super::super::trial::Verdict;
use super::super::{Env, UpdatesEvent, rule};
use super::{Follow, Look, Step, Task};
use crate::model::command::{CommandError, Reply};
use crate::model::id::EffectId;
use crate::model::ident::PackageIdent;
use crate::model::io::{Effect, EffectResult};
use crate::model::planted::Bug;
use crate::model::time::Instant;
use crate::model::update::{FetchFault, Refused, UpdateStep};
use crate::store::build::{self as row, Builds, Chosen};

impl Follow {
    /// A fetch or a preflight has its result.
    pub(super) fn came(&mut self, build: &PackageIdent, result: &EffectResult, env: &mut Env<'_, '_>) {
        self.step = Step::None;
        if let EffectResult::Fetched { .. } = result {
            let is_known = self.misfit.as_ref().is_some_and(|(misfit, _)| misfit == build);
            if !is_known {
                let runs = self.builds.runs.clone();
                self.report(UpdateStep::Fetched, (Some(build), runs.as_ref()), None, env);
            }
            self.begin(build.clone(), Task::Preflight, env);
        } else if let EffectResult::FetchFailed { fault, reason } = result {
            self.did_not_come(build, *fault, reason, env);
        } else if let EffectResult::PreflightFailed { reason } = result {
            self.failed(Some(build), reason, env);
        } else if let EffectResult::Preflighted { misfits } = result {
            if misfits.is_empty() || env.planted.has(Bug::MisfitsIgnored) {
                self.misfit = None;
                self.store(build, env);
            } else {
                self.held_back(build, &misfits.join("; "), env);
            }
        }
    }

    pub(super) fn did_not_come(
        &mut self,
        build: &PackageIdent,
        fault: FetchFault,
        reason: &str,
        env: &mut Env<'_, '_>,
    ) {
        if fault == FetchFault::Lost && !env.planted.has(Bug::LostCountsAsFailed) {
            self.failed(Some(build), reason, env);
            // The channel may have left it meanwhile.
            return self.look_afresh(self.pause_until.unwrap_or_else(|| env.now()));
        }
        let runs = self.builds.runs.clone();
        self.refuse(build, reason, env);
        self.report(UpdateStep::Refused, (Some(build), runs.as_ref()), Some(reason), env);
    }

    pub(super) fn look_afresh(&mut self, at: Instant) {
        if self.builds.ordered.is_none() {
            (self.found, self.look) = (None, Look::Due(at));
        }
    }

    pub(super) fn held_back(&mut self, build: &PackageIdent, why: &str, env: &mut Env<'_, '_>) {
        let misfit = Some((build.clone(), String::from(why)));
        if self.misfit != misfit {
            let runs = self.builds.runs.clone();
            self.report(UpdateStep::HeldBack, (Some(build), runs.as_ref()), Some(why), env);
        }
        self.misfit = misfit;
        self.pause_until = Some(env.now() + Duration::from_millis(env.poll_ms));
        self.waits = Some(format!("{build} does not fit here: {why}"));
    }

    /// A build is not tried here any more.
    pub(super) fn refuse(&mut self, build: &PackageIdent, reason: &str, env: &mut Env<'_, '_>) {
        let left = self.found.as_ref().is_none_or(|found| found.head() != Some(build));
        if !env.planted.has(Bug::RefusedTriedAgain) {
            let reason = row::reason(reason);
            self.builds.refused = Some(Refused { ident: build.clone(), reason, left });
        }
        if self.builds.ordered.as_ref() == Some(build) {
            self.builds.ordered = None;
        }
        assert!(self.builds.ordered.as_ref() != Some(build), "what is refused is not ordered");
        self.note(env);
    }

    /// The disk is told that this build is to run, before anything that runs is touched.
    pub(super) fn store(&mut self, build: &PackageIdent, env: &mut Env<'_, '_>) {
        let next = self.replaced(build, env);
        let effect = env.ctx.effect(Effect::Persist { writes: vec![row::store(&next)], sync: true });
        env.effects.insert(effect, (self.service.clone(), Task::Store));
        self.step = Step::Storing { build: build.clone(), effect, row: Box::new(next) };
        if env.planted.has(Bug::ReplacedUnstored) {
            self.begun(&build.clone(), env);
        }
    }

    /// The record once this build is to run.
    pub(super) fn replaced(&self, build: &PackageIdent, env: &Env<'_, '_>) -> Builds {
        let builds = &self.builds;
        assert!(build.is_fully_qualified(), "exactly one build takes a place");
        assert!(build.service_name() == self.service, "a build takes the place of one of its own service");
        // What was stopped by an operator is not known to be ill.
        let was_well = !self.is_wanted || self.trial.is_proved(env.now(), env.planted);
        let before = if was_well { builds.runs.clone() } else { builds.before.clone() };
        let ordered = builds.ordered.as_ref() == Some(build);
        let over = |found| rule::target(builds, self.way.condition, found, true).cloned();
        let chosen = Chosen { over: self.found.as_ref().and_then(over).filter(|over| over != build) };
        let next = Builds {
            before: before.filter(|before| before != build),
            runs: Some(build.clone()),
            on_trial: true,
            ordered: builds.ordered.clone().filter(|ordered| ordered != build),
            chosen: ordered.then_some(chosen),
            ..builds.clone()
        };
        assert!(next.before != next.runs, "a build goes back to another one");
        assert!(next.ordered != next.runs, "an order that is carried out is no order any more");
        next
    }

    pub(super) fn stored(&mut self, effect: EffectId, result: &EffectResult, env: &mut Env<'_, '_>) {
        let failure =
            if let EffectResult::PersistFailed(reason) | EffectResult::PersistRefused(reason) = result {
                Some(reason)
            } else {
                None
            };
        if let Some(ordering) = self.ordering.take_if(|ordering| ordering.effect == effect) {
            let reply = match failure {
                Some(reason) => Reply::Failed(CommandError::NotDurable(reason.clone())),
                None => {
                    self.builds = Self::ordered(&self.builds, &ordering.to);
                    (self.pause_until, self.failures, self.misfit) = (None, 0, None);
                    let runs = self.builds.runs.clone();
                    self.report(UpdateStep::Ordered, (Some(&ordering.to), runs.as_ref()), None, env);
                    Reply::Done
                }
            };
            env.tell(UpdatesEvent::Reply(ordering.request, reply));
            return;
        }
        let Step::Storing { build, effect: of, row } = self.step.clone() else { return };
        if of != effect {
            return;
        }
        self.step = Step::None;
        match failure {
            Some(reason) => {
                self.failed(Some(&build), reason, env);
            }
            None if build.satisfies(&self.builds.of) => {
                self.begun(&build, env);
                if self.builds != *row {
                    // Something else of the record changed while the disk was at it.
                    self.note(env);
                }
            }
            None => {}
        }
    }

    /// The disk knows: another build takes the place of what runs.
    pub(super) fn begun(&mut self, build: &PackageIdent, env: &mut Env<'_, '_>) {
        if self.builds.runs.as_ref() == Some(build) {
            return;
        }
        let from = self.builds.runs.clone();
        self.builds = self.replaced(build, env);
        self.trial.forget();
        (self.fault, self.waits, self.failures) = (None, None, 0);
        let after = self.report(UpdateStep::Begun, (Some(build), from.as_ref()), None, env);
        let service = self.service.clone();
        env.tell(UpdatesEvent::Replace { service, reason: "another build is to run", after });
    }

    /// The verdict on a build that is on trial.
    pub(super) fn judge(&mut self, env: &mut Env<'_, '_>) {
        if !self.builds.on_trial {
            return;
        }
        match self.trial.verdict(self.fault.as_ref(), env.now(), env.planted) {
            Verdict::Open => {}
            Verdict::Proved => {
                self.builds.on_trial = false;
                self.note(env);
                let runs = self.builds.runs.clone();
                let before = self.builds.before.clone();
                self.report(UpdateStep::Done, (runs.as_ref(), before.as_ref()), None, env);
            }
            Verdict::Failed(reason) if !env.planted.has(Bug::FailedBuildStays) => self.go_back(&reason, env),
            Verdict::Failed(_) => self.trial.overlook(),
        }
    }

    /// What runs has failed: the build before takes its place again, and the disk is told at its leisure.
    pub(super) fn go_back(&mut self, reason: &str, env: &mut Env<'_, '_>) {
        let Some(before) = self.builds.before.take() else { return self.trial.overlook() };
        let Some(bad) = self.builds.runs.replace(before.clone()) else { return };
        assert!(before != bad, "a build goes back to another one");
        (self.builds.on_trial, self.builds.chosen) = (false, None);
        self.refuse(&bad, reason, env);
        self.trial.forget();
        self.fault = None;
        let after = self.report(UpdateStep::RolledBack, (Some(&before), Some(&bad)), Some(reason), env);
        let service = self.service.clone();
        env.tell(UpdatesEvent::Replace { service, reason: "its build failed", after });
    }
}
