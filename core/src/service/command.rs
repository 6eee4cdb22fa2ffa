//! Carries out operators' commands about services: one change of a spec at a time. No process is touched and no command
//! answered before the disk holds the change.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use super::instance::Instance;
use super::{Services, Slot, deadline};
use crate::model::command::{CommandError, Reply, StopHow};
use crate::model::context::Context;
use crate::model::id::{RequestId, ServiceName};
use crate::model::io::Effect;
use crate::model::limits::{self, Limit};
use crate::model::mutant::mutated;
use crate::model::service::{DesiredState, ServiceSpec, ServiceState, SpecChange};
use crate::model::time::Instant;
use crate::service::Impulse;
use crate::service::around::Around;
use crate::service::event::ServiceEvent;
use crate::service::purpose::{Errand, Leaving, Purpose};
use crate::store::{build as builds, service as row};

/// An operator's request about one service.
#[derive(Debug)]
pub(crate) enum Ask {
    Load { spec: Box<ServiceSpec>, force: bool },
    Unload(StopHow),
    Start,
    Restart,
    Stop(StopHow),
    Update(Box<SpecChange>),
    Drain { timeout_ms: Option<u64> },
    Undrain,
    Maintain { reason: Option<String> },
}

/// A change of a spec that waits for the disk.
#[derive(Debug)]
pub(super) struct Change {
    /// None: the supervisor itself writes once more what the disk did not take.
    request: Option<RequestId>,
    /// The spec to be; none deletes it.
    spec: Option<Box<ServiceSpec>>,
    /// How the process is to be stopped, if the answer waits until none is left.
    stop: Option<StopHow>,
}

/// Why a change is not on disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotStored<'a> {
    /// The disk does not take it.
    Failed(&'a str),
    /// Another hand has changed what is there, which counts first.
    Refused(&'a str),
}

impl Change {
    fn new(request: RequestId, spec: ServiceSpec) -> Self {
        Self { request: Some(request), spec: Some(Box::new(spec)), stop: None }
    }
}

impl Services {
    /// Takes a command about one service: answered once its change is on disk, and for some commands once it is carried
    /// out (see the `service` module).
    pub(crate) fn handle_ask(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
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
                assert!(
                    slot.waiting.len() <= limits::SERVICE_COMMANDS_MAX,
                    "commands that wait have a limit"
                );
                if slot.waiting.len() >= limits::SERVICE_COMMANDS_MAX {
                    let refusal = CommandError::Limit(Limit::ServiceCommands);
                    self.reply(request, Reply::Failed(refusal));
                } else {
                    slot.waiting.push_back((request, ask));
                }
            }
            _ => {
                self.carry_out(ctx, around, request, &name, ask);
                self.tidy(ctx, around, &name);
            }
        }
    }

    /// Carries out a command about a service that no other command is changing.
    fn carry_out(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        request: RequestId,
        name: &ServiceName,
        ask: Ask,
    ) {
        assert!(
            !self.slots.get(name).is_some_and(Slot::is_busy),
            "commands about one service follow each other"
        );
        let loaded = self.slots.get(name).and_then(|slot| slot.instance.as_ref()).map(Instance::spec);
        let instance = self.slots.get(name).and_then(|slot| slot.instance.as_ref());
        let is_stored = !instance.is_some_and(|instance| instance.is_to_be_stored(Instant::FAR_FUTURE));
        let answer = match (loaded, ask) {
            (_, Ask::Load { spec, force }) => self.load(request, loaded, *spec, force),
            (None, _) => Err(Reply::Failed(CommandError::NotLoaded(name.clone()))),
            (Some(_), Ask::Unload(how)) => Ok(Change { request: Some(request), spec: None, stop: Some(how) }),
            (Some(spec), Ask::Start) if spec.desired == DesiredState::Up => {
                Err(self.start_again(ctx, around, name))
            }
            (Some(spec), Ask::Restart) if spec.desired == DesiredState::Down => Err(Reply::Unchanged),
            (Some(_), Ask::Restart) => Err(self.restart(ctx, around, name)),
            (Some(spec), Ask::Stop(how)) if spec.desired == DesiredState::Down && is_stored => {
                match self.stop_again(ctx, around, request, name, how) {
                    Some(reply) => Err(reply),
                    None => return,
                }
            }
            (Some(spec), Ask::Start) => {
                Ok(Change::new(request, ServiceSpec { desired: DesiredState::Up, ..spec.clone() }))
            }
            (Some(spec), Ask::Stop(how)) => {
                let spec = ServiceSpec { desired: DesiredState::Down, ..spec.clone() };
                Ok(Change { stop: Some(how), ..Change::new(request, spec) })
            }
            (Some(spec), Ask::Update(change)) => self.update(request, spec, *change),
            (Some(spec), Ask::Maintain { reason }) if spec.maintenance == reason => Err(Reply::Unchanged),
            (Some(spec), Ask::Maintain { reason }) => {
                let spec = ServiceSpec { maintenance: reason, ..spec.clone() };
                self.check(&spec).map(|()| Change::new(request, spec)).map_err(Reply::Failed)
            }
            (Some(_), Ask::Drain { timeout_ms }) => {
                return self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
                    instance.drain(request, timeout_ms, env);
                });
            }
            (Some(_), Ask::Undrain) => {
                let mut drained = false;
                self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
                    drained = instance.undrain(env);
                });
                Err(if drained { Reply::Done } else { Reply::Unchanged })
            }
        };
        match answer {
            Ok(change) => self.begin_change(name, change),
            Err(reply) => self.reply(request, reply),
        }
    }

    /// The wish is the same, but an operator who types `start` wants a try now, also in a back-off, in a wait, or after the
    /// supervisor gave up.
    fn start_again(&mut self, ctx: &mut Context<'_>, around: &dyn Around, name: &ServiceName) -> Reply {
        let mut rested = false;
        self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
            rested = instance.start_again(env);
        });
        if rested { Reply::Done } else { Reply::Unchanged }
    }

    /// The wish is the same: what is left of it has as much time as this order says, which is answered when it is down.
    fn stop_again(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        request: RequestId,
        name: &ServiceName,
        how: StopHow,
    ) -> Option<Reply> {
        let instance = self.slots.get(name).and_then(|slot| slot.instance.as_ref())?;
        if !instance.has_tree() {
            return Some(Reply::Unchanged);
        }
        if instance.awaited() >= limits::SERVICE_COMMANDS_MAX {
            return Some(Reply::Failed(CommandError::Limit(Limit::ServiceCommands)));
        }
        self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
            instance.stop_sooner(how, request, env);
            instance.reconcile(env);
        });
        None
    }

    /// The wish is the same: the process is replaced in order, as when its options change. What has none is tried now.
    fn restart(&mut self, ctx: &mut Context<'_>, around: &dyn Around, name: &ServiceName) -> Reply {
        self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
            instance.begin_anew();
            instance.forgive(env);
            instance.reconcile(env);
        });
        Reply::Done
    }

    fn load(
        &self,
        request: RequestId,
        loaded: Option<&ServiceSpec>,
        mut spec: ServiceSpec,
        force: bool,
    ) -> Result<Change, Reply> {
        assert!(loaded.is_none_or(|loaded| loaded.name() == spec.name()), "a spec is loaded under its name");
        self.check(&spec).map_err(Reply::Failed)?;
        let Some(loaded) = loaded else {
            let name = spec.name();
            let others = self.slots.keys().filter(|other| **other != name).count();
            if others >= limits::SERVICES_MAX {
                return Err(Reply::Failed(CommandError::Limit(Limit::Services)));
            }
            return Ok(Change::new(request, spec));
        };
        // Only the operator's own command ends maintenance; loading the service again does not.
        mutated!(LoadEndsMaintenance, spec.maintenance.clone_from(&loaded.maintenance), ());
        // The wish to run is no option: a stopped service may be loaded again.
        let same_options = *loaded == ServiceSpec { desired: loaded.desired, ..spec.clone() };
        if !same_options && !force {
            Err(Reply::Failed(CommandError::Conflict(loaded.ident.clone())))
        } else if *loaded == spec {
            Err(Reply::Unchanged)
        } else {
            Ok(Change::new(request, spec))
        }
    }

    fn update(&self, request: RequestId, loaded: &ServiceSpec, change: SpecChange) -> Result<Change, Reply> {
        let spec = change.apply(loaded);
        if spec.name() != loaded.name() {
            let why = format!(
                "{} is another service than {}; unload the one and load the other",
                spec.ident,
                loaded.name()
            );
            return Err(Reply::Failed(CommandError::Package(why)));
        }
        self.check(&spec).map_err(Reply::Failed)?;
        assert!(spec.desired == loaded.desired, "an update of options starts and stops nothing");
        if spec == *loaded { Err(Reply::Unchanged) } else { Ok(Change::new(request, spec)) }
    }

    /// Whether a spec can be stored and run.
    fn check(&self, spec: &ServiceSpec) -> Result<(), CommandError> {
        if let Err(error) = spec.service_group(self.org.as_deref()) {
            return Err(CommandError::Package(format!("group {:?} cannot be used: {error}", spec.group)));
        }
        if row::encode(spec).len() > limits::SERVICE_SPEC_BYTES_MAX {
            return Err(CommandError::Limit(Limit::ServiceSpecBytes));
        }
        Ok(())
    }

    fn begin_change(&mut self, name: &ServiceName, change: Change) {
        assert!(
            change.spec.as_ref().is_none_or(|spec| spec.name() == *name),
            "a spec is stored under its name"
        );
        let writes = match change.spec.as_deref() {
            Some(spec) => vec![row::store(spec)],
            // A service that is loaded again begins with the newest build.
            None => vec![row::delete(name), builds::delete(name)],
        };
        let slot = self.slots.entry(name.clone()).or_default();
        assert!(slot.change.is_none(), "changes of one service are stored one after the other");
        slot.change = Some(change);
        let effect = Effect::Persist { writes, sync: true };
        let errand = Errand::new(name, Purpose::Persist);
        self.outbox.tell(ServiceEvent::Effect { errand, effect });
    }

    /// Takes the disk's answer about a change.
    pub(super) fn finish_change(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        name: &ServiceName,
        failure: Option<NotStored<'_>>,
    ) {
        let Some(change) = self.slots.get_mut(name).and_then(|slot| slot.change.take()) else { return };
        if let Some(failure) = failure.filter(|_| mutated!(FailedSpecTaken, true, false)) {
            return self.not_stored(ctx, around, name, &change, failure);
        }
        if let (Some(request), None) = (change.request, change.stop) {
            self.reply(request, Reply::Done);
        }
        assert!(change.spec.is_some() || change.stop.is_some(), "an unload waits for the process to end");
        let mut replacement = change.spec;
        if self.slots.get(name).is_some_and(|slot| slot.instance.is_none())
            && let Some(spec) = replacement.take()
        {
            self.create(ctx, around, *spec, None, "its spec is stored");
            let impulse = Impulse::Outside(ctx.after);
            self.step(ctx, around, name, impulse, |instance, env| instance.reconcile(env));
            return;
        }
        // One step is enough: an unloaded service without a process is gone when the step ends.
        self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
            match replacement {
                Some(spec) => instance.replace_spec(*spec, env),
                None => instance.remove(),
            }
            if let (Some(how), Some(request)) = (change.stop, change.request) {
                instance.stop(how, request);
            }
            instance.reconcile(env);
        });
        self.watch();
    }

    /// The disk has not taken a change. A stop is carried out all the same: what is to be stopped may be what fills the
    /// disk.
    fn not_stored(
        &mut self,
        ctx: &mut Context<'_>,
        around: &dyn Around,
        name: &ServiceName,
        change: &Change,
        failure: NotStored<'_>,
    ) {
        let (NotStored::Failed(reason) | NotStored::Refused(reason)) = failure;
        let by_disk = matches!(failure, NotStored::Failed(_));
        match (change.request, change.stop) {
            (Some(request), Some(how)) if by_disk => {
                self.step(ctx, around, name, Impulse::Outside(ctx.after), |instance, env| {
                    instance.stop_unstored(how, request, reason, env);
                    instance.reconcile(env);
                });
            }
            (Some(request), _) => {
                self.reply(request, Reply::Failed(CommandError::NotDurable(reason.into())));
                self.tidy(ctx, around, name);
            }
            (None, _) => self.tidy(ctx, around, name),
        }
    }

    /// Writes stops once more that the disk did not take, and whose time has come by `until`.
    pub(super) fn store_again(&mut self, now: Instant, until: Instant) {
        let mut due = Vec::new();
        for (name, slot) in &mut self.slots {
            let is_busy = slot.is_busy();
            let Some(instance) = slot.instance.as_mut().filter(|i| i.is_to_be_stored(until)) else {
                continue;
            };
            instance.store_again_at(now + Duration::from_millis(deadline::STORE_AGAIN_MS));
            if !is_busy && self.leaving == Leaving::No {
                due.push((name.clone(), instance.spec().clone()));
            }
        }
        for (name, spec) in due {
            assert!(spec.desired == DesiredState::Down, "only a stop counts before it is stored");
            self.begin_change(&name, Change { request: None, spec: Some(Box::new(spec)), stop: None });
        }
    }

    /// Forgets services that have ended and carries out the commands that waited for their end.
    pub(super) fn tidy(&mut self, ctx: &mut Context<'_>, around: &dyn Around, name: &ServiceName) {
        while let Some(slot) = self.slots.get_mut(name) {
            if slot.instance.as_ref().is_some_and(Instance::is_removed) {
                assert!(slot.change.is_none(), "a service that is forgotten has no change under way");
                slot.instance = None;
                let after = slot.last.into();
                self.outbox.tell(ServiceEvent::Changed {
                    service: name.clone(),
                    from: Some(ServiceState::Down),
                    to: None,
                    reason: String::from("unloaded"),
                    after,
                });
                self.watch();
            } else if slot.is_empty() {
                self.slots.remove(name);
            } else if slot.is_busy() {
                break;
            } else if let Some((request, ask)) = slot.waiting.pop_front() {
                self.carry_out(ctx, around, request, name, ask);
            } else {
                break;
            }
        }
    }
}
