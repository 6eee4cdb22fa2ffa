//! The services: has their guards start processes and hooks, passes on signals, and tells their ends. Never decides
//! whether a service should run. `start` has the starts, `end` the ends.

mod end;
mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use annulus_core::{ExitStatus, Health};
use nix::errno::Errno;
use nix::libc::rlim_t;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::cgroup::Cgroups;
use super::descend::signal_others;
use super::guard::{Guard, News, Order};
use super::identity;
use super::journal::{Journal, Level};
use super::message::{Answer, Held, Lease};
use super::output::Outputs;
use super::owners::Owners;
use super::running::{Hook, Process, number, status_of};
use crate::host::clock;

/// The end of a service, for the supervisor that started or adopted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) service: String,
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
}

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Told {
    /// The answer to a request.
    Answer(u64, Answer),
    /// A process runs: the answer to a request, with the descriptors by which the supervisor holds its guard.
    Started(u64, u32, Vec<OwnedFd>),
    /// A service has ended.
    End(End),
}

/// One service: its guard, and what runs below that.
#[derive(Debug, Default)]
struct Service {
    guard: Option<Guard>,
    process: Option<Process>,
    hooks: BTreeMap<u64, Hook>,
    /// The guard has died, and what it left is being killed.
    is_orphaned: bool,
    /// When it was told to kill everything, in milliseconds since boot.
    killed_at_ms: Option<u64>,
}

/// A guard that stands still is looked at so long after it was told to kill, in milliseconds.
const KILL_PATIENCE_MS: u64 = 1_000;

/// All services, by name.
#[derive(Debug)]
pub(super) struct Services {
    services: BTreeMap<String, Service>,
    /// Guards that are needed no more, until they have ended.
    leaving: BTreeSet<Pid>,
    cgroups: Cgroups,
    /// The services whose directories are this supervisor's.
    pub(super) owners: Owners,
    /// Limits of open files that the launcher itself was started with.
    nofile: (rlim_t, rlim_t),
    /// The next number for a program that is started.
    next: u64,
    told: VecDeque<Told>,
    /// Children of the launcher that belong to no service.
    strangers: BTreeSet<Pid>,
}

/// A descriptor of a service that the loop has to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// A guard has news.
    Guard(String),
    /// A program runs, or could not be started.
    Fault(String, u64),
}

impl Services {
    pub(super) fn new(nofile: (rlim_t, rlim_t), cgroups: Cgroups, owners: Owners) -> Self {
        Self {
            services: BTreeMap::new(),
            leaving: BTreeSet::new(),
            cgroups,
            owners,
            nofile,
            next: 1,
            told: VecDeque::new(),
            strangers: BTreeSet::new(),
        }
    }

    /// The next message for the supervisor.
    pub(super) fn take_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn answer(&mut self, request: Option<u64>, answer: Answer) {
        // The supervisor that asked may have gone.
        self.told.extend(request.map(|request| Told::Answer(request, answer)));
    }

    /// The descriptors that the loop has to watch.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (Watched, BorrowedFd<'_>)> {
        self.services.iter().flat_map(|(name, service)| {
            let guard = service.guard.iter().map(|guard| (Watched::Guard(name.clone()), guard.as_fd()));
            let process = service.process.iter().map(|process| (process.id, &process.fault));
            let hooks = service.hooks.iter().map(|(id, hook)| (*id, &hook.fault));
            let faults = process
                .chain(hooks)
                .filter_map(|(id, fault)| fault.pipe().map(|pipe| (Watched::Fault(name.clone(), id), pipe)));
            guard.chain(faults)
        })
    }

    /// Lets the guard of a service go, and all that is left of its tree with it.
    fn retire(&mut self, name: &str) {
        let guard = self.services.get_mut(name).and_then(|service| service.guard.take());
        self.leaving.extend(guard.map(|guard| guard.pid()));
    }

    /// The same, for a guard below which nothing runs.
    fn retire_unused(&mut self, name: &str) {
        let Some(service) = self.services.get(name) else { return };
        let running = service.process.as_ref().is_some_and(|process| process.ended.is_none());
        if !running && service.hooks.is_empty() && !service.is_orphaned {
            self.retire(name);
            self.cgroups.leave(name);
            self.forget(name);
        }
    }

    /// Forgets a service of which nothing is left to tell.
    fn forget(&mut self, name: &str) {
        let is_over =
            |service: &Service| service.guard.is_none() && service.process.is_none() && !service.is_orphaned;
        if self.services.get(name).is_some_and(is_over) {
            self.services.remove(name);
            self.owners.rest(name);
        }
    }

    /// The process with this pid, while its service has not ended.
    fn find(&mut self, service: &str, pid: u32) -> Option<(&mut Process, Option<&mut Guard>)> {
        let service = self.services.get_mut(service)?;
        let process = service.process.as_mut()?;
        let is_meant = process.number() == Some(pid) && process.ended.is_none();
        is_meant.then_some((process, service.guard.as_mut()))
    }

    /// Hands a process over to the connected supervisor, and tells its end as well when it has ended.
    pub(super) fn adopt(&mut self, request: u64, service: &str, pid: u32) {
        let found = self.services.get_mut(service);
        let found = found.filter(|s| s.process.as_ref().is_some_and(|p| p.number() == Some(pid)));
        let Some((found, process)) = found.and_then(|s| s.process.take().map(|process| (s, process))) else {
            let reason = format!("the launcher has no process {pid} of {service}");
            return self.answer(Some(request), Answer::Failed { busy: false, reason });
        };
        if let Some(status) = process.ended {
            self.told.push_back(Told::Started(request, pid, Vec::new()));
            self.told.push_back(Told::End(End { service: service.to_owned(), pid, status }));
            return self.forget(service);
        }
        let fds = found.guard.as_ref().and_then(|guard| guard.share().ok()).unwrap_or_default();
        self.owners.keep(service);
        found.process = Some(Process { attached: true, ..process });
        self.told.push_back(Told::Started(request, pid, fds));
    }

    /// Makes the directory of a service this supervisor's.
    pub(super) fn claim(&mut self, service: &str) -> Answer {
        match self.owners.claim(service) {
            Ok(()) => Answer::Done,
            Err(reason) => Answer::Failed { busy: false, reason },
        }
    }

    /// Lets the directory of a service go, once nothing of the service runs.
    pub(super) fn release(&mut self, service: &str) {
        self.owners.release(service, !self.services.contains_key(service));
    }

    /// Another supervisor is connected, which has claimed nothing yet.
    pub(super) fn unclaim(&mut self) {
        self.owners.unclaim(|service| self.services.contains_key(service));
    }

    /// Signals a service: politely, all of its processes, and its hooks are ended; or all is killed.
    pub(super) fn signal(&mut self, service: &str, pid: u32, kill: bool) {
        if self.find(service, pid).is_none() {
            return;
        }
        if kill { self.kill(service) } else { self.ask_to_stop(service) }
    }

    fn kill(&mut self, name: &str) {
        let Some(service) = self.services.get_mut(name) else { return };
        if let Some(guard) = &mut service.guard {
            let _ = guard.order(Order::Kill, &[]);
            service.killed_at_ms.get_or_insert_with(clock::boot_ms);
            // Should the guard itself stand still, this reaches the tree.
            self.cgroups.kill(name);
        }
    }

    /// When a guard has to be looked at that was told to kill, or a pid file is tried again, in milliseconds since boot.
    pub(super) fn next_look_ms(&self) -> Option<u64> {
        let killed = self.services.values().filter(|service| service.guard.is_some());
        let killed =
            killed.filter_map(|service| service.killed_at_ms).map(|at| at.saturating_add(KILL_PATIENCE_MS));
        let unwritten = self.running().filter_map(|(_, process)| process.pid_file_due_ms);
        killed.chain(unwritten).min()
    }

    /// Writes the pid files that could not be written before: the disk was full.
    pub(super) fn write_pid_files(&mut self, now_ms: u64, journal: &mut Journal) {
        for (name, service) in &mut self.services {
            let running = service.process.as_mut().filter(|process| process.ended.is_none());
            let due = running.filter(|process| process.pid_file_due_ms.is_some_and(|at| at <= now_ms));
            if let Some((level, text)) = due.and_then(|process| process.write_pid_file(name, now_ms)) {
                journal.report(level, &text);
            }
        }
    }

    /// Kills the guards that were told to kill and stand still themselves: the launcher inherits what they guard, and
    /// ends it.
    pub(super) fn end_standing_guards(&mut self, now_ms: u64, journal: &mut Journal) {
        for (name, service) in &mut self.services {
            let due = service.killed_at_ms.is_some_and(|at| at.saturating_add(KILL_PATIENCE_MS) <= now_ms);
            let Some(guard) = service.guard.as_ref().filter(|_| due) else { continue };
            // Looked at again, should it still be there.
            service.killed_at_ms = Some(now_ms);
            if identity::stands_still(number(guard.pid())) {
                let text =
                    format!("the guard of {name}, process {}, stands still and is killed", guard.pid());
                journal.report(Level::Warn, &text);
                let _ = nix::sys::signal::kill(guard.pid(), Signal::SIGKILL);
            }
        }
    }

    /// Politely. A guard that stands still passes nothing on, so its whole tree is asked from outside.
    fn ask_to_stop(&mut self, name: &str) {
        let Some(Service { guard: Some(guard), process: Some(process), hooks, .. }) =
            self.services.get_mut(name)
        else {
            return;
        };
        // Before the signal: once the first process ends, the guard has to know whether the rest keeps its time.
        guard.page().set_stopping(true);
        let _ = guard.order(Order::EndHooks, &[]);
        let _ = guard.order(Order::Signal { number: process.stop_signal as i32 }, &[]);
        let skipped: Vec<Pid> = hooks.values().filter_map(|hook| hook.pid).collect();
        let group = process.pid.filter(|_| !identity::stands_still(number(guard.pid())));
        signal_others(guard.pid(), group, &skipped, process.stop_signal);
    }

    /// Sets a deadline for a supervisor that cannot do it itself.
    pub(super) fn lease(&mut self, service: &str, pid: u32, deadline_ms: Option<u64>) {
        if let Some((_, Some(guard))) = self.find(service, pid) {
            let lease = deadline_ms.map(|kill_at_ms| Lease { kill_at_ms, resume: None });
            // A supervisor of that version cannot be told that it comes too late; it is told of the end.
            let _ = guard.page().hold(lease.as_ref(), clock::boot_ms());
            guard.wake();
        }
    }

    /// Keeps what a supervisor found of this very process.
    pub(super) fn checked(&mut self, service: &str, pid: u32, health: Health) {
        if let Some((process, _)) = self.find(service, pid) {
            process.health = Some(health);
        }
    }

    /// Kills the hook that this request asked for.
    pub(super) fn end_hook(&mut self, service: &str, request: u64) {
        let Some(Service { guard: Some(guard), hooks, .. }) = self.services.get_mut(service) else { return };
        if let Some((id, _)) = hooks.iter().find(|(_, hook)| hook.request == Some(request)) {
            let _ = guard.order(Order::EndHook { id: *id }, &[]);
        }
    }

    /// The supervisor has gone, or another one is connected, which has adopted no process yet. Hooks end with the
    /// supervisor that ran them.
    pub(super) fn detach(&mut self) {
        let mut unfinished = Vec::new();
        for (name, service) in &mut self.services {
            service.hooks.values_mut().for_each(|hook| hook.request = None);
            let Some(guard) = &mut service.guard else { continue };
            let _ = guard.order(Order::EndHooks, &[]);
            // The next supervisor decides anew; until then an end is a crash.
            guard.page().set_stopping(false);
            guard.wake();
            let Some(process) = &mut service.process else { continue };
            (process.attached, process.request) = (false, None);
            if process.pid.is_none() || guard.page().status().is_some() {
                // Its first process is not known yet, or has ended already: none can take that over.
                unfinished.push(name.clone());
            }
        }
        unfinished.iter().for_each(|name| self.kill(name));
        for process in self.services.values_mut().filter_map(|service| service.process.as_mut()) {
            process.attached = false;
        }
    }

    /// The processes that a supervisor can adopt.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = self.services.iter().filter_map(|(name, service)| {
            let process = service.process.as_ref()?;
            let page = service.guard.as_ref().map(Guard::page);
            Some(Held {
                service: name.clone(),
                group: process.launch.group.clone(),
                ident: process.launch.ident.clone(),
                pid: process.number()?,
                start_ticks: process.start_ticks,
                since_ms: process.since_ms,
                // Also when only the rest of the tree is left: its pid means nothing any more.
                ended: process.ended.is_some() || page.is_none_or(|page| page.status().is_some()),
                resume: page.and_then(|page| page.resume()),
                restarts: process.launch.restarts,
                stop_timeout_ms: process.launch.stop_timeout_ms,
                health: process.health,
            })
        });
        held.collect()
    }

    fn running(&self) -> impl Iterator<Item = (&String, &Process)> {
        let processes =
            self.services.iter().filter_map(|(name, service)| Some((name, service.process.as_ref()?)));
        processes.filter(|(_, process)| process.ended.is_none())
    }

    /// How many services run.
    pub(super) fn count(&self) -> usize {
        self.running().count()
    }

    /// Whether nothing runs, no hook either.
    pub(super) fn is_idle(&self) -> bool {
        self.services.values().all(|service| service.guard.is_none() && !service.is_orphaned)
    }

    /// Asks every service to stop; says when the last of them has had its time, in milliseconds since boot.
    pub(super) fn stop_all(&mut self, now_ms: u64) -> u64 {
        let names: Vec<String> = self.running().map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.ask_to_stop(name));
        let longest = self.running().map(|(_, process)| process.launch.stop_timeout_ms).max();
        now_ms.saturating_add(longest.unwrap_or_default())
    }

    /// Kills everything.
    pub(super) fn kill_all(&mut self) {
        let names: Vec<String> = self.services.keys().cloned().collect();
        names.iter().for_each(|name| self.kill(name));
    }

    /// Handles a descriptor that is ready.
    pub(super) fn on_ready(
        &mut self,
        watched: Watched,
        buffer: &mut [u8],
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) {
        match watched {
            Watched::Guard(name) => self.take_news(&name, buffer, outputs, journal),
            Watched::Fault(name, id) => self.take_fault(&name, id),
        }
    }

    fn take_news(&mut self, name: &str, buffer: &mut [u8], outputs: &mut Outputs, journal: &mut Journal) {
        loop {
            let Some(news) = self.services.get(name).and_then(|s| s.guard.as_ref()).and_then(Guard::news)
            else {
                return;
            };
            match news {
                News::Started { id, pid } => self.on_started(name, id, Pid::from_raw(pid), outputs, journal),
                News::Refused { id, errno } => self.on_refused(name, id, Errno::from_raw(errno)),
                News::HookEnded { id, status, timed_out } => {
                    self.on_hook_ended(name, id, status_of(status), timed_out);
                }
                News::Expired => {
                    let text = format!(
                        "{name} may lead its group no longer: the supervisor did not renew that in time; all its \
                         processes are killed"
                    );
                    journal.report(Level::Warn, &text);
                }
                News::Empty { starts } => self.on_empty(name, starts, buffer, outputs, journal),
            }
        }
    }

    /// Waits for those of its guards that have ended, and for no other children of this program.
    pub(super) fn reap_own(&self) -> Vec<(Pid, ExitStatus)> {
        let guards = self.services.values().filter_map(|service| service.guard.as_ref()).map(Guard::pid);
        guards.chain(self.leaving.iter().copied()).filter_map(reap).collect()
    }
}

/// Waits for a process that has ended; -1 means any.
pub(super) fn reap(pid: Pid) -> Option<(Pid, ExitStatus)> {
    loop {
        return match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => Some((pid, ExitStatus::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => Some((pid, ExitStatus::Signal(signal as i32))),
            Err(Errno::EINTR) => continue,
            _ => None,
        };
    }
}
