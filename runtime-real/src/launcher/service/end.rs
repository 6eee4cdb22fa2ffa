//! The ends of hooks, services and guards. A service has ended when nothing is left below its guard; what a dead guard
//! leaves is the launcher's to end.

use std::collections::BTreeSet;

use annulus_core::ExitStatus;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid};

use super::{End, Service, Services, Told};
use crate::launcher::descend::children;
use crate::launcher::guard::Guard;
use crate::launcher::journal::{Journal, Level};
use crate::launcher::message::Answer;
use crate::launcher::output::Outputs;
use crate::launcher::running::{remove_pid, status_of};

impl Services {
    pub(super) fn on_hook_ended(&mut self, name: &str, id: u64, status: ExitStatus, timed_out: bool) {
        // What kept it from running came before its end, by another way.
        self.take_fault(name, id);
        let hook = self.services.get_mut(name).and_then(|service| service.hooks.remove(&id));
        if let Some(hook) = hook {
            self.cgroups.leave_hook(name, id);
            self.answer(hook.request, Answer::HookEnded { status, timed_out });
        }
    }

    /// Nothing is left below a guard. It is needed no more, unless it has been told to start something meanwhile.
    pub(super) fn on_empty(
        &mut self,
        name: &str,
        starts: u64,
        buffer: &mut [u8],
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) {
        let guard = self.services.get(name).and_then(|service| service.guard.as_ref());
        if guard.is_some_and(|guard| guard.starts() == starts) {
            self.finish(name, buffer, outputs, journal);
        }
    }

    /// A service has ended with all that it started.
    fn finish(&mut self, name: &str, buffer: &mut [u8], outputs: &mut Outputs, journal: &mut Journal) {
        if let Some(id) = self.services.get(name).and_then(|s| s.process.as_ref()).map(|p| p.id) {
            self.take_fault(name, id);
        }
        let Some(service) = self.services.get_mut(name) else { return };
        let hooks: Vec<u64> = service.hooks.keys().copied().collect();
        let said = service.guard.as_ref().and_then(|guard| guard.page().status()).map(status_of);
        service.is_orphaned = false;
        hooks.iter().for_each(|id| self.on_hook_ended(name, *id, ExitStatus::Signal(9), false));
        self.retire(name);
        self.cgroups.leave(name);
        let Some(service) = self.services.get_mut(name) else { return };
        if let Some(process) = service.process.as_mut().filter(|process| process.ended.is_none()) {
            let status = said.or(process.status).unwrap_or(ExitStatus::Signal(Signal::SIGKILL as i32));
            let pid = process.number().unwrap_or_default();
            outputs.ended(pid.cast_signed(), buffer, journal);
            remove_pid(&process.launch.pid_file);
            process.ended = Some(status);
            if let Some(request) = process.request.take() {
                let reason = format!("{name} ended ({status}) before it ran");
                self.told.push_back(Told::Answer(request, Answer::Failed { busy: false, reason }));
                service.process = None;
            } else if process.attached {
                self.told.push_back(Told::End(End { service: name.to_owned(), pid, status }));
                service.process = None;
            }
        }
        self.forget(name);
    }

    /// A child of the launcher has ended: a guard, or a process that a dead guard left.
    pub(in crate::launcher) fn ended(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        buffer: &mut [u8],
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) {
        if self.leaving.remove(&pid) {
            return;
        }
        self.strangers.remove(&pid);
        let is = |service: &Service| service.guard.as_ref().is_some_and(|guard| guard.pid() == pid);
        if let Some(name) =
            self.services.iter().find(|(_, service)| is(service)).map(|(name, _)| name.clone())
        {
            // What it said last may not have been read yet.
            self.take_news(&name, buffer, outputs, journal);
            if !self.leaving.remove(&pid) {
                self.on_guard_lost(&name, pid, status, journal);
            }
            return;
        }
        let processes = self.services.values_mut().filter(|service| service.is_orphaned);
        let mut processes = processes.filter_map(|service| service.process.as_mut());
        if let Some(process) = processes.find(|process| process.pid == Some(pid)) {
            process.status = Some(status);
        }
    }

    /// A guard has died that still had something to guard: the launcher inherits it, and ends it.
    fn on_guard_lost(&mut self, name: &str, pid: Pid, status: ExitStatus, journal: &mut Journal) {
        let Some(service) = self.services.get_mut(name) else { return };
        if let (Some(guard), Some(process)) = (&service.guard, &mut service.process) {
            process.status = guard.page().status().map(status_of);
        }
        (service.guard, service.is_orphaned) = (None, true);
        let text = format!("the guard of {name}, process {pid}, ended ({status}): what it guarded is killed");
        journal.report(Level::Error, &text);
    }

    /// Kills what dead guards have left to the launcher. Called after every end of a child, because an end may give the
    /// launcher further ones.
    pub(in crate::launcher) fn end_inherited(
        &mut self,
        supervisor: Option<Pid>,
        buffer: &mut [u8],
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) {
        let orphaned = self.services.iter().filter(|(_, service)| service.is_orphaned);
        let orphaned: Vec<String> = orphaned.map(|(name, _)| name.clone()).collect();
        let guards = self.services.values().filter_map(|service| service.guard.as_ref()).map(Guard::pid);
        let known: BTreeSet<Pid> = guards.chain(self.leaving.iter().copied()).chain(supervisor).collect();
        let mut others: BTreeSet<Pid> = children(getpid()).into_iter().collect();
        others.retain(|pid| !known.contains(pid));
        if orphaned.is_empty() {
            // Orphans of the supervisor, or of other programs where the launcher is process 1. While a guard may have died
            // meanwhile, its processes must not be taken for such.
            if none_has_ended() {
                self.strangers = others;
            }
            return;
        }
        others.retain(|pid| !self.strangers.contains(pid));
        for pid in &others {
            // A child that has not been waited for keeps its number.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for name in orphaned {
            self.cgroups.kill(&name);
            if others.is_empty() && self.cgroups.is_empty(&name) {
                self.finish(&name, buffer, outputs, journal);
            }
        }
    }
}

/// Whether every child that has ended was waited for.
fn none_has_ended() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::All, look), Ok(WaitStatus::StillAlive) | Err(_))
}
