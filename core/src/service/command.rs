//! Commands about services: one change of a spec at a time, on disk before anything else happens.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::instance::Instance;
use super::spec::{DesiredState, ServiceSpec, ServiceState};
use super::{Leaving, Purpose, Queued, ServiceEvent, Services, record};
use crate::command::Reply;
use crate::error::CommandError;
use crate::id::{RequestId, ServiceName};
use crate::io::Effect;
use crate::limits;
use crate::time::{Instant, UnixTime};

/// What an operator asks about one service.
#[derive(Debug)]
pub(super) enum Ask {
    Load { spec: Box<ServiceSpec>, force: bool },
    Unload,
    Start,
    Stop,
}

/// A change of a spec that waits for the disk.
#[derive(Debug)]
pub(super) struct Change {
    request: RequestId,
    /// The spec to be; none deletes it.
    spec: Option<Box<ServiceSpec>>,
    /// Whether the answer waits until no process is left.
    answer_when_down: bool,
}

impl Services {
    pub(super) fn handle_ask(
        &mut self,
        now: Instant,
        wall: UnixTime,
        request: RequestId,
        name: ServiceName,
        ask: Ask,
    ) {
        if self.leaving != Leaving::No {
            self.reply(request, Reply::Failed(CommandError::Leaving));
            return;
        }
        match self.slots.get_mut(&name) {
            Some(slot) if slot.is_busy() => {
                if slot.waiting.len() >= limits::SERVICE_COMMANDS_MAX {
                    let limit = "commands waiting for one service";
                    self.reply(request, Reply::Failed(CommandError::Limit(limit)));
                } else {
                    slot.waiting.push_back((request, ask));
                }
            }
            _ => {
                self.carry_out(now, wall, request, &name, ask);
                self.tidy(now, wall, &name);
            }
        }
    }

    /// Carries out a command about a service that nothing else is being done to.
    fn carry_out(&mut self, now: Instant, wall: UnixTime, request: RequestId, name: &ServiceName, ask: Ask) {
        let loaded = self.slots.get(name).and_then(|slot| slot.instance.as_ref());
        let answer = match (loaded, ask) {
            (_, Ask::Load { spec, force }) => {
                let loaded = loaded.map(Instance::spec);
                match self.check_load(loaded, &spec, force) {
                    Ok(true) => Ok(Change { request, spec: Some(spec), answer_when_down: false }),
                    Ok(false) => Err(Reply::Unchanged),
                    Err(error) => Err(Reply::Failed(error)),
                }
            }
            (None, Ask::Unload | Ask::Start | Ask::Stop) => {
                Err(Reply::Failed(CommandError::NotLoaded(name.clone())))
            }
            (Some(_), Ask::Unload) => Ok(Change { request, spec: None, answer_when_down: true }),
            (Some(instance), Ask::Start) if instance.spec().desired == DesiredState::Up => {
                // The wish is the same; a back-off is not what an operator who types `start` has in mind.
                let backoff = instance.is_in_backoff();
                self.step(now, wall, name, |instance, env| {
                    instance.forgive(env);
                    instance.reconcile(env);
                });
                Err(if backoff { Reply::Done } else { Reply::Unchanged })
            }
            (Some(instance), Ask::Stop) if instance.spec().desired == DesiredState::Down => {
                Err(Reply::Unchanged)
            }
            (Some(instance), Ask::Start) => {
                let spec = ServiceSpec { desired: DesiredState::Up, ..instance.spec().clone() };
                Ok(Change { request, spec: Some(Box::new(spec)), answer_when_down: false })
            }
            (Some(instance), Ask::Stop) => {
                let spec = ServiceSpec { desired: DesiredState::Down, ..instance.spec().clone() };
                Ok(Change { request, spec: Some(Box::new(spec)), answer_when_down: true })
            }
        };
        match answer {
            Ok(change) => self.begin_change(name, change),
            Err(reply) => self.reply(request, reply),
        }
    }

    /// Whether there is something to do, unless it is refused.
    fn check_load(
        &self,
        loaded: Option<&ServiceSpec>,
        spec: &ServiceSpec,
        force: bool,
    ) -> Result<bool, CommandError> {
        if let Err(error) = spec.service_group(self.org.as_deref()) {
            return Err(CommandError::Package(format!("group {:?} cannot be used: {error}", spec.group)));
        }
        if record::encode(spec).len() > limits::SERVICE_SPEC_BYTES_MAX {
            return Err(CommandError::Limit("bytes of a service spec"));
        }
        let Some(loaded) = loaded else {
            let name = spec.name();
            let others = self.slots.keys().filter(|other| **other != name).count();
            let full = others >= limits::SERVICES_MAX;
            return if full { Err(CommandError::Limit("services of one supervisor")) } else { Ok(true) };
        };
        // Whether it is to run is no option: a service that was stopped may be loaded again.
        let same_options = *loaded == ServiceSpec { desired: loaded.desired, ..spec.clone() };
        if same_options || force {
            Ok(loaded != spec)
        } else {
            Err(CommandError::Conflict(loaded.ident.clone()))
        }
    }

    fn begin_change(&mut self, name: &ServiceName, change: Change) {
        let write = change.spec.as_deref().map_or_else(|| record::delete(name), record::store);
        let slot = self.slots.entry(name.clone()).or_default();
        assert!(slot.change.is_none(), "changes of one service are stored one after the other");
        slot.change = Some(change);
        self.queue.push_back(Queued::Effect {
            service: name.clone(),
            purpose: Purpose::Persist,
            effect: Effect::Persist { writes: vec![write], sync: true },
        });
    }

    /// The disk has answered about a change.
    pub(super) fn finish_change(
        &mut self,
        now: Instant,
        wall: UnixTime,
        name: &ServiceName,
        failure: Option<&String>,
    ) {
        let Some(change) = self.slots.get_mut(name).and_then(|slot| slot.change.take()) else { return };
        if let Some(reason) = failure {
            self.reply(change.request, Reply::Failed(CommandError::NotDurable(reason.clone())));
            self.tidy(now, wall, name);
            return;
        }
        if !change.answer_when_down {
            self.reply(change.request, Reply::Done);
        }
        let mut replacement = change.spec;
        if self.slots.get(name).is_some_and(|slot| slot.instance.is_none())
            && let Some(spec) = replacement.take()
        {
            self.create(now, wall, *spec, "its spec is stored");
            self.step(now, wall, name, |instance, env| instance.reconcile(env));
            return;
        }
        // One step, because a service that is to go and has no process is gone when the step ends.
        self.step(now, wall, name, |instance, env| {
            match replacement {
                Some(spec) => instance.replace_spec(*spec, env),
                None => instance.remove(),
            }
            if change.answer_when_down {
                instance.answer_when_down(change.request);
            }
            instance.reconcile(env);
        });
    }

    /// Forgets what has ended and carries out commands that waited for it.
    pub(super) fn tidy(&mut self, now: Instant, wall: UnixTime, name: &ServiceName) {
        while let Some(slot) = self.slots.get_mut(name) {
            if slot.instance.as_ref().is_some_and(Instance::is_removed) {
                slot.instance = None;
                self.queue.push_back(Queued::Event(ServiceEvent::Changed {
                    service: name.clone(),
                    from: Some(ServiceState::Down),
                    to: None,
                    reason: String::from("unloaded"),
                }));
            } else if slot.is_empty() {
                self.slots.remove(name);
            } else if slot.is_busy() {
                break;
            } else if let Some((request, ask)) = slot.waiting.pop_front() {
                self.carry_out(now, wall, request, name, ask);
            } else {
                break;
            }
        }
    }
}
