//! What runs on this host: desired state against what runs.
//!
//! [`Services`] holds one machine per service and decides every step of it; processes, packages and disks are
//! reached through effects only.
//!
//! ```text
//! (load) → loaded → starting ─Prepare─Spawn→ up ─Signal→ stopping ─exit→ down
//!                       ↑       │ failed      │ exit        │ exit, still wanted
//!                       └── backoff ←─────────┘             └→ starting
//! ```
//!
//! A change of a spec is one transaction, stored before anything else happens: the command is answered and the
//! process touched only after `Persisted`. Commands about one service are carried out one after the other.
//! `load` and `start` are answered when the wish is on disk, `stop` and `unload` when no process is left.
//!
//! # How `node/` wires it
//!
//! - Build it with [`Services::new`] from the snapshot's specs and a fork of the node's generator; nothing starts
//!   before the first [`Services::handle_timeout`], which [`Services::poll_timeout`] asks for at once. Withdraw
//!   this member's own restored service rumors at that time: what starts is announced anew.
//! - Commands go to `handle_load`, `handle_unload`, `handle_start`, `handle_stop` with their request id; each is
//!   answered by one [`ServiceEvent::Reply`], now or later.
//! - [`Services::handle_effect_done`] takes every effect's result and says whether the effect was one of its own.
//! - `handle_timeout` whenever `poll_timeout` is due (wake reason `Service`).
//! - To leave: `handle_leave`, then wait for [`ServiceEvent::AllStopped`]; `handle_hurry` skips the waits.
//! - After each of these, drain [`Services::poll_event`], which numbers effects with the generator it is given:
//!   ```text
//!   while let Some(event) = self.services.poll_event(&mut || next_effect_id(&mut self.effects)) {
//!       match event {
//!           Effect(id, effect)                      => Output::Effect(id, effect)
//!           Reply(request, reply)                   => Output::Reply(request, reply)
//!           Changed { service, from, to, reason }   => EventKind::ServiceChanged { .. }
//!           Announce(a)      => own ServiceRumor of a.group, incarnation raised, tombstone: false
//!           Retract { group } => own ServiceRumor of that group, incarnation raised, tombstone: true
//!           AllStopped       => go on with leaving the ring
//!       }
//!   }
//!   ```
//! - [`Services::views`] is `Node::services`; `record::decode` reads a row of `Table::Service` for the snapshot.

mod backoff;
mod command;
mod instance;
pub(crate) mod record;
mod spec;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

pub use spec::{
    BindingMode, Demoted, DesiredState, Health, Hook, ServiceSpec, ServiceState, ServiceView, SpecChange,
    Topology, UpdateCondition, UpdateStrategy,
};

use crate::command::Reply;
use crate::config::Timings;
use crate::error::CommandError;
use crate::id::{EffectId, RequestId, ServiceGroup, ServiceName};
use crate::ident::PackageIdent;
use crate::io::{Effect, EffectResult};
use crate::rng::Rng;
use crate::time::{Instant, UnixTime};
use backoff::Backoff;
use command::{Ask, Change};
use instance::{Env, Instance};

/// What the service machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceEvent {
    /// A service changed state.
    Changed {
        /// Which one.
        service: ServiceName,
        /// Its state before; none when it was not loaded.
        from: Option<ServiceState>,
        /// Its state now; none when it is unloaded.
        to: Option<ServiceState>,
        /// Why, for people.
        reason: String,
    },
    /// Something for the runtime to do.
    Effect(EffectId, Effect),
    /// A command's answer.
    Reply(RequestId, Reply),
    /// The ring is to know this about a service of this member.
    Announce(Announcement),
    /// The ring is to know that this member serves this group no longer.
    Retract {
        /// Which group.
        group: ServiceGroup,
    },
    /// After `handle_leave`, once: no process is left and nothing is waiting for the disk.
    AllStopped,
}

/// What a member says about one of its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// In which group.
    pub(crate) group: ServiceGroup,
    /// What runs, fully qualified.
    pub(crate) pkg: PackageIdent,
    /// Exported configuration, TOML text.
    pub(crate) cfg: Vec<u8>,
    /// Whether the process runs; false while it is being started (again).
    pub(crate) initialized: bool,
    /// Whether it takes new work.
    pub(crate) accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub(crate) maintenance: Option<String>,
    /// The version of the group configuration in use; 0 when there is none.
    pub(crate) applied_config: u64,
}

/// How far the supervisor's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Polite,
    Hurried,
}

/// What an effect is for, so that its result finds its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Persist,
    Prepare,
    Spawn,
    Signal,
}

/// An event that waits for `poll_event`; effects get their id there.
#[derive(Debug)]
enum Queued {
    Event(ServiceEvent),
    Effect { service: ServiceName, purpose: Purpose, effect: Effect },
}

/// Everything about one service name. It outlives the service itself while commands wait.
#[derive(Debug, Default)]
struct Slot {
    instance: Option<Instance>,
    change: Option<Change>,
    waiting: VecDeque<(RequestId, Ask)>,
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
    /// Effects that are not answered for good.
    effects: BTreeMap<EffectId, (ServiceName, Purpose)>,
    queue: VecDeque<Queued>,
    leaving: Leaving,
    all_stopped: bool,
    org: Option<String>,
    backoff: Backoff,
    rng: Rng,
}

impl Services {
    /// The services that `restored` names, to be started at the first [`Self::handle_timeout`].
    pub(crate) fn new(
        timings: &Timings,
        org: Option<String>,
        restored: Vec<ServiceSpec>,
        rng: Rng,
        now: Instant,
        wall: UnixTime,
    ) -> Self {
        let mut services = Self {
            slots: BTreeMap::new(),
            effects: BTreeMap::new(),
            queue: VecDeque::new(),
            leaving: Leaving::No,
            all_stopped: false,
            org,
            backoff: Backoff::new(timings),
            rng,
        };
        for spec in restored {
            services.create(now, wall, spec, "its spec was on the disk");
        }
        services
    }

    /// Loads a service: answered once its spec is on disk.
    pub(crate) fn handle_load(
        &mut self,
        now: Instant,
        wall: UnixTime,
        request: RequestId,
        spec: ServiceSpec,
        force: bool,
    ) {
        let name = spec.name();
        self.handle_ask(now, wall, request, name, Ask::Load { spec: Box::new(spec), force });
    }

    /// Stops a service and forgets it: answered once both are done.
    pub(crate) fn handle_unload(
        &mut self,
        now: Instant,
        wall: UnixTime,
        request: RequestId,
        name: ServiceName,
    ) {
        self.handle_ask(now, wall, request, name, Ask::Unload);
    }

    /// Wants a loaded service up: answered once that is on disk. Ends a back-off.
    pub(crate) fn handle_start(
        &mut self,
        now: Instant,
        wall: UnixTime,
        request: RequestId,
        name: ServiceName,
    ) {
        self.handle_ask(now, wall, request, name, Ask::Start);
    }

    /// Wants a loaded service down: answered once that is on disk and no process is left.
    pub(crate) fn handle_stop(
        &mut self,
        now: Instant,
        wall: UnixTime,
        request: RequestId,
        name: ServiceName,
    ) {
        self.handle_ask(now, wall, request, name, Ask::Stop);
    }

    /// Stops every service, all at the same time, and takes no more commands. Specs keep their desired state.
    pub(crate) fn handle_leave(&mut self, now: Instant, wall: UnixTime) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Polite;
        for slot in self.slots.values_mut() {
            for (request, _) in slot.waiting.drain(..) {
                let refusal = Reply::Failed(CommandError::Leaving);
                self.queue.push_back(Queued::Event(ServiceEvent::Reply(request, refusal)));
            }
        }
        self.reconcile_all(now, wall);
    }

    /// While leaving: kills what still runs.
    pub(crate) fn handle_hurry(&mut self, now: Instant, wall: UnixTime) {
        if self.leaving == Leaving::Polite {
            self.leaving = Leaving::Hurried;
            self.reconcile_all(now, wall);
        }
    }

    /// Takes the steps whose time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wall: UnixTime) {
        self.reconcile_all(now, wall);
    }

    /// Takes an effect's result. False when the effect is none of this component's.
    ///
    /// A result that does not fit its effect moves nothing: the one that fits is still awaited.
    pub(crate) fn handle_effect_done(
        &mut self,
        now: Instant,
        wall: UnixTime,
        effect: EffectId,
        result: &EffectResult,
    ) -> bool {
        let Some((name, purpose)) = self.effects.get(&effect).cloned() else { return false };
        let (fits, is_last) = match (purpose, result) {
            (Purpose::Persist, EffectResult::Persisted | EffectResult::PersistFailed(_))
            | (Purpose::Prepare, EffectResult::Prepared(_) | EffectResult::PrepareFailed { .. })
            | (Purpose::Spawn, EffectResult::SpawnFailed { .. } | EffectResult::Exited(_))
            | (Purpose::Signal, EffectResult::Signalled) => (true, true),
            (Purpose::Spawn, EffectResult::Spawned { .. }) => (true, false),
            _ => (false, false),
        };
        if is_last {
            self.effects.remove(&effect);
        }
        if fits {
            match result {
                EffectResult::Persisted => self.finish_change(now, wall, &name, None),
                EffectResult::PersistFailed(reason) => self.finish_change(now, wall, &name, Some(reason)),
                EffectResult::Prepared(p) => self.step(now, wall, &name, |i, env| i.handle_prepared(p, env)),
                EffectResult::PrepareFailed { reason } => {
                    self.step(now, wall, &name, |i, env| i.handle_prepare_failed(reason, env));
                }
                EffectResult::Spawned { pid } => {
                    self.step(now, wall, &name, |i, env| i.handle_spawned(*pid, env));
                }
                EffectResult::SpawnFailed { reason } => {
                    self.step(now, wall, &name, |i, env| i.handle_spawn_failed(reason, env));
                }
                EffectResult::Exited(status) => {
                    self.step(now, wall, &name, |i, env| i.handle_exited(*status, env));
                }
                _ => {}
            }
        }
        self.check_all_stopped();
        true
    }

    /// When [`Self::handle_timeout`] is due; none while only a command or a result can move a service.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.slots.values().filter_map(|slot| slot.instance.as_ref()?.poll_timeout()).min()
    }

    /// The next event; none when all are drained. `new_effect_id` numbers the effects among them.
    pub(crate) fn poll_event(&mut self, new_effect_id: &mut dyn FnMut() -> EffectId) -> Option<ServiceEvent> {
        match self.queue.pop_front()? {
            Queued::Event(event) => Some(event),
            Queued::Effect { service, purpose, effect } => {
                let id = new_effect_id();
                let taken = self.effects.insert(id, (service, purpose));
                assert!(taken.is_none(), "an effect id is used once");
                Some(ServiceEvent::Effect(id, effect))
            }
        }
    }

    /// The loaded services, in order of name.
    pub(crate) fn views(&self) -> Vec<ServiceView> {
        self.slots.values().filter_map(|slot| slot.instance.as_ref().map(Instance::view)).collect()
    }

    fn create(&mut self, now: Instant, wall: UnixTime, spec: ServiceSpec, reason: &str) {
        let name = spec.name();
        // An organization can make a restored group too long; `prepare` reports that, the name still stands.
        let group = spec.service_group(self.org.as_deref()).or_else(|_| spec.service_group(None));
        let group = group.expect("specs are checked when they are loaded and when they are decoded");
        let mut env = Env {
            now,
            wall,
            leaving: self.leaving,
            org: self.org.as_deref(),
            backoff: &self.backoff,
            rng: &mut self.rng,
            queue: &mut self.queue,
        };
        let instance = Instance::new(spec, group, reason, &mut env);
        self.slots.entry(name).or_default().instance = Some(instance);
    }

    /// Lets one service act, then sees to what that made possible.
    fn step(
        &mut self,
        now: Instant,
        wall: UnixTime,
        name: &ServiceName,
        act: impl FnOnce(&mut Instance, &mut Env<'_>),
    ) {
        let mut env = Env {
            now,
            wall,
            leaving: self.leaving,
            org: self.org.as_deref(),
            backoff: &self.backoff,
            rng: &mut self.rng,
            queue: &mut self.queue,
        };
        if let Some(instance) = self.slots.get_mut(name).and_then(|slot| slot.instance.as_mut()) {
            act(instance, &mut env);
        }
        self.tidy(now, wall, name);
    }

    fn reconcile_all(&mut self, now: Instant, wall: UnixTime) {
        let names: Vec<ServiceName> = self.slots.keys().cloned().collect();
        for name in names {
            self.step(now, wall, &name, |instance, env| instance.reconcile(env));
        }
        self.check_all_stopped();
    }

    fn check_all_stopped(&mut self) {
        let is_over = |slot: &Slot| {
            slot.change.is_none()
                && slot.instance.as_ref().is_none_or(|i| !i.has_process() && !i.owes_answer())
        };
        if self.leaving != Leaving::No && !self.all_stopped && self.slots.values().all(is_over) {
            self.all_stopped = true;
            self.queue.push_back(Queued::Event(ServiceEvent::AllStopped));
        }
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        self.queue.push_back(Queued::Event(ServiceEvent::Reply(request, reply)));
    }
}
