//! Decides which build each service runs, and when another one takes its place. This feature may touch no process and
//! render no file; it asks `service` to replace a process, through the node, and is told how that goes.
//!
//! | file | what |
//! |---|---|
//! | `follow` | one service: looks, fetches, preflights, and what the disk has to know before a build takes a place |
//! | `rule` | which build is to be taken, of those that were found |
//! | `trial` | whether a build has proved itself, or failed |
//!
//! # How it works
//!
//! ```text
//!   spec: what may run        record: what runs (exact ident), what it goes back to, what is refused, what was ordered
//!
//!   look up ─▶ rule ─▶ fetch ─▶ preflight ─▶ record on disk ─▶ drain, stop, start ─▶ trial ─▶ proved
//!     ▲                  │ lost: later          │ does not fit: waits            │ failed
//!     └──────────────────┴──────────────────────┘                                └─▶ the build before, this one refused
//! ```
//!
//! **The record** ([`Builds`]) says which build of its package a service runs, exactly. The spec says only which ones it
//! may run. A first start takes the newest installed build that the spec allows, and from then on the record names it to
//! every preparation: a restart, a crash, a newer installed package change nothing (P4). It counts for the ident that the
//! spec had when it was made; an operator who gives the spec another one lets the newest be chosen again. It changes by the
//! rule of strategy at-once, by going back from a build that failed, and by an operator's order, and by nothing else.
//!
//! **At once.** While a service with that strategy is wanted up, the runtime is asked which builds there are: the newest
//! installed one, and the one that its channel names. `latest` takes the newest of both where that is newer than what
//! runs; `track-channel` takes what the channel names, older or not. A spec that names one build exactly follows nothing. A
//! runtime that can keeps the question until the answer is another one; otherwise it is asked again after a while, with
//! jitter so that members do not ask together, and with back-off while the depot is away: nothing that runs depends on it.
//!
//! **Orders.** `svc update --to` goes the same way, whatever the strategy. It stands against the rule until something else
//! is there to be taken than was when the operator spoke.
//!
//! # Why a bad build does little harm
//!
//! *P3, a service leaves the pool only for a build that is there and fits.* The process is told to end by one step only,
//! which follows the disk's word that the record names the new build. That write follows a preflight without misfits, and
//! that a fetch that verified, unpacked and synced. A supervisor that ends in between finds either the old record, and goes
//! on as if nothing had been, or the new one, and replaces the process that it adopts.
//!
//! *Proof.* A build has proved itself when it was healthy for ten seconds on end. Until then it is on trial, which the
//! record says, so that a restart of the supervisor does not end the trial. It has failed when a start of it fails or its
//! process ends by itself, or when it was not well for two minutes. What a disk, a key, the operator's own layer of the
//! configuration or the ring keeps from starting is no verdict on the build, and is tried again as ever.
//!
//! *P5, a build that failed is not tried again.* The service goes back to the build before, at once and without waiting
//! for the disk, which may be what the bad build has filled; the record names the failed one as refused. It is taken again
//! when the channel has named something else meanwhile and comes to it anew, or when an operator orders it. Only a build
//! that took the place of one that was well is judged: where the one before was down anyway there is nothing to go back to.
//! A build that cannot be had (network, disk, a depot without it) is not judged at all: the channel is asked afresh before
//! the next try, so that a demotion in the meantime is seen. One whose signature or content is wrong is refused.
//!
//! *P4, nothing goes that may be needed.* The view names what runs, what it goes back to and what was ordered; what is
//! pruned is the runtime's to choose among the rest.

mod follow;
mod rule;
#[cfg(test)]
mod tests;
mod trial;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use crate::model::command::{CommandError, Reply};
use crate::model::config::Config;
use crate::model::context::{Context, Follows, earliest};
use crate::model::id::{EffectId, EventId, RequestId, ServiceName};
use crate::model::ident::PackageIdent;
use crate::model::io::{EffectResult, WakeReason};
use crate::model::limits::SERVICES_MAX;
use crate::model::planted::Planted;
use crate::model::rng::Rng;
use crate::model::row::Write;
use crate::model::time::Instant;
use crate::model::update::{Subject, UpdateView};
use crate::store::build::Builds;
use follow::{Follow, Task};

/// The requests of updates to the node.
#[derive(Debug)]
pub(crate) enum UpdatesEvent {
    /// Have this build fetched, and say with [`Updates::handle_begun`] which effect it is.
    Fetch {
        service: ServiceName,
        build: PackageIdent,
        channel: alloc::string::String,
        url: alloc::string::String,
    },
    /// Have it tried, and say so in the same way.
    Preflight { service: ServiceName, build: PackageIdent },
    /// Another build is to run from now on.
    Replace { service: ServiceName, reason: &'static str, after: Follows },
    /// This row is to be written with the next batch.
    Note { row: Write },
    /// Nothing is to be written of this service any more.
    Forget { service: ServiceName },
    /// An operator's answer.
    Reply(RequestId, Reply),
}

/// The tools of every step.
pub(super) struct Env<'a, 'c> {
    ctx: &'a mut Context<'c>,
    poll_ms: u64,
    planted: Planted,
    rng: &'a mut Rng,
    effects: &'a mut BTreeMap<EffectId, (ServiceName, Task)>,
    events: &'a mut VecDeque<UpdatesEvent>,
}

impl Env<'_, '_> {
    const fn now(&self) -> Instant {
        self.ctx.now
    }

    fn tell(&mut self, event: UpdatesEvent) {
        self.events.push_back(event);
    }
}

/// The builds of this supervisor's services.
#[derive(Debug)]
pub(crate) struct Updates {
    poll_ms: u64,
    planted: Planted,
    rng: Rng,
    follows: BTreeMap<ServiceName, Follow>,
    /// Records of the last life, of services that were not spoken of yet.
    restored: BTreeMap<ServiceName, Builds>,
    effects: BTreeMap<EffectId, (ServiceName, Task)>,
    events: VecDeque<UpdatesEvent>,
}

/// Lends a service's updates what they need beside themselves.
macro_rules! env {
    ($updates:ident, $ctx:ident) => {
        &mut Env {
            ctx: $ctx,
            poll_ms: $updates.poll_ms,
            planted: $updates.planted,
            rng: &mut $updates.rng,
            effects: &mut $updates.effects,
            events: &mut $updates.events,
        }
    };
}

impl Updates {
    /// Goes on from the records on the disk.
    pub(crate) fn new(config: &Config, restored: Vec<Builds>, rng: Rng) -> Self {
        assert!(config.update_poll_ms > 0, "looks have pauses between them");
        Self {
            poll_ms: config.update_poll_ms,
            planted: config.planted,
            rng,
            follows: BTreeMap::new(),
            restored: restored.into_iter().map(|builds| (builds.service.clone(), builds)).collect(),
            effects: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The build of a service that is to run, of those that this ident allows; none where none was chosen yet.
    pub(crate) fn build(&self, service: &ServiceName, of: &PackageIdent) -> Option<&PackageIdent> {
        let followed = self.follows.get(service).map(Follow::builds);
        let builds = followed.or_else(|| self.restored.get(service))?;
        builds.runs.as_ref().filter(|_| builds.of == *of)
    }

    /// A service is so now; none: it is not loaded any more.
    pub(crate) fn handle_service(
        &mut self,
        ctx: &mut Context<'_>,
        service: &ServiceName,
        subject: Option<Subject<'_>>,
    ) {
        let Some(subject) = subject else {
            self.forget(service);
            return;
        };
        let env = env!(self, ctx);
        let follow = self.follows.entry(service.clone()).or_insert_with(|| {
            let restored = self.restored.remove(service).filter(|builds| builds.of == subject.spec.ident);
            Follow::new(service, &subject, restored, env)
        });
        follow.handle_service(&subject, env);
        assert!(self.follows.len() <= SERVICES_MAX, "more services than the limit");
    }

    fn forget(&mut self, service: &ServiceName) {
        self.restored.remove(service);
        self.events.push_back(UpdatesEvent::Forget { service: service.clone() });
        let Some(mut follow) = self.follows.remove(service) else { return };
        for request in follow.take_requests() {
            let refused = CommandError::NotLoaded(service.clone());
            self.events.push_back(UpdatesEvent::Reply(request, Reply::Failed(refused)));
        }
    }

    /// A change of this service was reported as this event: what follows has it as its cause.
    pub(crate) fn handle_reported(&mut self, service: &ServiceName, event: EventId) {
        if let Some(follow) = self.follows.get_mut(service) {
            follow.handle_reported(event);
        }
    }

    /// This build of a service was made ready to run, or runs.
    pub(crate) fn handle_build(
        &mut self,
        ctx: &mut Context<'_>,
        service: &ServiceName,
        build: &PackageIdent,
    ) {
        if let Some(follow) = self.follows.get_mut(service) {
            follow.handle_build(build, env!(self, ctx));
        }
    }

    /// What a service's templates know has changed: a build that did not fit may do so now.
    pub(crate) fn handle_facts(&mut self, ctx: &mut Context<'_>, service: &ServiceName) {
        if let Some(follow) = self.follows.get_mut(service) {
            follow.handle_facts(env!(self, ctx));
        }
    }

    /// An operator orders a build of a loaded service.
    pub(crate) fn handle_order(
        &mut self,
        ctx: &mut Context<'_>,
        request: RequestId,
        service: &ServiceName,
        to: PackageIdent,
    ) {
        let Some(follow) = self.follows.get_mut(service) else {
            let refused = CommandError::NotLoaded(service.clone());
            self.events.push_back(UpdatesEvent::Reply(request, Reply::Failed(refused)));
            return;
        };
        let of = &follow.builds().of;
        if !to.is_fully_qualified() || !to.satisfies(of) {
            let why = format!(
                "{to} is no build that {service} may run: its options ask for {of}; give all four parts of one, or \
                 change the options first"
            );
            let refused = Reply::Failed(CommandError::Package(why));
            self.events.push_back(UpdatesEvent::Reply(request, refused));
            return;
        }
        follow.handle_order(request, to, env!(self, ctx));
    }

    /// The effect that an event asked for has this number; none: it was not begun.
    pub(crate) fn handle_begun(&mut self, service: &ServiceName, effect: EffectId) {
        if let Some(task) = self.follows.get_mut(service).and_then(|follow| follow.handle_begun(effect)) {
            self.effects.insert(effect, (service.clone(), task));
        }
    }

    /// Takes an effect's result. False when the effect is none of this component's.
    pub(crate) fn handle_effect_done(
        &mut self,
        ctx: &mut Context<'_>,
        effect: EffectId,
        result: &EffectResult,
    ) -> bool {
        let Some((service, task)) = self.effects.get(&effect).cloned() else { return false };
        if !task.fits(result) {
            // It still awaits the answer that fits.
            return true;
        }
        self.effects.remove(&effect);
        if let Some(follow) = self.follows.get_mut(&service) {
            follow.handle_done(effect, task, result, env!(self, ctx));
        }
        assert!(!self.effects.contains_key(&effect), "an effect has one result");
        true
    }

    /// Takes the steps whose time has come.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        for follow in self.follows.values_mut() {
            if follow.poll_timeout() <= ctx.now {
                follow.handle_timeout(env!(self, ctx));
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest(self.follows.values().map(|follow| (follow.poll_timeout(), WakeReason::Update)))
    }

    /// The next event; none when all are taken.
    pub(crate) fn poll_event(&mut self) -> Option<UpdatesEvent> {
        self.events.pop_front()
    }

    /// Every record as it is now: the disk may not have taken the last batch.
    pub(crate) fn rows(&self) -> Vec<Write> {
        self.follows.values().map(|follow| crate::store::build::store(follow.builds())).collect()
    }

    /// How the updates of a service stand.
    pub(crate) fn view(&self, service: &ServiceName) -> UpdateView {
        self.follows.get(service).map(Follow::view).unwrap_or_default()
    }
}
