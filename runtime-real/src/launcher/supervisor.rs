//! The supervisor's own process: starts it, starts it again after a crash, and judges what its end means. Knows
//! nothing of services.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use annulus_core::ExitStatus;
use nix::libc::rlim_t;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child;
use super::notify::Relay;
use crate::host::exit;

/// Wait before a supervisor is started again that crashed; doubled with each crash in a row, …
const BACKOFF_MS_MIN: u64 = 100;
/// … up to this while each supervisor greets the launcher before it crashes …
const BACKOFF_MS_MAX: u64 = 250;
/// … and up to this while they crash before they greet.
const BACKOFF_MS_MAX_UNREADY: u64 = 10_000;
/// A supervisor that ran this long has not crashed in a row with the one before it.
const STABLE_MS: u64 = 10_000;

/// Starts supervisors, and holds the one that runs.
#[derive(Debug)]
pub(super) struct Supervisor {
    program: PathBuf,
    args: Vec<OsString>,
    nofile: (rlim_t, rlim_t),
    /// Through which it tells the service manager.
    relay: Option<Relay>,
    running: Option<Pid>,
    started_ms: u64,
    /// Whether the supervisor that runs has greeted the launcher; and whether any supervisor has.
    greeted: bool,
    ever_greeted: bool,
    starts: u32,
    crashes: u32,
    /// When the next one is started, in milliseconds since boot.
    start_at: Option<u64>,
    /// The launcher is ending: no further one is started, whatever the end of this one means.
    is_last: bool,
}

/// The meaning of a supervisor's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The supervisor meant to end: the launcher ends with this code.
    End(u8),
    /// It asked to be started again.
    Restart,
    /// It crashed and is started again after so many milliseconds.
    Retry(u64),
    /// The launcher was ending before, and starts none again.
    Last,
}

impl Supervisor {
    pub(super) fn new(
        program: PathBuf,
        args: Vec<OsString>,
        nofile: (rlim_t, rlim_t),
        relay: Option<Relay>,
    ) -> Self {
        Self {
            program,
            args,
            nofile,
            relay,
            running: None,
            started_ms: 0,
            greeted: false,
            ever_greeted: false,
            starts: 0,
            crashes: 0,
            start_at: None,
            is_last: false,
        }
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        self.running
    }

    /// When the next one is to be started.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.start_at
    }

    /// Starts a supervisor; returns its process and the pipe that it logs to.
    ///
    /// # Errors
    /// The program cannot be run; it is tried again later.
    pub(super) fn start(&mut self, now_ms: u64) -> io::Result<(Pid, OwnedFd)> {
        self.start_at = None;
        let tells = self.relay.as_ref().map(Relay::name);
        match child::start_supervisor(&self.program, &self.args, self.starts, self.nofile, tells) {
            Ok((pid, errors)) => {
                self.starts = self.starts.saturating_add(1);
                (self.running, self.started_ms, self.greeted) = (Some(pid), now_ms, false);
                Ok((pid, errors))
            }
            Err(error) => {
                self.start_at = Some(now_ms.saturating_add(BACKOFF_MS_MAX_UNREADY));
                let program = self.program.display();
                Err(io::Error::new(error.kind(), format!("{program} cannot be started: {error}")))
            }
        }
    }

    pub(super) fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// Passes on what the supervisor has told the service manager.
    pub(super) fn pass_on(&self) {
        if let Some(relay) = &self.relay {
            relay.pass_on(self.running);
        }
    }

    /// The supervisor has greeted: it is about to take over the services.
    pub(super) fn greeted(&mut self) {
        (self.greeted, self.ever_greeted) = (true, true);
    }

    /// The supervisor has ended.
    pub(super) fn ended(&mut self, status: ExitStatus, now_ms: u64) -> Verdict {
        self.running = None;
        if self.is_last {
            return Verdict::Last;
        }
        let meant = |code: i32| u8::try_from(code).ok().filter(|c| exit::MEANT.contains(c));
        match status {
            ExitStatus::Code(code) if code == i32::from(exit::RESTART) => {
                self.start_at = Some(now_ms);
                return Verdict::Restart;
            }
            ExitStatus::Code(code) => {
                if let Some(code) = meant(code) {
                    return Verdict::End(code);
                }
                // The first supervisor has said what is wrong with its options, its directory or its ports; another
                // would say the same.
                if !self.ever_greeted {
                    return Verdict::End(u8::try_from(code).unwrap_or(exit::FAILED));
                }
            }
            ExitStatus::Signal(_) | ExitStatus::Unknown => {}
        }
        let stable = now_ms.saturating_sub(self.started_ms) >= STABLE_MS;
        self.crashes = if stable { 0 } else { self.crashes.saturating_add(1) };
        let max = if self.greeted { BACKOFF_MS_MAX } else { BACKOFF_MS_MAX_UNREADY };
        let doubled = BACKOFF_MS_MIN.saturating_mul(1 << self.crashes.saturating_sub(1).min(16));
        let wait_ms = if self.crashes == 0 { 0 } else { doubled.min(max) };
        self.start_at = Some(now_ms.saturating_add(wait_ms));
        Verdict::Retry(wait_ms)
    }

    /// No further supervisor is started.
    pub(super) fn stop_restarting(&mut self) {
        (self.is_last, self.start_at) = (true, None);
    }

    /// Passes a signal on to the supervisor; false when none runs.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        self.running.is_some_and(|pid| kill(pid, signal).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> Supervisor {
        let mut supervisor = Supervisor::new(PathBuf::from("/bin/true"), Vec::new(), (0, 0), None);
        supervisor.running = Some(Pid::this());
        supervisor
    }

    #[test]
    fn an_end_that_was_meant_ends_the_launcher() {
        for code in [exit::LEFT, exit::DEPARTED, exit::INTERRUPTED] {
            let mut supervisor = supervisor();
            supervisor.greeted();
            assert_eq!(supervisor.ended(ExitStatus::Code(code.into()), 5), Verdict::End(code));
            assert_eq!(supervisor.next_ms(), None);
        }
    }

    #[test]
    fn a_first_start_that_fails_is_not_repeated_and_a_later_one_is() {
        let failed = ExitStatus::Code(exit::LISTEN.into());
        assert_eq!(supervisor().ended(failed, 5), Verdict::End(exit::LISTEN));
        let mut later = supervisor();
        later.greeted();
        assert_eq!(later.ended(ExitStatus::Signal(9), 5), Verdict::Retry(100));
        later.greeted = false;
        assert_eq!(later.ended(failed, 6), Verdict::Retry(200));
        assert_eq!(later.next_ms(), Some(206));
    }

    #[test]
    fn an_ending_launcher_starts_none_again() {
        for status in [ExitStatus::Signal(9), ExitStatus::Code(exit::RESTART.into()), ExitStatus::Code(1)] {
            let mut supervisor = supervisor();
            supervisor.greeted();
            supervisor.stop_restarting();
            // It ran for long, after which a crash is answered by a start at once.
            assert_eq!(supervisor.ended(status, 2 * STABLE_MS), Verdict::Last);
            assert_eq!((supervisor.pid(), supervisor.next_ms()), (None, None));
        }
    }

    #[test]
    fn crashes_in_a_row_are_tried_less_often_and_services_are_soon_looked_after() {
        let mut supervisor = supervisor();
        let mut waits = Vec::new();
        for now_ms in 0..5 {
            supervisor.greeted();
            let Verdict::Retry(wait_ms) = supervisor.ended(ExitStatus::Signal(11), now_ms) else {
                panic!("ended for good")
            };
            waits.push(wait_ms);
        }
        assert_eq!(waits, [100, 200, 250, 250, 250]);
        assert_eq!(supervisor.ended(ExitStatus::Signal(11), STABLE_MS), Verdict::Retry(0), "it ran for long");
        supervisor.greeted = false;
        let mut last = 0;
        for _ in 0..20 {
            let Verdict::Retry(wait_ms) = supervisor.ended(ExitStatus::Code(5), 1) else { panic!("ended") };
            last = wait_ms;
        }
        assert_eq!(last, BACKOFF_MS_MAX_UNREADY);
        assert_eq!(supervisor.ended(ExitStatus::Code(exit::RESTART.into()), 7), Verdict::Restart);
        assert_eq!(supervisor.next_ms(), Some(7));
    }
}
