//! The processes of services: starts them, signals them, kills them at the end of a lease, and waits for them. Never
//! decides whether a service should run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use annulus_core::ExitStatus;
use nix::errno::Errno;
use nix::libc::rlim_t;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::cgroup::Cgroups;
use super::journal::{Journal, Level, Source};
use super::message::{Answer, Held, Launch};
use super::output::Outputs;
use super::{child, identity, leftover};
use crate::host::clock;

/// Services at one time: far more than a host runs.
const SERVICES_MAX: usize = 4_096;

/// One process.
#[derive(Debug)]
struct Process {
    pid: Pid,
    group: String,
    ident: String,
    start_ticks: u64,
    since_ms: u64,
    stop_signal: Signal,
    stop_timeout_ms: u64,
    pid_file: PathBuf,
    /// It is killed at this time since boot, in milliseconds, unless the lease is renewed.
    lease_ms: Option<u64>,
    /// Whether the connected supervisor started or adopted it.
    attached: bool,
    /// How it ended, until a supervisor has been told.
    ended: Option<ExitStatus>,
}

/// The end of a process, for the supervisor that started or adopted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) service: String,
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
}

/// All processes, by service.
#[derive(Debug)]
pub(super) struct Services {
    processes: BTreeMap<String, Process>,
    cgroups: Cgroups,
    /// Limits of open files that the launcher itself was started with.
    nofile: (rlim_t, rlim_t),
}

impl Services {
    pub(super) fn new(nofile: (rlim_t, rlim_t), cgroups: Cgroups) -> Self {
        Self { processes: BTreeMap::new(), cgroups, nofile }
    }

    /// Starts a process.
    pub(super) fn spawn(&mut self, launch: &Launch, outputs: &mut Outputs, journal: &mut Journal) -> Answer {
        let failed = |reason: String| Answer::Failed { busy: false, reason };
        let service = &launch.service;
        if let Some(process) = self.running(service) {
            return failed(format!("{service} runs already, as process {}", process.pid));
        }
        if self.processes.len() >= SERVICES_MAX && !self.processes.contains_key(service) {
            return failed(format!("this launcher runs {SERVICES_MAX} services, which is its limit"));
        }
        let stop_signal = i32::try_from(launch.stop_signal).ok().and_then(|number| number.try_into().ok());
        let Some(stop_signal) = stop_signal else {
            return failed(format!("{} is not the number of a signal", launch.stop_signal));
        };
        if leftover::kill_leftovers(&launch.pid_file, &launch.dir) {
            let text =
                format!("processes of {service} outlived a launcher that was killed; they are killed too");
            journal.report(Level::Warn, &text);
        }
        let pids: Vec<Pid> = self.processes.values().filter(|p| p.ended.is_none()).map(|p| p.pid).collect();
        let cgroup = self.cgroups.join(service, launch.limits, &pids, journal);
        let started = match child::start(launch, cgroup, self.nofile) {
            Ok(started) => started,
            Err(error) => {
                self.cgroups.leave(service);
                let busy = error.kind() == io::ErrorKind::ExecutableFileBusy;
                return Answer::Failed { busy, reason: child::explain(launch, &error) };
            }
        };
        let pid = started.pid;
        let source = |tag| Source::Service { service: service.clone(), group: launch.group.clone(), tag };
        outputs.add(started.output, source(b'O'), pid.as_raw());
        outputs.add(started.errors, source(b'E'), pid.as_raw());
        if let Err(error) = write_pid(&launch.pid_file, pid) {
            journal.report(Level::Warn, &format!("the pid file of {service} cannot be written: {error}"));
        }
        let process = Process {
            pid,
            group: launch.group.clone(),
            ident: launch.ident.clone(),
            start_ticks: identity::start_ticks(number(pid)).unwrap_or_default(),
            since_ms: clock::wall().as_millis(),
            stop_signal,
            stop_timeout_ms: launch.stop_timeout_ms,
            pid_file: launch.pid_file.clone(),
            lease_ms: None,
            attached: true,
            ended: None,
        };
        self.processes.insert(service.clone(), process);
        Answer::Started { pid: number(pid) }
    }

    fn running(&self, service: &str) -> Option<&Process> {
        self.processes.get(service).filter(|process| process.ended.is_none())
    }

    /// The process with this pid, while it has not been waited for: until then no other process gets its number.
    fn find(&mut self, service: &str, pid: u32) -> Option<&mut Process> {
        self.processes
            .get_mut(service)
            .filter(|process| number(process.pid) == pid && process.ended.is_none())
    }

    /// Hands a process over to the connected supervisor; returns its end as well when it has ended.
    pub(super) fn adopt(&mut self, service: &str, pid: u32) -> (Answer, Option<End>) {
        let Some(process) = self.processes.get_mut(service).filter(|process| number(process.pid) == pid)
        else {
            let reason = format!("the launcher has no process {pid} of {service}");
            return (Answer::Failed { busy: false, reason }, None);
        };
        process.attached = true;
        let end = process.ended.map(|status| End { service: service.to_owned(), pid, status });
        if end.is_some() {
            self.processes.remove(service);
        } else if identity::start_ticks(pid) != Some(process.start_ticks) {
            // Not to be expected: a child that was not waited for keeps its number.
            let reason = format!("process {pid} is not the one that was started for {service}");
            return (Answer::Failed { busy: false, reason }, None);
        }
        (Answer::Started { pid }, end)
    }

    pub(super) fn signal(&mut self, service: &str, pid: u32, kill: bool) {
        if let Some(process) = self.find(service, pid) {
            process.send(if kill { Signal::SIGKILL } else { process.stop_signal });
        }
    }

    pub(super) fn lease(&mut self, service: &str, pid: u32, deadline_ms: Option<u64>) {
        if let Some(process) = self.find(service, pid) {
            process.lease_ms = deadline_ms;
        }
    }

    /// When the next lease ends, in milliseconds since boot.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.processes.values().filter(|p| p.ended.is_none()).filter_map(|p| p.lease_ms).min()
    }

    /// Kills every process whose lease has ended.
    pub(super) fn end_leases(&mut self, now_ms: u64, journal: &mut Journal) {
        for (service, process) in &mut self.processes {
            if process.ended.is_none() && process.lease_ms.is_some_and(|lease| lease <= now_ms) {
                process.lease_ms = None;
                process.send(Signal::SIGKILL);
                let text = format!(
                    "{service} may lead its group no longer: the supervisor did not renew that in time; process {} is killed",
                    process.pid
                );
                journal.report(Level::Warn, &text);
            }
        }
    }

    /// Another supervisor is connected, which has adopted no process yet.
    pub(super) fn detach(&mut self) {
        self.processes.values_mut().for_each(|process| process.attached = false);
    }

    /// The processes that a supervisor can adopt.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = self.processes.iter().map(|(service, process)| Held {
            service: service.clone(),
            group: process.group.clone(),
            ident: process.ident.clone(),
            pid: number(process.pid),
            start_ticks: process.start_ticks,
            since_ms: process.since_ms,
            ended: process.ended.is_some(),
        });
        held.collect()
    }

    /// How many processes run.
    pub(super) fn count(&self) -> usize {
        self.processes.values().filter(|process| process.ended.is_none()).count()
    }

    /// Asks every process to stop; says when the last of them has had its time, in milliseconds since boot.
    pub(super) fn stop_all(&self, now_ms: u64) -> u64 {
        let running = || self.processes.values().filter(|process| process.ended.is_none());
        running().for_each(|process| process.send(process.stop_signal));
        now_ms.saturating_add(running().map(|process| process.stop_timeout_ms).max().unwrap_or_default())
    }

    /// Kills every process group.
    pub(super) fn kill_all(&self) {
        for process in self.processes.values().filter(|process| process.ended.is_none()) {
            process.send(Signal::SIGKILL);
        }
    }

    /// A process of this launcher has ended. If it was a service's, the rest of its group is killed, and its end is
    /// returned when the connected supervisor wants to know.
    pub(super) fn ended(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        buffer: &mut [u8],
        outputs: &mut Outputs,
        journal: &mut Journal,
    ) -> Option<End> {
        let (service, process) =
            self.processes.iter_mut().find(|(_, p)| p.pid == pid && p.ended.is_none())?;
        // A helper that outlives its service would hold the ports that the next start needs. No other group gets this
        // number while a member is alive.
        let _ = killpg(pid, Signal::SIGKILL);
        self.cgroups.leave(service);
        outputs.ended(pid.as_raw(), buffer, journal);
        // It may have been removed already, or never written.
        let _ = fs::remove_file(&process.pid_file);
        let end = End { service: service.clone(), pid: number(pid), status };
        if process.attached {
            self.processes.remove(&end.service);
            return Some(end);
        }
        process.ended = Some(status);
        None
    }

    /// Waits for those of its own processes that have ended, and for no other children of this program.
    pub(super) fn reap_own(&self) -> Vec<(Pid, ExitStatus)> {
        let running = self.processes.values().filter(|process| process.ended.is_none());
        running.filter_map(|process| reap(process.pid)).collect()
    }
}

impl Process {
    fn send(&self, signal: Signal) {
        // The group may be empty already.
        let _ = killpg(self.pid, signal);
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
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

/// Readers see the whole file or none. It need not survive a power failure, for the process does not either.
fn write_pid(path: &Path, pid: Pid) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, format!("{pid}\n"))?;
    fs::rename(unfinished, path)
}
