//! Decides which services run on this host, and takes the steps from the desired to the actual state.
//!
//! [`Services`] holds one machine per service and decides every step of it; it may reach processes, packages and disks
//! through effects only, and the ring through [`Around`].
//!
//! ```text
//!            ┌→ waiting (binds, a leader) ─┐
//! (load) → loaded → starting ─Prepare─init─Spawn→ up ─told, drained, Signal→ stopping ─exit, post-stop→ down
//!                       ↑  │ failed               │ exit                         │ still wanted
//!                       └─ backoff ←──────────────┘                              └→ starting
//!                            └ too often → failed
//! ```
//!
//! A change of a spec is one transaction, stored before anything else happens: the command is answered and the
//! process touched only after `Persisted`. Commands about one service are carried out one after the other.
//! `load`, `start`, `update` and `maintain` are answered when the wish is on disk, `stop` and `unload` when no process
//! is left, `drain` when no request is in flight any more or its time is up.
//!
//! An order to stop ends hooks: a running init at once, those beside a process with its signal. The post-stop hook is a
//! stop's last step; a second order to leave ends it, and begins none. A stop that the disk does not take is carried out
//! and answered as such, and stored later: what is stopped may be what fills the disk.
//!
//! # Leading
//!
//! In a group with a leader, acting is what processes do: from the moment at which a file or hook may say that the service
//! leads until no process is left or its demotion has succeeded. `instance/acting` has the order of the steps. What the
//! supervisor itself decides costs no term, within bounds; what it did not decide does:
//!
//! | what happens to a healthy leader | the lead |
//! |---|---|
//! | its process is replaced (configuration, a file, its promotion) | kept until 10 s after the old tree's end |
//! | stop, unload, or the supervisor leaves | renewed while that takes its time; given away when no process is left |
//! | the same, demoted in place | given away first; then it drains as a follower |
//! | an operator's drain | renewed while it drains; demoted when it is drained, and stays |
//! | it falls ill, crashes, or goes into maintenance | given away at once |
//!
//! # How `node/` wires it
//!
//! - Every verb gets the [`Context`], and an [`Around`] that answers its questions about the ring.
//! - Build it with [`Services::new`] from the snapshot's specs, the processes that outlived the last supervisor and a
//!   fork of the node's generator; nothing starts before the first [`Services::handle_timeout`], which
//!   [`Services::poll_timeout`] asks for at once. Withdraw this member's own restored service rumors before that, but
//!   those that [`Services::told`] names: a service that starts is announced anew.
//! - Commands go to `handle_ask` with their request id; each is answered by one [`ServiceEvent::Reply`], now or later.
//! - [`Services::handle_effect_done`] takes every effect's result and says whether the effect was one of its own.
//! - `handle_timeout` whenever `poll_timeout` is due (wake reason `Service`), and, while `is_announcing`, whenever another
//!   member knows or [`Around::is_told`] may have become true by time.
//! - `handle_facts` when the ring has news of a group that [`Services::watches`]; `handle_role` when an election has.
//! - Elections ask for [`Services::fitness`], again at each [`ServiceEvent::Fitness`]. An election that takes the lead away
//!   says so with `handle_yield` and the next role, and tells its voters only when [`Services::acts`] is false, of which
//!   [`ServiceEvent::ActsNoLonger`] tells.
//! - To leave: `handle_leave`, then wait for [`ServiceEvent::AllStopped`]; `handle_hurry` skips the waits, and the
//!   second time kills.
//! - After each of these, drain [`Services::poll_event`].
//! - [`Services::views`] is `Node::services`; `store::service` reads a row of `Table::Service` for the snapshot.

mod around;
mod backoff;
mod binds;
mod command;
mod deadline;
mod event;
mod instance;
mod outbox;
mod purpose;
#[cfg(test)]
mod tests;
mod work;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

pub(crate) use around::Around;
pub(crate) use command::Ask;
pub(crate) use event::{Announcement, ServiceEvent, Statement};

use crate::model::command::{CommandError, Reply};
use crate::model::config::{Config, Timings};
use crate::model::context::{Context, Follows, earliest};
use crate::model::election::{Fitness, Role};
use crate::model::id::{EffectId, EventId, RequestId, ServiceGroup, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::{Effect, EffectResult, WakeReason};
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::service::{DesiredState, ServiceSpec, ServiceView};
use crate::model::time::Instant;
use crate::model::update::Subject;
use crate::store::snapshot::RunningService;
use backoff::Backoff;
use command::{Change, NotStored};
use instance::{Env, Instance};
use outbox::Outbox;
use purpose::{Errand, Leaving, Purpose};

/// The service of one name and the commands about it. It outlives the service while commands wait.
#[derive(Debug, Default)]
struct Slot {
    instance: Option<Instance>,
    change: Option<Change>,
    waiting: VecDeque<(RequestId, Ask)>,
    /// The event that moved it last: its own, or one that the node carried to it.
    last: Option<EventId>,
}

/// The cause of a service's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Impulse {
    /// A cause from outside: an operator, a process that ended by itself, the event of another component.
    Outside(Follows),
    /// A step that the service's last event began goes on: a wait is over, an effect has its result.
    Onward,
}

impl Slot {
    /// Whether commands have to wait: for the disk, or for the end of a service that was unloaded.
    fn is_busy(&self) -> bool {
        self.change.is_some() || self.instance.as_ref().is_some_and(Instance::is_removing)
    }

    fn is_empty(&self) -> bool {
        self.instance.is_none() && self.change.is_none() && self.waiting.is_empty()
    }
}

/// All services of one supervisor.
#[derive(Debug)]
pub(crate) struct Services {
    slots: BTreeMap<ServiceName, Slot>,
    outbox: Outbox,
    leaving: Leaving,
    all_stopped: bool,
    /// The groups whose changes concern a service here.
    watched: BTreeSet<ServiceGroup>,
    org: Option<String>,
    backoff: Backoff,
    planted: Planted,
    rng: Rng,
}

/// The state that services start from.
pub(crate) struct Beginning<'a> {
    pub(crate) timings: &'a Timings,
    pub(crate) org: Option<String>,
    pub(crate) planted: Planted,
    /// Specs on the disk.
    pub(crate) specs: Vec<ServiceSpec>,
    /// Processes that outlived the last supervisor.
    pub(crate) running: Vec<RunningService>,
}

impl<'a> Beginning<'a> {
    pub(crate) fn new(config: &'a Config, specs: Vec<ServiceSpec>, running: Vec<RunningService>) -> Self {
        let (org, planted) = (config.org.clone(), config.planted);
        Self { timings: &config.timings, org, planted, specs, running }
    }
}

impl Services {
    /// The services that the specs name, to be started, adopted or left alone at the first
    /// [`Self::handle_timeout`]. A process without a spec is adopted to be stopped.
    pub(crate) fn new(ctx: &mut Context<'_>, around: &dyn Around, begin: Beginning<'_>, rng: Rng) -> Self {
        let mut services = Self {
            slots: BTreeMap::new(),
            outbox: Outbox::default(),
            leaving: Leaving::No,
            all_stopped: false,
            watched: BTreeSet::new(),
            org: begin.org,
            backoff: Backoff::new(begin.timings),
            planted: begin.planted,
            rng,
        };
        let mut running: BTreeMap<ServiceName, RunningService> =
            begin.running.into_iter().map(|kept| (kept.service.clone(), kept)).collect();
        for mut spec in begin.specs {
            if begin.planted.has(Bug::StopForgotten) {
                spec.desired = DesiredState::Up;
            }
            let kept = running.remove(&spec.name());
            services.create(ctx, around, spec, kept, "its spec was on the disk");
        }
        for (name, kept) in running {
            let spec = ServiceSpec::new(kept.ident.clone());
            // A process that the launcher holds under another service's name is not adopted.
            if spec.name() == name {
                services.create(ctx, around, spec, Some(kept), "its process has no spec");
                let instance = services.slots.get_mut(&name).and_then(|slot| slot.instance.as_mut());
                instance.expect("it was just created").disown();
            }
        }
        assert!(services.slots.values().all(|slot| slot.change.is_none()), "no change is under way");
        services
    }

    /// What the ring believes of the services here, by their own books.
    pub(crate) fn told(&self) -> impl Iterator<Item = Statement<'_>> {
        self.instances().flat_map(Instance::statements)
    }

    /// Whether a process that outlived the last supervisor serves this group and was not announced by this one yet.
    pub(crate) fn inherits(&self, group: &ServiceGroup) -> bool {
        self.told().any(|told| told.group == group && told.announced.is_none())
    }

    /// Stops every service, all at the same time, and takes no more commands. Specs keep their desired state.
    pub(crate) fn handle_leave(&mut self, ctx: &mut Context<'_>, around: &dyn Around, drain: bool) {
        if self.leaving != Leaving::No {
            return;
        }
        // The last occasion for what the disk did not take.
        self.store_again(ctx.now, Instant::FAR_FUTURE);
        self.leaving = Leaving::Polite { drain };
        assert!(!self.all_stopped, "a supervisor that leaves has not stopped yet");
        for slot in self.slots.values_mut() {
            for (request, _) in slot.waiting.drain(..) {
                let refusal = Reply::Failed(CommandError::Leaving);
                mutated!(
                    WaitingCommandsDropped,
                    self.outbox.tell(ServiceEvent::Reply(request, refusal)),
                    drop(refusal)
                );
            }
        }
        self.reconcile_all(ctx, around, Impulse::Outside(ctx.after));
    }

    /// While leaving: skips the waits; the second time kills the processes that still run.
    pub(crate) fn handle_hurry(&mut self, ctx: &mut Context<'_>, around: &dyn Around) {
        self.leaving = match self.leaving {
            Leaving::No => return,
            Leaving::Polite { .. } => Leaving::Hurried,
            Leaving::Hurried | Leaving::Killing => Leaving::Killing,
        };
        assert!(self.leaving > Leaving::Polite { drain: true }, "a supervisor that leaves never slows down");
        self.reconcile_all(ctx, around, Impulse::Outside(ctx.after));
    }

    /// Takes the steps whose time has come.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>, around: &dyn Around) {
        self.store_again(ctx.now, ctx.now);
        self.reconcile_all(ctx, around, Impulse::Onward);
    }

    /// The ring has news of these groups, by these events.
    pub(crate) fn handle_facts(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        groups: &BTreeMap<ServiceGroup, Follows>,
    ) {
        let names: Vec<ServiceName> = self.slots.keys().cloned().collect();
        for name in names {
            let instance = self.slots.get(&name).and_then(|slot| slot.instance.as_ref());
            let mut of_concern =
                groups.iter().filter(|(group, _)| instance.is_some_and(|i| i.is_concerned(group)));
            if let Some((_, after)) = of_concern.next_back() {
                let moves = instance.is_some_and(Instance::follows_facts);
                let impulse = if moves { Impulse::Outside(*after) } else { Impulse::Onward };
                self.step(ctx, around, &name, impulse, Instance::facts_changed);
            }
        }
    }

    /// The sources of a service's files have changed outside the ring. False when it is not loaded.
    pub(crate) fn handle_render(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        service: &ServiceName,
    ) -> bool {
        let known = self.slots.get(service).is_some_and(|slot| slot.instance.is_some());
        self.step(ctx, around, service, Impulse::Outside(ctx.after), Instance::render_again);
        known
    }

    /// Another build of a service is to run.
    pub(crate) fn handle_replace(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        service: &ServiceName,
        reason: &'static str,
    ) {
        let impulse = Impulse::Outside(ctx.after);
        self.step(ctx, around, service, impulse, |instance, env| instance.replace_build(reason, env));
    }

    /// The effect that tries whether a build could run here; none where the service is not loaded.
    pub(crate) fn preflight(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        service: &ServiceName,
        build: &PackageIdent,
    ) -> Option<Effect> {
        let mut effect = None;
        self.step(ctx, around, service, Impulse::Onward, |instance, env| {
            effect = Some(instance.preflight_effect(build, env));
        });
        effect
    }

    /// What updates have to know of a service; none where it is not loaded.
    pub(crate) fn subject(&self, service: &ServiceName) -> Option<Subject<'_>> {
        let instance = self.slots.get(service)?.instance.as_ref()?;
        Some(instance.subject(self.leaving)).filter(|_| !instance.is_removing())
    }

    /// The election of a service's group has spoken.
    pub(crate) fn handle_role(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        service: &ServiceName,
        role: Role,
    ) {
        let impulse = Impulse::Outside(ctx.after);
        self.step(ctx, around, service, impulse, |instance, env| instance.handle_role(role, env));
    }

    /// The election of a group wants the lead back before another member gets it: the right to resume is withdrawn, and
    /// [`ServiceEvent::ActsNoLonger`] follows once no process acts on it.
    pub(crate) fn handle_yield(&mut self, ctx: &mut Context<'_>, around: &dyn Around, group: &ServiceGroup) {
        let Some(name) = self.name_in(group).cloned() else { return };
        self.step(ctx, around, &name, Impulse::Outside(ctx.after), Instance::handle_yield);
    }

    /// The effect that an event asked for has this number.
    pub(crate) fn handle_effect_begun(&mut self, effect: EffectId, errand: Errand) {
        self.outbox.begun(effect, errand);
    }

    /// Takes an effect's result. False when the effect is none of this component's.
    ///
    /// A result that does not fit its effect moves nothing: the service still awaits the one that fits.
    pub(crate) fn handle_effect_done(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        effect: EffectId,
        result: &EffectResult,
    ) -> bool {
        let Some((name, purpose)) = self.outbox.awaited(effect) else { return false };
        let Some(is_last) = purpose.fits(result) else { return true };
        if is_last {
            self.outbox.answered(effect);
        }
        let is_awaited = self.outbox.awaited(effect).is_some();
        assert!(is_last != is_awaited, "an effect is awaited until its last result");
        match (purpose, result) {
            (Purpose::Persist, EffectResult::PersistFailed(reason)) => {
                self.finish_change(ctx, around, &name, Some(NotStored::Failed(reason)));
            }
            (Purpose::Persist, EffectResult::PersistRefused(reason)) => {
                self.finish_change(ctx, around, &name, Some(NotStored::Refused(reason)));
            }
            (Purpose::Persist, _) => self.finish_change(ctx, around, &name, None),
            _ => {
                let impulse = self.impulse_of(ctx, &name, result);
                self.step(ctx, around, &name, impulse, |instance, env| {
                    instance.handle_result(purpose, result, env);
                });
            }
        }
        self.check_all_stopped();
        true
    }

    /// The cause of a result's consequences: a process that ends by itself begins a new chain of causes.
    fn impulse_of(&self, ctx: &Context<'_>, name: &ServiceName, result: &EffectResult) -> Impulse {
        let instance = self.slots.get(name).and_then(|slot| slot.instance.as_ref());
        let is_told_to_end = instance.is_some_and(Instance::is_stopping);
        if matches!(result, EffectResult::Exited(_)) && !is_told_to_end {
            Impulse::Outside(ctx.after)
        } else {
            Impulse::Onward
        }
    }

    /// A service's change of state was reported as this event.
    pub(crate) fn handle_reported(&mut self, service: &ServiceName, event: EventId) {
        if let Some(slot) = self.slots.get_mut(service) {
            slot.last = Some(event);
        }
    }

    /// The event that consequences of a group's service follow from; only the input once the service is unloaded.
    pub(crate) fn follows(&self, group: &ServiceGroup) -> Follows {
        let of_group = |slot: &&Slot| slot.instance.as_ref().is_some_and(|i| i.group() == group);
        self.slots.values().find(of_group).and_then(|slot| slot.last).into()
    }

    /// When [`Self::handle_timeout`] is due; none while only a command or a result can move a service.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        let deadlines = self.instances().filter_map(|instance| instance.poll_timeout(self.planted));
        earliest(deadlines.map(|at| (at, WakeReason::Service)))
    }

    /// The next event; none when all are taken.
    pub(crate) fn poll_event(&mut self) -> Option<ServiceEvent> {
        self.outbox.take()
    }

    /// The loaded services, in order of name.
    pub(crate) fn views(&self) -> Vec<ServiceView> {
        self.instances().map(Instance::view).collect()
    }

    /// Whether news of this group concerns a service here.
    pub(crate) fn watches(&self, group: &ServiceGroup) -> bool {
        self.watched.contains(group)
    }

    /// The groups whose news concern a service here.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &ServiceGroup> {
        self.watched.iter()
    }

    /// Whether a service waits until the ring knows that it takes no new work.
    pub(crate) fn is_announcing(&self) -> bool {
        self.instances().any(Instance::is_announcing)
    }

    /// One loaded service.
    pub(crate) fn view(&self, name: &ServiceName) -> Option<ServiceView> {
        self.slots.get(name)?.instance.as_ref().map(Instance::view)
    }

    /// The group of a loaded service.
    pub(crate) fn group_of(&self, name: &ServiceName) -> Option<&ServiceGroup> {
        self.slots.get(name)?.instance.as_ref().map(Instance::group)
    }

    /// The service here that is in this group. A group's name says which service it can be.
    fn of_group(&self, group: &ServiceGroup) -> Option<(&ServiceName, &Instance)> {
        let (name, slot) = self.slots.get_key_value(group.service())?;
        let instance = slot.instance.as_ref().filter(|instance| instance.group() == group)?;
        Some((name, instance))
    }

    /// The name of the service here that is in this group.
    pub(crate) fn name_in(&self, group: &ServiceGroup) -> Option<&ServiceName> {
        self.of_group(group).map(|(name, _)| name)
    }

    /// Whether processes here act as this group's leader, or a guard here holds a right to resume. Until it is false,
    /// and [`ServiceEvent::ActsNoLonger`] says when, no other member may lead.
    pub(crate) fn acts(&self, group: &ServiceGroup) -> bool {
        let acts = self.of_group(group).is_some_and(|(_, instance)| instance.acts());
        acts && !self.planted.has(Bug::LeadGivenEarly)
    }

    /// Whether a service here takes part in this group's elections. One that moves to another group or topology does until
    /// its processes are gone.
    pub(crate) fn stands_in(&self, group: &ServiceGroup) -> bool {
        self.of_group(group).is_some_and(|(_, instance)| instance.stands())
    }

    /// The process in this group that outlived the last supervisor and is not adopted yet.
    pub(crate) fn kept_in(&self, group: &ServiceGroup) -> Option<u32> {
        let (_, instance) = self.of_group(group).filter(|(_, instance)| !instance.is_removing())?;
        instance.kept_pid()
    }

    /// How well it would lead this group; none where it has no leader, or no service is here.
    pub(crate) fn fitness(&self, group: &ServiceGroup) -> Option<Fitness> {
        self.of_group(group)?.1.fitness(self.leaving)
    }

    fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.slots.values().filter_map(|slot| slot.instance.as_ref())
    }

    fn create(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        spec: ServiceSpec,
        kept: Option<RunningService>,
        reason: &str,
    ) {
        let after = ctx.after;
        let name = spec.name();
        // An organization can make a restored group too long; `prepare` reports that, the name still stands.
        let group = spec.service_group(self.org.as_deref()).or_else(|_| spec.service_group(None));
        let group = group.expect("specs are checked when they are loaded and when they are decoded");
        let writing_for = self.outbox.writing_for(&name);
        let is_new = self.slots.get(&name).is_none_or(|slot| slot.instance.is_none());
        assert!(is_new, "a service is created once");
        let mut env = Env {
            ctx,
            after,
            around,
            leaving: self.leaving,
            org: self.org.as_deref(),
            backoff: &self.backoff,
            planted: self.planted,
            rng: &mut self.rng,
            outbox: &mut self.outbox,
        };
        let mut instance = Instance::new(spec, group, kept, reason, &mut env);
        instance.await_writing(writing_for);
        self.slots.entry(name).or_default().instance = Some(instance);
        self.watch();
    }

    /// Notes which groups concern the services here.
    fn watch(&mut self) {
        self.watched = self.instances().flat_map(Instance::watched).collect();
        let listens = |instance: &Instance| self.watched.contains(instance.group());
        assert!(self.instances().all(listens), "a service listens to the group that it is in");
    }

    /// Lets one service act, then carries out the commands that waited for it.
    fn step(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        name: &ServiceName,
        impulse: Impulse,
        act: impl FnOnce(&mut Instance, &mut Env<'_, '_>),
    ) {
        let last = self.slots.get_mut(name).map(|slot| &mut slot.last);
        let after = match (impulse, last) {
            (Impulse::Outside(Follows::Event(event)), Some(last)) => Follows::Event(*last.insert(event)),
            (Impulse::Outside(after), _) => after,
            (Impulse::Onward, last) => last.and_then(|last| *last).into(),
        };
        let mut env = Env {
            ctx,
            after,
            around,
            leaving: self.leaving,
            org: self.org.as_deref(),
            backoff: &self.backoff,
            planted: self.planted,
            rng: &mut self.rng,
            outbox: &mut self.outbox,
        };
        if let Some(instance) = self.slots.get_mut(name).and_then(|slot| slot.instance.as_mut()) {
            act(instance, &mut env);
            // It may be in another group from now on.
            if !self.watched.contains(instance.group()) {
                self.watch();
            }
        }
        self.tidy(ctx, around, name);
    }

    fn reconcile_all(&mut self, ctx: &mut Context<'_>, around: &dyn Around, impulse: Impulse) {
        let names: Vec<ServiceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.step(ctx, around, &name, impulse, |instance, env| instance.reconcile(env));
        }
        self.check_all_stopped();
    }

    fn check_all_stopped(&mut self) {
        let is_over = |slot: &Slot| {
            slot.change.is_none() && slot.instance.as_ref().is_none_or(|instance| !instance.holds_up())
        };
        if self.leaving != Leaving::No && !self.all_stopped && self.slots.values().all(is_over) {
            self.all_stopped = true;
            self.outbox.tell(ServiceEvent::AllStopped);
        }
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        self.outbox.tell(ServiceEvent::Reply(request, reply));
    }
}
