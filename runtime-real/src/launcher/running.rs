//! What the launcher remembers of the programs that its guards run. Starts and signals none.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use annulus_core::{ExitStatus, Health};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, read};

use super::journal::Level;
use super::message::{HookLaunch, Launch};
use crate::host::beneath::Dir;

/// A pid is no secret.
const PID_FILE_MODE: u32 = 0o644;
/// Between two tries to write one, in milliseconds.
const PID_FILE_PAUSE_MS: u64 = 1_000;

/// The first process of a service.
#[derive(Debug)]
pub(super) struct Process {
    /// The number that its guard was given for it.
    pub(super) id: u64,
    /// None until its guard has said it.
    pub(super) pid: Option<Pid>,
    /// The request that asked for it, until that is answered.
    pub(super) request: Option<u64>,
    pub(super) fault: Fault,
    /// What it prints to, until its pid is known.
    pub(super) pipes: Option<(OwnedFd, OwnedFd)>,
    pub(super) launch: Launch,
    pub(super) start_ticks: u64,
    pub(super) since_ms: u64,
    pub(super) stop_signal: Signal,
    /// When its pid file is tried again, in milliseconds since boot; none when that is written.
    pub(super) pid_file_due_ms: Option<u64>,
    /// Whether the connected supervisor started or adopted it.
    pub(super) attached: bool,
    /// How it ended, where its guard cannot say it any more.
    pub(super) status: Option<ExitStatus>,
    /// What a supervisor said of its health last.
    pub(super) health: Option<Health>,
    /// How its service ended, until a supervisor has been told.
    pub(super) ended: Option<ExitStatus>,
}

impl Process {
    pub(super) fn number(&self) -> Option<u32> {
        self.pid.map(number)
    }

    /// Writes its pid file, at the next try where the disk refuses. Says what an operator should know.
    pub(super) fn write_pid_file(&mut self, name: &str, now_ms: u64) -> Option<(Level, String)> {
        let written = write_pid(&self.launch.pid_file, self.pid?);
        let failed_before = self.pid_file_due_ms.is_some();
        self.pid_file_due_ms = written.is_err().then(|| now_ms.saturating_add(PID_FILE_PAUSE_MS));
        match written {
            Ok(()) => failed_before.then(|| (Level::Info, format!("the pid file of {name} is written now"))),
            Err(_) if failed_before => None,
            Err(error) => Some((
                Level::Warn,
                format!("the pid file of {name} cannot be written, and is tried again: {error}"),
            )),
        }
    }
}

/// A hook that runs.
#[derive(Debug)]
pub(super) struct Hook {
    /// The request that asked for it; none when its supervisor has gone.
    pub(super) request: Option<u64>,
    pub(super) fault: Fault,
    /// Its own guard, once the service's guard has said it.
    pub(super) pid: Option<Pid>,
    pub(super) launch: HookLaunch,
}

/// The pipe that says whether a program runs: its other end is closed when it does, and takes an error's number when it
/// cannot.
#[derive(Debug)]
pub(super) struct Fault(Option<OwnedFd>);

impl Fault {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(Some(pipe))
    }

    /// The pipe, while that is not known.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Whether the program runs, or ran.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_none()
    }

    /// Reads what is there: the error that keeps the program from running.
    pub(super) fn read(&mut self) -> Option<io::Error> {
        let mut errno = [0; 4];
        match read(self.0.as_ref()?, &mut errno) {
            Ok(4) => {
                self.0 = None;
                Some(io::Error::from_raw_os_error(i32::from_le_bytes(errno)))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Ok(_) | Err(_) => {
                self.0 = None;
                None
            }
        }
    }
}

pub(super) fn number(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}

/// A status as the system says it.
pub(super) fn status_of(raw: i32) -> ExitStatus {
    if libc::WIFEXITED(raw) {
        ExitStatus::Code(libc::WEXITSTATUS(raw))
    } else if libc::WIFSIGNALED(raw) {
        ExitStatus::Signal(libc::WTERMSIG(raw))
    } else {
        ExitStatus::Unknown
    }
}

/// Writes the file that holds a service's pid. It need not survive a power failure, for the process does not either.
fn write_pid(path: &Path, pid: Pid) -> io::Result<()> {
    let (dir, name) = place(path)?;
    dir.replace(name, format!("{pid}\n").as_bytes(), PID_FILE_MODE)
}

/// Removes that file, if it is there.
pub(super) fn remove_pid(path: &Path) {
    // It may have been removed already, or never written.
    let _ = place(path).and_then(|(dir, name)| dir.remove(name));
}

fn place(path: &Path) -> io::Result<(Dir, &OsStr)> {
    let parts = path.parent().zip(path.file_name());
    let (dir, name) = parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    Ok((Dir::open(dir)?, name))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::launcher::child::unwaiting;

    #[test]
    fn a_pipe_tells_a_program_that_runs_from_one_that_cannot() {
        let fault = || {
            let (reader, writer) = io::pipe().expect("a pipe");
            (Fault::new(unwaiting(reader.into()).expect("set")), writer)
        };
        let (mut running, writer) = fault();
        assert!(running.read().is_none() && !running.is_over(), "not known yet");
        drop(writer);
        assert!(running.read().is_none() && running.is_over());
        let (mut failed, mut writer) = fault();
        writer.write_all(&(Errno::ENOENT as i32).to_le_bytes()).expect("written");
        assert_eq!(failed.read().expect("an error").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_raw_status_is_a_code_or_a_signal() {
        assert_eq!(status_of(7 << 8), ExitStatus::Code(7));
        assert_eq!(status_of(9), ExitStatus::Signal(9));
        assert_eq!(status_of(40), ExitStatus::Signal(40), "a signal without a name");
    }
}
