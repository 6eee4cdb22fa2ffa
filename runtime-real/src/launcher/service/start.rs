//! Starts processes and hooks below their guards, and learns whether they run.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::{Service, Services, Told};
use crate::host::clock;
use crate::launcher::cgroup::Group;
use crate::launcher::guard::{Guard, Order, Program};
use crate::launcher::journal::{Journal, Level, Source};
use crate::launcher::message::{Answer, HookLaunch, Launch, Owner};
use crate::launcher::output::Outputs;
use crate::launcher::running::{Fault, Hook, Process, number, remove_pid};
use crate::launcher::{child, identity, leftover};

/// Services at one time: far more than a host runs.
const SERVICES_MAX: usize = 4_096;
/// Hooks of one service at one time.
const HOOKS_MAX: usize = 32;

impl Services {
    /// Starts a process; the answer comes when it runs, or cannot.
    pub(in crate::launcher) fn spawn(&mut self, request: u64, launch: &Launch, journal: &mut Journal) {
        if let Err((busy, reason)) = self.try_spawn(request, launch, journal) {
            self.answer(Some(request), Answer::Failed { busy, reason });
            self.retire_unused(&launch.service);
        }
    }

    fn try_spawn(
        &mut self,
        request: u64,
        launch: &Launch,
        journal: &mut Journal,
    ) -> Result<(), (bool, String)> {
        let failed = |reason: String| (false, reason);
        let service = &launch.service;
        let process = self.services.get(service).and_then(|service| service.process.as_ref());
        if let Some(process) = process.filter(|process| process.ended.is_none()) {
            let pid = process.pid.map(|pid| format!(", as process {pid}")).unwrap_or_default();
            return Err(failed(format!("{service} runs already{pid}")));
        }
        self.last_hooks_ended(service)?;
        let stop_signal = i32::try_from(launch.stop_signal).ok().and_then(|number| number.try_into().ok());
        let Some(stop_signal) = stop_signal else {
            return Err(failed(format!("{} is not the number of a signal", launch.stop_signal)));
        };
        if leftover::kill_leftovers(&launch.pid_file, &launch.dir) {
            let text = format!("processes of {service} outlived launcher and guard; they are killed too");
            journal.report(Level::Warn, &text);
        }
        self.owners.claim(service).map_err(failed)?;
        self.ensure_guard(service).map_err(failed)?;
        let group =
            self.cgroups.run(service, launch.limits, journal).map(|group| Group { kill: None, ..group });
        let nofile = child::limit(launch.nofile, self.nofile);
        let program = Program {
            path: &launch.program,
            dir: &launch.dir,
            env: child::environment(&launch.env),
            owner: launch.owner.as_ref(),
            capabilities: launch.capabilities,
            nofile,
        };
        let (id, pipes) = (self.next, pipes().map_err(|error| failed(error.to_string()))?);
        let Some(guard) = self.services.get_mut(service).and_then(|service| service.guard.as_mut()) else {
            return Err(failed(format!("{service} has no guard")));
        };
        if let Some(lease) = &launch.lease {
            let now_ms = clock::boot_ms();
            if lease.kill_at_ms <= now_ms || guard.page().hold(Some(lease), now_ms).is_err() {
                return Err(failed(format!(
                    "the time for which {service} may lead has ended before its start"
                )));
            }
        }
        let [output, errors, fault] = pipes;
        let order = Order::Start { id, joins: group.is_some(), kills: false, deadline_ms: None };
        start(guard, order, &program, [&output.1, &errors.1, &fault.1], group.as_ref()).map_err(|error| {
            failed(child::explain(&launch.program, &launch.dir, launch.owner.as_ref(), &error))
        })?;
        self.next += 1;
        let process = Process {
            id,
            pid: None,
            request: Some(request),
            fault: Fault::new(fault.0),
            pipes: Some((output.0, errors.0)),
            launch: launch.clone(),
            start_ticks: 0,
            since_ms: clock::wall().as_millis(),
            stop_signal,
            pid_file_due_ms: None,
            attached: true,
            status: None,
            health: None,
            ended: None,
        };
        self.services.entry(service.clone()).or_default().process = Some(process);
        Ok(())
    }

    /// Runs a hook with these two descriptors as output and errors; the answer comes at its end.
    pub(in crate::launcher) fn run_hook(&mut self, request: u64, launch: &HookLaunch, said: [OwnedFd; 2]) {
        if let Err((busy, reason)) = self.try_run_hook(request, launch, &said) {
            self.answer(Some(request), Answer::Failed { busy, reason });
            self.retire_unused(&launch.service);
        }
    }

    fn try_run_hook(
        &mut self,
        request: u64,
        launch: &HookLaunch,
        [output, errors]: &[OwnedFd; 2],
    ) -> Result<(), (bool, String)> {
        self.last_hooks_ended(&launch.service)?;
        self.start_hook(request, launch, [output, errors]).map_err(|reason| (false, reason))
    }

    /// A supervisor that was killed leaves its hooks to be ended: nothing starts beside them.
    fn last_hooks_ended(&self, name: &str) -> Result<(), (bool, String)> {
        let hooks = self.services.get(name).into_iter().flat_map(|service| service.hooks.values());
        let left = hooks.filter(|hook| hook.request.is_none()).count();
        if left > 0 {
            return Err((true, format!("{left} hooks of {name} are still being ended")));
        }
        Ok(())
    }

    fn start_hook(
        &mut self,
        request: u64,
        launch: &HookLaunch,
        [output, errors]: [&OwnedFd; 2],
    ) -> Result<(), String> {
        let service = &launch.service;
        self.owners.claim_for_hook(service)?;
        self.ensure_guard(service)?;
        let (id, fault) = (self.next, pipe().map_err(|error| error.to_string())?);
        self.next += 1;
        let group = self.cgroups.hook(service, id);
        let found = self.services.get_mut(service);
        let found = found.filter(|service| service.hooks.len() < HOOKS_MAX);
        let found = found.ok_or_else(|| format!("{service} runs {HOOKS_MAX} hooks, which is the limit"))?;
        let guard = found.guard.as_mut().ok_or_else(|| format!("{service} has no guard"))?;
        if let Some(lease) = &launch.lease
            && (lease.kill_at_ms <= clock::boot_ms() || guard.page().hold_first(lease.kill_at_ms).is_err())
        {
            return Err(format!("the time for which {service} may lead has ended before its hook began"));
        }
        let program = Program {
            path: &launch.program,
            dir: &launch.dir,
            env: child::environment(&launch.env),
            owner: launch.owner.as_ref(),
            capabilities: launch.capabilities,
            nofile: self.nofile,
        };
        let order = Order::Start {
            id,
            joins: group.is_some(),
            kills: group.as_ref().is_some_and(|group| group.kill.is_some()),
            deadline_ms: Some(clock::boot_ms().saturating_add(launch.timeout_ms)),
        };
        start(guard, order, &program, [output, errors, &fault.1], group.as_ref())
            .map_err(|error| child::explain(&launch.program, &launch.dir, launch.owner.as_ref(), &error))?;
        let hook =
            Hook { request: Some(request), fault: Fault::new(fault.0), pid: None, launch: launch.clone() };
        found.hooks.insert(id, hook);
        Ok(())
    }

    /// Has a service a guard that starts processes.
    fn ensure_guard(&mut self, name: &str) -> Result<(), String> {
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(name) {
            return Err(format!("this launcher runs {SERVICES_MAX} services, which is its limit"));
        }
        let service = self.services.entry(name.to_owned()).or_default();
        if service.is_orphaned {
            return Err(format!("what is left of {name} is being killed"));
        }
        let ending = service.guard.as_ref().is_some_and(|guard| guard.page().is_killed());
        if ending && service.hooks.is_empty() && service.process.as_ref().is_none_or(|p| p.ended.is_some()) {
            self.retire(name);
        } else if ending {
            return Err(format!("{name} is being ended"));
        }
        let service = self.services.entry(name.to_owned()).or_default();
        if service.guard.is_none() {
            let kill = self.cgroups.make(name);
            let owner = self.owners.share(name).map_err(|error| format!("{name} gets no guard: {error}"))?;
            let guard =
                Guard::start(kill, owner).map_err(|error| format!("{name} gets no guard: {error}"))?;
            service.guard = Some(guard);
        }
        Ok(())
    }

    pub(super) fn on_started(
        &mut self,
        name: &str,
        id: u64,
        pid: Pid,
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) {
        let Some(service) = self.services.get_mut(name) else { return };
        if let Some(hook) = service.hooks.get_mut(&id) {
            hook.pid = Some(pid);
            if let (Some(request), Some(_)) = (hook.request, &hook.launch.lease) {
                let fds = service.guard.as_ref().and_then(|guard| guard.share().ok()).unwrap_or_default();
                self.told.push_back(Told::Started(request, number(pid), fds));
            }
        }
        let Some(process) = service.process.as_mut().filter(|process| process.id == id) else { return };
        process.pid = Some(pid);
        process.start_ticks = identity::start_ticks(number(pid)).unwrap_or_default();
        let source =
            |tag| Source::Service { service: name.to_owned(), group: process.launch.group.clone(), tag };
        if let Some((output, errors)) = process.pipes.take() {
            outputs.add(output, source(b'O'), pid.as_raw());
            outputs.add(errors, source(b'E'), pid.as_raw());
        }
        if let Some((level, text)) = process.write_pid_file(name, clock::boot_ms()) {
            journal.report(level, &text);
        }
        self.tell_started(name);
    }

    /// Answers the request for a process, once its pid is known and the program runs.
    fn tell_started(&mut self, name: &str) {
        let Some(Service { guard, process: Some(process), .. }) = self.services.get_mut(name) else { return };
        let Some(pid) = process.number().filter(|_| process.fault.is_over()) else { return };
        if let Some(request) = process.request.take() {
            let fds = guard.as_ref().and_then(|guard| guard.share().ok()).unwrap_or_default();
            self.told.push_back(Told::Started(request, pid, fds));
        }
    }

    /// The guard makes no process: the system gives none, or the service is being killed.
    pub(super) fn on_refused(&mut self, name: &str, id: u64, errno: Errno) {
        let reason = match errno {
            Errno::ECANCELED => format!("{name} is being ended"),
            errno => format!("no process can be made for {name}: {errno}"),
        };
        // A guard that ends makes room for another one within a moment.
        self.fail(name, id, |_| (errno == Errno::ECANCELED, reason));
    }

    pub(super) fn take_fault(&mut self, name: &str, id: u64) {
        let Some(service) = self.services.get_mut(name) else { return };
        let fault = match service.process.as_mut().filter(|process| process.id == id) {
            Some(process) => Some(&mut process.fault),
            None => service.hooks.get_mut(&id).map(|hook| &mut hook.fault),
        };
        match fault.map(Fault::read) {
            Some(Some(error)) => {
                let busy = error.kind() == io::ErrorKind::ExecutableFileBusy;
                self.fail(name, id, |(program, dir, owner)| {
                    (busy, child::explain(program, dir, owner, &error))
                });
            }
            Some(None) => self.tell_started(name),
            None => {}
        }
    }

    /// A program could not be started.
    fn fail(
        &mut self,
        name: &str,
        id: u64,
        explain: impl FnOnce((&Path, &Path, Option<&Owner>)) -> (bool, String),
    ) {
        let Some(service) = self.services.get_mut(name) else { return };
        let (request, (busy, reason)) = if let Some(hook) = service.hooks.remove(&id) {
            let HookLaunch { program, dir, owner, .. } = &hook.launch;
            (hook.request, explain((program, dir, owner.as_ref())))
        } else if let Some(process) = service.process.take_if(|process| process.id == id) {
            remove_pid(&process.launch.pid_file);
            let Launch { program, dir, owner, .. } = &process.launch;
            (process.request, explain((program, dir, owner.as_ref())))
        } else {
            return;
        };
        self.cgroups.leave_hook(name, id);
        self.answer(request, Answer::Failed { busy, reason });
        self.retire_unused(name);
    }
}

/// The reading end of a pipe, which does not wait, and its writing end.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((child::unwaiting(reader.into())?, writer.into()))
}

fn pipes() -> io::Result<[(OwnedFd, OwnedFd); 3]> {
    Ok([pipe()?, pipe()?, pipe()?])
}

/// Has a guard start a program.
fn start(
    guard: &mut Guard,
    order: Order,
    program: &Program<'_>,
    said: [&OwnedFd; 3],
    group: Option<&Group>,
) -> io::Result<()> {
    let block = program.write()?;
    let joins = group.into_iter().flat_map(|group| [Some(&group.procs), group.kill.as_ref()]).flatten();
    let fds: Vec<BorrowedFd<'_>> =
        [&block].into_iter().chain(said).chain(joins).map(|fd| fd.as_fd()).collect();
    guard.order(order, &fds)
}
