//! The updates of one service: what is asked of the runtime, in which order, and what is on disk before a build takes the
//! place of another. How a build comes and takes its place is in `take`.

mod take;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use super::trial::Trial;
use super::{Env, UpdatesEvent, rule};
use crate::model::command::{CommandError, Reply};
use crate::model::context::Follows;
use crate::model::event::EventKind;
use crate::model::id::{EffectId, EventId, RequestId, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::{Effect, EffectResult};
use crate::model::limits::{Limit, SERVICE_COMMANDS_MAX};
use crate::model::service::{UpdateCondition, UpdateStrategy};
use crate::model::time::Instant;
use crate::model::update::{Found, Subject, UpdateStep, UpdateView};
use crate::store::build::{self as row, Builds};

/// Members that start together do not look together: the first look is at a random time in this.
const FIRST_LOOK_MS: u64 = 2_000;
/// Between two looks where the runtime keeps the question until there is news.
const LOOK_MS_MIN: u64 = 1_000;
/// Between two tries, at most.
const BACKOFF_MS_MAX: u64 = 3_600_000;

/// What the runtime does for a service's updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    LookUp,
    Fetch,
    Preflight,
    Store,
}

impl Task {
    /// Whether a result answers it.
    pub(super) const fn fits(self, result: &EffectResult) -> bool {
        use EffectResult as R;
        matches!(
            (self, result),
            (Self::LookUp, R::LookedUp { .. } | R::LookUpFailed { .. })
                | (Self::Fetch, R::Fetched { .. } | R::FetchFailed { .. })
                | (Self::Preflight, R::Preflighted { .. } | R::PreflightFailed { .. })
                | (Self::Store, R::Persisted | R::PersistFailed(_) | R::PersistRefused(_))
        )
    }
}

/// What of a spec updates go by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    ident: PackageIdent,
    strategy: UpdateStrategy,
    condition: UpdateCondition,
    channel: String,
    url: String,
}

impl Way {
    fn of(subject: &Subject<'_>) -> Self {
        let spec = subject.spec;
        Self {
            ident: spec.ident.clone(),
            strategy: spec.update_strategy,
            condition: spec.update_condition,
            channel: spec.channel.clone(),
            url: spec.bldr_url.clone(),
        }
    }

    /// Whether builds are looked for.
    fn looks(&self) -> bool {
        self.strategy == UpdateStrategy::AtOnce && !self.ident.is_fully_qualified()
    }
}

/// The look for builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Due(Instant),
    Asked { effect: EffectId, at: Instant },
}

/// How far a build has come on its way here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    None,
    /// The runtime has not been asked yet, or is.
    Coming {
        build: PackageIdent,
        task: Task,
        effect: Option<EffectId>,
    },
    /// The disk is told that it is to run.
    Storing {
        build: PackageIdent,
        effect: EffectId,
        row: Box<Builds>,
    },
}

/// An order on its way to the disk.
#[derive(Debug)]
struct Ordering {
    request: RequestId,
    to: PackageIdent,
    effect: EffectId,
}

/// One service.
#[derive(Debug)]
pub(super) struct Follow {
    service: ServiceName,
    way: Way,
    is_wanted: bool,
    builds: Builds,
    trial: Trial,
    /// What its build is to blame for, while it rests after a failure.
    fault: Option<String>,
    look: Look,
    found: Option<Found>,
    step: Step,
    /// Nothing is tried before.
    pause_until: Option<Instant>,
    /// In a row.
    failures: u32,
    /// The build that did not fit, and why.
    misfit: Option<(PackageIdent, String)>,
    waits: Option<String>,
    ordering: Option<Ordering>,
    orders: VecDeque<(RequestId, PackageIdent)>,
    last: Option<EventId>,
}

impl Follow {
    pub(super) fn new(
        service: &ServiceName,
        subject: &Subject<'_>,
        restored: Option<Builds>,
        env: &mut Env<'_, '_>,
    ) -> Self {
        let way = Way::of(subject);
        let builds = restored.unwrap_or_else(|| Builds::new(service.clone(), way.ident.clone()));
        assert!(builds.service == *service && builds.of == way.ident, "a record is one of its service");
        Self {
            service: service.clone(),
            look: Look::Due(Self::first_look(&way, env)),
            way,
            is_wanted: subject.is_wanted,
            builds,
            trial: Trial::default(),
            fault: None,
            found: None,
            step: Step::None,
            pause_until: None,
            failures: 0,
            misfit: None,
            waits: None,
            ordering: None,
            orders: VecDeque::new(),
            last: None,
        }
    }

    fn first_look(way: &Way, env: &mut Env<'_, '_>) -> Instant {
        if !way.looks() {
            return env.now();
        }
        env.now() + Duration::from_millis(env.rng.between(0, FIRST_LOOK_MS.min(env.poll_ms)))
    }

    pub(super) const fn builds(&self) -> &Builds {
        &self.builds
    }

    pub(super) const fn handle_reported(&mut self, event: EventId) {
        self.last = Some(event);
    }

    /// The operators that wait for an answer.
    pub(super) fn take_requests(&mut self) -> Vec<RequestId> {
        let under_way = self.ordering.take().map(|ordering| ordering.request);
        under_way.into_iter().chain(self.orders.drain(..).map(|(request, _)| request)).collect()
    }

    /// The service is so now.
    pub(super) fn handle_service(&mut self, subject: &Subject<'_>, env: &mut Env<'_, '_>) {
        let way = Way::of(subject);
        if way != self.way {
            if way.ident != self.way.ident {
                // The newest build is chosen again.
                self.builds = Builds::new(self.service.clone(), way.ident.clone());
                self.trial.forget();
            }
            self.way = way;
            (self.found, self.misfit, self.pause_until, self.failures) = (None, None, None, 0);
            if !matches!(self.step, Step::Storing { .. }) {
                self.step = Step::None;
            }
            self.look = Look::Due(Self::first_look(&self.way, env));
        }
        self.is_wanted = subject.is_wanted;
        self.fault = subject.fault.filter(|_| subject.is_wanted).map(row::reason);
        self.trial.observe(subject, env.now());
        self.go_on(env);
    }

    /// What the service's templates know has changed.
    pub(super) fn handle_facts(&mut self, env: &mut Env<'_, '_>) {
        if self.misfit.is_some() {
            self.pause_until = None;
            self.go_on(env);
        }
    }

    /// This build was made ready to run, or runs.
    pub(super) fn handle_build(&mut self, build: &PackageIdent, env: &mut Env<'_, '_>) {
        if self.builds.runs.is_none() && build.is_fully_qualified() && build.satisfies(&self.builds.of) {
            self.builds.runs = Some(build.clone());
            self.note(env);
            self.go_on(env);
        }
    }

    /// The record changed in a way that a restart may forget: what it stands for would happen again.
    fn note(&self, env: &mut Env<'_, '_>) {
        env.tell(UpdatesEvent::Note { row: row::store(&self.builds) });
    }

    fn report(
        &mut self,
        step: UpdateStep,
        (build, from): (Option<&PackageIdent>, Option<&PackageIdent>),
        reason: Option<&str>,
        env: &mut Env<'_, '_>,
    ) -> Follows {
        let kind = EventKind::UpdateChanged {
            service: self.service.clone(),
            step,
            build: build.cloned(),
            from: from.cloned(),
            reason: reason.map(String::from),
        };
        let event = env.ctx.event(self.last.into(), kind);
        self.last = Some(event);
        Follows::Event(event)
    }

    /// An operator orders a build.
    pub(super) fn handle_order(&mut self, request: RequestId, to: PackageIdent, env: &mut Env<'_, '_>) {
        if self.orders.len() >= SERVICE_COMMANDS_MAX {
            let refused = CommandError::Limit(Limit::ServiceCommands);
            return env.tell(UpdatesEvent::Reply(request, Reply::Failed(refused)));
        }
        assert!(to.is_fully_qualified(), "an order names one build");
        self.orders.push_back((request, to));
        self.take_order(env);
    }

    /// The next order goes to the disk.
    fn take_order(&mut self, env: &mut Env<'_, '_>) {
        while self.ordering.is_none() && !matches!(self.step, Step::Storing { .. }) {
            let Some((request, to)) = self.orders.pop_front() else { return };
            let runs = self.builds.runs.as_ref() == Some(&to);
            let same =
                if runs { self.builds.ordered.is_none() } else { self.builds.ordered.as_ref() == Some(&to) };
            if same {
                self.pause_until = None;
                env.tell(UpdatesEvent::Reply(request, Reply::Unchanged));
                self.go_on(env);
                continue;
            }
            let ordered = Self::ordered(&self.builds, &to);
            let effect = Effect::Persist { writes: vec![row::store(&ordered)], sync: true };
            let effect = env.ctx.effect(effect);
            env.effects.insert(effect, (self.service.clone(), Task::Store));
            self.ordering = Some(Ordering { request, to, effect });
        }
    }

    /// The record with this order, which lifts what stood against the build. To order what runs takes an order back.
    fn ordered(builds: &Builds, to: &PackageIdent) -> Builds {
        let runs = builds.runs.as_ref() == Some(to);
        let refused = builds.refused.clone().filter(|refused| refused.ident != *to);
        Builds { ordered: (!runs).then(|| to.clone()), refused, ..builds.clone() }
    }

    /// The effect that an event asked for has this number.
    pub(super) fn handle_begun(&mut self, begun: EffectId) -> Option<Task> {
        let Step::Coming { effect, task, .. } = &mut self.step else { return None };
        if effect.is_some() {
            return None;
        }
        *effect = Some(begun);
        Some(*task)
    }

    /// A task has its result.
    pub(super) fn handle_done(
        &mut self,
        effect: EffectId,
        task: Task,
        result: &EffectResult,
        env: &mut Env<'_, '_>,
    ) {
        assert!(task.fits(result), "only results that fit come here");
        match task {
            Task::LookUp => self.looked_up(effect, result, env),
            Task::Store => self.stored(effect, result, env),
            Task::Fetch | Task::Preflight => {
                let Step::Coming { build, effect: of, .. } = &self.step else { return };
                if *of == Some(effect) {
                    let build = build.clone();
                    self.came(&build, result, env);
                }
            }
        }
        self.go_on(env);
    }

    fn looked_up(&mut self, effect: EffectId, result: &EffectResult, env: &mut Env<'_, '_>) {
        let Look::Asked { effect: asked, at } = self.look else { return };
        if asked != effect {
            return;
        }
        if let EffectResult::LookedUp { found, waits } = result {
            self.answered(found, *waits, at, env);
        } else if let EffectResult::LookUpFailed { reason } = result {
            self.failed(None, reason, env);
            self.look = Look::Due(self.pause_until.unwrap_or_else(|| env.now()));
        }
    }

    /// The depot has answered a question that was asked then.
    fn answered(&mut self, found: &Found, waits: bool, asked_at: Instant, env: &mut Env<'_, '_>) {
        (self.failures, self.pause_until) = (0, None);
        let pause = if waits {
            (asked_at + Duration::from_millis(LOOK_MS_MIN)).saturating_since(env.now())
        } else {
            let shortest = env.poll_ms - env.poll_ms / 4;
            Duration::from_millis(env.rng.between(shortest, env.poll_ms))
        };
        self.look = Look::Due(env.now() + pause);
        self.head_is(found.head(), env);
        let is_news = self.found.as_ref() != Some(found);
        self.found = Some(found.clone());
        self.choose_over(env);
        if is_news {
            self.tell_seen(env);
        }
    }

    fn tell_seen(&mut self, env: &mut Env<'_, '_>) {
        let target = self
            .found
            .as_ref()
            .and_then(|found| rule::target(&self.builds, self.way.condition, found, false).cloned());
        if let Some(target) = target {
            let runs = self.builds.runs.clone();
            self.report(UpdateStep::Seen, (Some(&target), runs.as_ref()), None, env);
        }
    }

    /// The channel names this build now. A refused one counts again once the channel has left it and comes back to it.
    fn head_is(&mut self, head: Option<&PackageIdent>, env: &mut Env<'_, '_>) {
        let Some(refused) = &mut self.builds.refused else { return };
        let is_it = head == Some(&refused.ident);
        if is_it && refused.left {
            self.builds.refused = None;
            self.note(env);
        } else if !is_it && !refused.left {
            refused.left = true;
            self.note(env);
        }
    }

    /// A try came to nothing, and is made again after a while.
    fn failed(&mut self, build: Option<&PackageIdent>, reason: &str, env: &mut Env<'_, '_>) {
        self.failures = self.failures.saturating_add(1);
        let doublings = (self.failures - 1).min(16);
        let longest = env.poll_ms.saturating_mul(1 << doublings).min(BACKOFF_MS_MAX.max(env.poll_ms));
        let wait = Duration::from_millis(env.rng.between(longest / 2, longest).max(1));
        self.pause_until = Some(env.now() + wait);
        self.waits = Some(match build {
            Some(build) => format!("{build} is not here yet: {reason}"),
            None => format!("newer builds cannot be looked for: {reason}"),
        });
        if self.failures == 1 {
            let runs = self.builds.runs.clone();
            self.report(UpdateStep::Failed, (build, runs.as_ref()), Some(reason), env);
        }
        assert!(self.pause_until.is_some_and(|until| until > env.now()), "tries have a pause between them");
    }

    /// Takes the next step, if one is due. Idempotent.
    fn go_on(&mut self, env: &mut Env<'_, '_>) {
        self.judge(env);
        self.take_order(env);
        self.decide(env);
        self.look(env);
    }

    /// The build that is to take the place of what runs.
    fn target(&self) -> Option<PackageIdent> {
        if let Some(ordered) = &self.builds.ordered {
            return Some(ordered.clone());
        }
        let on_trial = self.builds.on_trial && self.builds.before.is_some();
        if !self.way.looks() || !self.is_wanted || on_trial {
            return None;
        }
        let found = self.found.as_ref()?;
        let target = rule::target(&self.builds, self.way.condition, found, false).cloned();
        let stands = self.builds.chosen.as_ref().is_some_and(|chosen| {
            let would = rule::target(&self.builds, self.way.condition, found, true);
            chosen.over.is_none() || chosen.over.as_ref() == would
        });
        target.filter(|_| !stands)
    }

    /// An operator spoke before it was known what else was there: it is what is there now.
    fn choose_over(&mut self, env: &mut Env<'_, '_>) {
        let Some(found) = &self.found else { return };
        let would = rule::target(&self.builds, self.way.condition, found, true).cloned();
        let Some(chosen) = &mut self.builds.chosen else { return };
        if chosen.over.is_none() && would.is_some() {
            chosen.over = would;
            self.note(env);
        }
    }

    /// Begins what has to be done for the build that is to run.
    fn decide(&mut self, env: &mut Env<'_, '_>) {
        if matches!(self.step, Step::Storing { .. }) || self.ordering.is_some() {
            return;
        }
        let Some(target) = self.target() else {
            self.step = Step::None;
            self.misfit = None;
            if self.failures == 0 {
                self.waits = self.why_not();
            }
            return;
        };
        if self.pause_until.is_some_and(|until| until > env.now()) {
            return;
        }
        self.pause_until = None;
        match &self.step {
            Step::Coming { build, .. } if *build == target => {}
            Step::None | Step::Coming { .. } => {
                self.waits = Some(format!("{target} is being fetched and tried"));
                self.begin(target, Task::Fetch, env);
            }
            Step::Storing { .. } => {}
        }
    }

    /// Why what was found does not run; none where nothing is to be taken.
    fn why_not(&self) -> Option<String> {
        let found = self.found.as_ref()?;
        let would = rule::target(&self.builds, self.way.condition, found, true)?;
        if self.builds.chosen.is_some() {
            return Some(format!("{would} waits: an operator chose what runs; the next one is taken again"));
        }
        let refused = self.builds.refused.as_ref().filter(|refused| refused.ident == *would)?;
        Some(format!("{would} is refused here until its channel comes to it anew: {}", refused.reason))
    }

    fn begin(&mut self, build: PackageIdent, task: Task, env: &mut Env<'_, '_>) {
        assert!(matches!(task, Task::Fetch | Task::Preflight), "a build comes by these two steps");
        assert!(build.is_fully_qualified(), "exactly one build is fetched and tried");
        let service = self.service.clone();
        self.step = Step::Coming { build: build.clone(), task, effect: None };
        env.tell(if task == Task::Fetch {
            let (channel, url) = (self.way.channel.clone(), self.way.url.clone());
            UpdatesEvent::Fetch { service, build, channel, url }
        } else {
            UpdatesEvent::Preflight { service, build }
        });
    }

    /// Whether a look makes sense now.
    fn may_look(&self) -> bool {
        let on_trial = self.builds.on_trial && self.builds.before.is_some();
        self.way.looks()
            && self.is_wanted
            && self.builds.runs.is_some()
            && self.step == Step::None
            && !on_trial
    }

    fn look(&mut self, env: &mut Env<'_, '_>) {
        let Look::Due(at) = self.look else { return };
        if at > env.now() || !self.may_look() {
            return;
        }
        assert!(self.builds.runs.is_some(), "what looks for another build runs one");
        let effect = Effect::LookUp {
            service: self.service.clone(),
            ident: self.way.ident.clone(),
            channel: self.way.channel.clone(),
            url: self.way.url.clone(),
            seen: self.found.clone().map(Box::new),
        };
        let effect = env.ctx.effect(effect);
        env.effects.insert(effect, (self.service.clone(), Task::LookUp));
        self.look = Look::Asked { effect, at: env.now() };
    }

    pub(super) fn handle_timeout(&mut self, env: &mut Env<'_, '_>) {
        self.go_on(env);
        assert!(self.poll_timeout() > env.now(), "what is due is done");
    }

    /// When the next step is due by itself.
    pub(super) fn poll_timeout(&self) -> Instant {
        let look = if let Look::Due(at) = self.look { Some(at).filter(|_| self.may_look()) } else { None };
        let trial = self.trial.poll_timeout().filter(|_| self.builds.on_trial);
        let is_idle = !matches!(self.step, Step::Storing { .. }) && self.ordering.is_none();
        let pause = self.pause_until.filter(|_| is_idle && self.has_target());
        [look, trial, pause].into_iter().flatten().min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Whether a build is to be taken once its pause is over.
    fn has_target(&self) -> bool {
        self.target().is_some()
    }

    pub(super) fn view(&self) -> UpdateView {
        let Builds { runs, before, on_trial, refused, ordered, .. } = self.builds.clone();
        let (found, waits) = (self.found.clone(), self.waits.clone());
        UpdateView { runs, before, on_trial, refused, ordered, found, waits }
    }
}
