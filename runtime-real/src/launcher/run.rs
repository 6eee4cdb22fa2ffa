//! The launcher's loop: one thread that watches sockets, pipes, signals and one timer. It waits in one place and
//! blocks nowhere else.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use annulus_core::ExitStatus;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;

use super::identity;
use super::journal::{Journal, Level, Source};
use super::link::{Link, Received};
use super::message::{Answer, Message, Request};
use super::output::{Outputs, READ_BYTES};
use super::service::{End, Services, Told, Watched, reap};
use super::supervisor::{Supervisor, Verdict};
use super::version::{self, Versions, welcome_of_version_1};
use crate::host::{clock, exit};

/// Signals that ask the launcher for something.
const SIGNALS: [Signal; 5] =
    [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP];
/// Signals that ask it for nothing, and would end it.
const STRAY_SIGNALS: [Signal; 3] = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM];
/// Once everything has been killed, the dead are waited for this long, in milliseconds.
const LAST_REAP_MS: u64 = 2_000;

/// A time further away than this, in milliseconds since boot, is as good as none: 139 years.
const FAR_MS: u64 = 1 << 42;

/// A source that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ready {
    Signals,
    Timer,
    Listener,
    Peer,
    /// The supervisor has something to tell the service manager.
    Told,
    Output(u64),
    /// A guard, or a program that is being started.
    Service(Watched),
    /// A place where lines are shown: each turn writes there as much as it takes.
    Shown,
}

/// The stages of the launcher's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// No supervisor is there to stop the services: the launcher asked them to stop, and kills them at this deadline.
    Stopping {
        kill_at_ms: u64,
        code: u8,
    },
    /// Everything was killed; a process that does not die by then is not waited for.
    Ending {
        until_ms: u64,
        code: u8,
    },
}

/// The state of a launcher.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) journal: Journal,
    pub(super) services: Services,
    pub(super) outputs: Outputs,
    pub(super) link: Link,
    /// None in tests, where the test is the supervisor.
    pub(super) supervisor: Option<Supervisor>,
    signals: Option<SignalFd>,
    timer: TimerFd,
    phase: Phase,
    /// Signals that asked the launcher to end, counted.
    asked: u32,
    /// The code that the launcher would have ended with for its last supervisor.
    last_code: u8,
    buffer: Vec<u8>,
}

impl Launcher {
    /// # Errors
    /// The system gives no timer or no descriptors.
    pub(super) fn new(
        journal: Journal,
        services: Services,
        link: Link,
        supervisor: Option<Supervisor>,
    ) -> io::Result<Self> {
        let signals = match &supervisor {
            Some(_) => {
                let mask: SigSet = SIGNALS.into_iter().chain(STRAY_SIGNALS).collect();
                mask.thread_block()?;
                Some(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
            }
            None => None,
        };
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self {
            journal,
            services,
            outputs: Outputs::default(),
            link,
            supervisor,
            signals,
            // This clock counts while the host sleeps, and its timer fires as soon as that ends.
            timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?,
            phase: Phase::Running,
            asked: 0,
            last_code: exit::FAILED,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Runs until the supervisor has ended for good; returns the exit code.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub(super) fn run(mut self) -> io::Result<u8> {
        self.start_supervisor();
        loop {
            if let Some(code) = self.turn()? {
                self.journal.finish();
                return Ok(code);
            }
        }
    }

    fn start_supervisor(&mut self) {
        let Some(supervisor) = &mut self.supervisor else { return };
        match supervisor.start(clock::boot_ms()) {
            Ok((pid, errors)) => self.outputs.add(errors, Source::Supervisor, pid.as_raw()),
            Err(error) => self.journal.report(Level::Error, &error.to_string()),
        }
    }

    /// Waits once and handles what is ready; returns the exit code at the end.
    fn turn(&mut self) -> io::Result<Option<u8>> {
        self.set_timer()?;
        let ready = self.wait()?;
        let now_ms = clock::boot_ms();
        for what in ready {
            match what {
                Ready::Signals => self.on_signals(),
                Ready::Timer => drop(self.timer.wait()),
                Ready::Listener => {
                    let supervisor = self.supervisor.as_ref().and_then(Supervisor::pid).map(Pid::as_raw);
                    if let Err(reason) = self.link.accept(supervisor) {
                        self.journal.report(Level::Warn, &reason);
                    }
                }
                Ready::Peer => self.on_peer(),
                Ready::Told => self.pass_on(),
                Ready::Output(number) => self.outputs.read(number, &mut self.buffer, &mut self.journal),
                Ready::Service(watched) => {
                    let (buffer, journal) = (&mut self.buffer, &mut self.journal);
                    self.services.on_ready(watched, buffer, &mut self.outputs, journal);
                }
                Ready::Shown => {}
            }
            self.tell();
        }
        if self.signals.is_none() {
            for (pid, status) in self.services.reap_own() {
                self.on_end(pid, status);
            }
            self.tell();
        }
        if self.supervisor.as_ref().and_then(Supervisor::next_ms).is_some_and(|at| at <= now_ms) {
            self.start_supervisor();
        }
        self.services.end_standing_guards(now_ms, &mut self.journal);
        self.services.write_pid_files(now_ms, &mut self.journal);
        self.link.flush();
        self.journal.flush();
        Ok(self.on_phase(now_ms))
    }

    fn set_timer(&self) -> io::Result<()> {
        let phase = match self.phase {
            Phase::Running => None,
            Phase::Stopping { kill_at_ms, .. } => Some(kill_at_ms),
            Phase::Ending { until_ms, .. } => Some(until_ms),
        };
        let restart = self.supervisor.as_ref().and_then(Supervisor::next_ms);
        match [phase, restart, self.services.next_look_ms()].into_iter().flatten().min() {
            None => self.timer.unset()?,
            Some(at_ms) => {
                // Zero would disarm the timer.
                let at = TimeSpec::milliseconds(at_ms.clamp(1, FAR_MS).cast_signed());
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<Vec<Ready>> {
        let mut what = vec![Ready::Timer];
        let mut fds = vec![PollFd::new(self.timer.as_fd(), PollFlags::POLLIN)];
        if let Some(signals) = &self.signals {
            what.push(Ready::Signals);
            fds.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
        }
        if let Some(relay) = self.supervisor.as_ref().and_then(Supervisor::relay) {
            what.push(Ready::Told);
            fds.push(PollFd::new(relay.wanted(), PollFlags::POLLIN));
        }
        let (listener, peer) = self.link.wanted();
        if let Some(fd) = listener {
            what.push(Ready::Listener);
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        if let Some((fd, flags)) = peer {
            what.push(Ready::Peer);
            fds.push(PollFd::new(fd, flags));
        }
        for fd in self.journal.wanted() {
            what.push(Ready::Shown);
            fds.push(PollFd::new(fd, PollFlags::POLLOUT));
        }
        for (number, fd) in self.outputs.wanted() {
            what.push(Ready::Output(number));
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        for (watched, fd) in self.services.wanted() {
            what.push(Ready::Service(watched));
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        // Without a descriptor for signals, the launcher has to look by itself whether a child has ended.
        let timeout = if self.signals.is_some() { PollTimeout::NONE } else { PollTimeout::from(10_u8) };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = what.iter().zip(&fds).filter(|(_, fd)| fd.any().unwrap_or_default());
        Ok(ready.map(|(what, _)| what.clone()).collect())
    }

    fn on_signals(&mut self) {
        while let Some(Ok(Some(info))) = self.signals.as_ref().map(SignalFd::read_signal) {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            match signal {
                // This signal also tells of processes whose own parent has ended: the launcher inherited them.
                Some(Signal::SIGCHLD) => {
                    while let Some((pid, status)) = reap(Pid::from_raw(-1)) {
                        self.on_end(pid, status);
                    }
                    let supervisor = self.supervisor.as_ref().and_then(Supervisor::pid);
                    let (buffer, journal) = (&mut self.buffer, &mut self.journal);
                    self.services.end_inherited(supervisor, buffer, &mut self.outputs, journal);
                }
                // Without a supervisor the launcher is about to start one anyway.
                Some(Signal::SIGHUP) => {
                    let _ = self.supervisor.as_ref().map(|supervisor| supervisor.signal(Signal::SIGHUP));
                }
                Some(stray) if STRAY_SIGNALS.contains(&stray) => {
                    let text = format!("{stray} received, which means nothing here: everything goes on");
                    self.journal.report(Level::Info, &text);
                }
                Some(signal) => self.on_stop(signal),
                None => {}
            }
        }
    }

    /// Passes the request on to the supervisor.
    /// The third time, or without a supervisor, the launcher ends things itself.
    fn on_stop(&mut self, signal: Signal) {
        self.asked += 1;
        let now_ms = clock::boot_ms();
        if self.asked >= 3 {
            self.journal.report(Level::Error, &format!("{signal} received again: everything is killed"));
            return self.end(exit::INTERRUPTED, now_ms);
        }
        match self.phase {
            Phase::Running => {
                if self.supervisor.as_ref().is_some_and(|supervisor| supervisor.signal(signal)) {
                    return;
                }
                self.stop(&format!("{signal} received while no supervisor runs"), now_ms);
            }
            Phase::Stopping { code, .. } => self.end(code, now_ms),
            Phase::Ending { .. } => {}
        }
    }

    /// Stops the services without a supervisor, and starts none again.
    fn stop(&mut self, why: &str, now_ms: u64) {
        let kill_at_ms = self.services.stop_all(now_ms);
        self.phase = Phase::Stopping { kill_at_ms, code: self.last_code };
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.stop_restarting();
        }
        self.journal.report(Level::Warn, &format!("{why}: services are stopped, the ring is not told"));
    }

    /// Kills everything that still runs.
    fn end(&mut self, code: u8, now_ms: u64) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.signal(Signal::SIGKILL);
            supervisor.stop_restarting();
        }
        self.services.kill_all();
        if !matches!(self.phase, Phase::Ending { .. }) {
            self.phase = Phase::Ending { until_ms: now_ms.saturating_add(LAST_REAP_MS), code };
        }
    }

    fn on_phase(&mut self, now_ms: u64) -> Option<u8> {
        let gone = self.services.is_idle();
        let alone = self.supervisor.as_ref().is_none_or(|supervisor| supervisor.pid().is_none());
        match self.phase {
            Phase::Running => {
                // In tests the supervisor is no process, only the other end of the connection.
                (self.supervisor.is_none() && !self.link.is_open()).then(|| {
                    self.services.kill_all();
                    exit::LEFT
                })
            }
            Phase::Stopping { code, .. } if gone => Some(code),
            Phase::Stopping { kill_at_ms, code } => {
                if kill_at_ms <= now_ms {
                    self.end(code, now_ms);
                }
                None
            }
            Phase::Ending { until_ms, code } => ((gone && alone) || until_ms <= now_ms).then_some(code),
        }
    }

    /// Tells the supervisor what the services have to say.
    fn tell(&mut self) {
        while let Some(told) = self.services.take_told() {
            match told {
                Told::Answer(id, answer) => self.send(&Message::Answer { id, answer }),
                Told::Started(id, pid, mut fds) => {
                    if self.link.version().is_none_or(|version| version < version::WITH_GUARDS) {
                        fds.clear();
                    }
                    let answer = Answer::Started { pid, guarded: !fds.is_empty() };
                    self.send_with(&Message::Answer { id, answer }, fds);
                }
                Told::End(End { service, pid, status }) => {
                    self.journal.close(&service);
                    self.send(&Message::Exited { service, pid, status });
                }
            }
        }
    }

    /// A child has ended, or a process that the launcher inherited.
    fn on_end(&mut self, pid: Pid, status: ExitStatus) {
        if self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid() == Some(pid)) {
            return self.on_supervisor_end(pid, status);
        }
        self.services.ended(pid, status, &mut self.buffer, &mut self.outputs, &mut self.journal);
    }

    fn on_supervisor_end(&mut self, pid: Pid, status: ExitStatus) {
        let now_ms = clock::boot_ms();
        // Its last requests may not have been read yet, nor its last words.
        self.on_peer();
        self.pass_on();
        self.link.hang_up();
        self.services.detach();
        self.outputs.ended(pid.as_raw(), &mut self.buffer, &mut self.journal);
        let Some(supervisor) = &mut self.supervisor else { return };
        let services = match self.services.count() {
            0 => String::new(),
            1 => "; its service goes on".to_owned(),
            count => format!("; its {count} services go on"),
        };
        match supervisor.ended(status, now_ms) {
            Verdict::End(code) => self.end(code, now_ms),
            Verdict::Last => {}
            Verdict::Restart => {
                let text = format!("the supervisor, process {pid}, is started again{services}");
                self.journal.report(Level::Info, &text);
            }
            Verdict::Retry(wait_ms) => {
                self.last_code = code_of(status);
                let text = if self.asked > 0 {
                    format!(
                        "the supervisor, process {pid}, ended ({status}) before it had stopped its services"
                    )
                } else {
                    format!(
                        "the supervisor, process {pid}, ended ({status}) without having been asked to; it is started \
                         again in {wait_ms} ms{services}"
                    )
                };
                self.journal.report(Level::Error, &text);
            }
        }
        if self.asked > 0 && self.phase == Phase::Running {
            self.stop("the launcher was told to end", now_ms);
        }
    }

    fn pass_on(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.pass_on();
        }
    }

    fn on_peer(&mut self) {
        let (requests, closed) = self.link.requests(&mut self.buffer);
        if let Some(reason) = closed {
            let text = format!("the supervisor sent what is no request ({reason}); the connection is closed");
            self.journal.report(Level::Error, &text);
        }
        for received in requests {
            match received {
                Received::Request(id, Request::Hello { versions }) => self.greet(id, versions),
                Received::HelloOfVersion1(id) => {
                    self.refuse(Versions::FIRST, &welcome_of_version_1(id));
                }
                _ if self.link.version().is_none() => {
                    let text =
                        "the supervisor asked for something before it greeted; the connection is closed";
                    self.journal.report(Level::Error, text);
                    self.link.hang_up();
                }
                Received::Unknown(id) => self.send(&Message::Answer { id, answer: Answer::Unknown }),
                Received::Request(id, request) => {
                    if let Some(answer) = self.answer(id, request) {
                        self.send(&Message::Answer { id, answer });
                    }
                    self.tell();
                }
            }
            if !self.link.is_open() {
                return;
            }
        }
    }

    /// Agrees with a supervisor on the version of the messages. From now on this supervisor is told of ends.
    fn greet(&mut self, id: u64, offered: Versions) {
        let versions = Versions::SPOKEN;
        let Some(version) = versions.common(offered) else {
            let refusal = Message::Answer { id, answer: Answer::Refused { versions } };
            return self.refuse(offered, &refusal.encode().unwrap_or_default());
        };
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.greeted();
        }
        self.services.detach();
        self.services.unclaim();
        self.link.agree(version);
        let (boot_id, held) = (identity::boot_id(), self.services.held());
        self.send(&Message::Answer { id, answer: Answer::Welcome { version, versions, boot_id, held } });
    }

    /// A supervisor that speaks no common version takes nothing over. It ends, and is started again less and less
    /// often: by then the program on disk may be another one.
    fn refuse(&mut self, offered: Versions, last: &[u8]) {
        let services = match self.services.count() {
            0 => String::new(),
            1 => "; the service that runs goes on without it".to_owned(),
            count => format!("; the {count} services that run go on without it"),
        };
        let text = format!(
            "the supervisor speaks {offered} of the messages and this launcher {}: it is refused{services}; put the \
             program back that ran before, or stop everything with `annulus sup term` and start it anew",
            Versions::SPOKEN
        );
        self.journal.report(Level::Error, &text);
        self.link.close_with(last);
    }

    /// Does what is asked; none when the answer comes later.
    fn answer(&mut self, id: u64, request: Request) -> Option<Answer> {
        if self.phase != Phase::Running && matches!(request, Request::Spawn(_) | Request::Hook(_)) {
            // Its descriptors, if it has any, must not be taken for those of a later request.
            drop(matches!(request, Request::Hook(_)).then(|| self.link.take_fds()));
            let reason = "the launcher is ending and starts nothing".to_owned();
            return Some(Answer::Failed { busy: false, reason });
        }
        match request {
            // `greet` has handled it already.
            Request::Hello { .. } => return Some(Answer::Unknown),
            Request::Spawn(launch) => {
                self.services.spawn(id, &launch, &mut self.journal);
                return None;
            }
            Request::Adopt { service, pid } => {
                self.services.adopt(id, &service, pid);
                return None;
            }
            Request::Hook(launch) => {
                let Some(said) = self.link.take_fds() else {
                    let reason = "the hook's output did not come with the request".to_owned();
                    return Some(Answer::Failed { busy: false, reason });
                };
                self.services.run_hook(id, &launch, said);
                return None;
            }
            Request::EndHook { service, hook } => self.services.end_hook(&service, hook),
            Request::Claim { service } => return Some(self.services.claim(&service)),
            Request::Release { service } => self.services.release(&service),
            Request::Signal { service, pid, kill } => self.services.signal(&service, pid, kill),
            Request::Lease { service, pid, deadline_ms } => self.services.lease(&service, pid, deadline_ms),
            Request::Log { service, group, tag, line } => {
                // The name becomes a path.
                if service.parse::<annulus_core::ServiceName>().is_ok() {
                    self.journal.take(&Source::Service { service, group, tag }, |give| give(&line));
                }
            }
            Request::Checked { service, pid, health } => self.services.checked(&service, pid, health),
            Request::KillAll => self.services.kill_all(),
        }
        Some(Answer::Done)
    }

    fn send(&mut self, message: &Message) {
        self.send_with(message, Vec::new());
    }

    fn send_with(&mut self, message: &Message, fds: Vec<OwnedFd>) {
        if let Err(error) = self.link.send(message, fds) {
            // The answer is longer than a frame may be. A supervisor without an answer would wait for ever.
            self.journal.report(Level::Error, &format!("the supervisor cannot be answered: {error}"));
            self.link.hang_up();
        }
    }
}

/// The exit code of a process that passes on how another one ended.
fn code_of(status: ExitStatus) -> u8 {
    match status {
        ExitStatus::Code(code) => u8::try_from(code).unwrap_or(exit::FAILED),
        ExitStatus::Signal(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(exit::FAILED),
        ExitStatus::Unknown => exit::FAILED,
    }
}
