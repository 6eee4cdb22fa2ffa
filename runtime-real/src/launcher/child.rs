//! Starts the supervisor, and has what guards need to start the processes of services: variables, limits, signals.
//! Never waits for a process that it started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;

use super::message::Owner;

/// All variables of a program, of which the last with a name counts. The launcher adds none of its own.
pub(super) fn environment(variables: &[(OsString, OsString)]) -> Vec<Vec<u8>> {
    let all: BTreeMap<&OsString, &OsString> = variables.iter().map(|(name, value)| (name, value)).collect();
    all.into_iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
}

/// Starts the supervisor, with the launcher's own environment and user; `tells` is the socket for what it has to tell the
/// service manager. The system kills it when the calling thread
/// ends. Returns the pipe that it logs to.
///
/// # Errors
/// The program cannot be run.
pub(super) fn start_supervisor(
    program: &Path,
    args: &[std::ffi::OsString],
    starts: u32,
    nofile: (rlim_t, rlim_t),
    tells: Option<&OsString>,
) -> io::Result<(Pid, OwnedFd)> {
    let mut command = Command::new(program);
    // A group of its own, so that a terminal's Ctrl-C reaches the launcher alone, which passes it on.
    command.args(args).env(super::LAUNCHER_ENV, std::process::id().to_string()).process_group(0);
    command.env(super::STARTS_ENV, starts.to_string()).stdin(Stdio::null()).stderr(Stdio::piped());
    if let Some(tells) = tells {
        command.env(super::notify::SOCKET_ENV, tells);
    }
    prepare(&mut command, nofile);
    let mut child = command.spawn()?;
    let gone = || io::Error::other("the system did not give its pipe");
    let errors = unwaiting(child.stderr.take().ok_or_else(gone)?.into())?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok((Pid::from_raw(pid), errors))
}

/// Has reads of this descriptor never wait.
///
/// # Errors
/// The system refuses, which it has no reason to.
pub(super) fn unwaiting(fd: OwnedFd) -> io::Result<OwnedFd> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(fd)
}

/// The limits of open files, soft and hard, that a service gets.
pub(super) fn limit(wanted: Option<u64>, inherited: (rlim_t, rlim_t)) -> (rlim_t, rlim_t) {
    match wanted {
        Some(wanted) => (wanted, wanted.max(inherited.1)),
        None => inherited,
    }
}

#[allow(unsafe_code)]
fn prepare(command: &mut Command, nofile: (rlim_t, rlim_t)) {
    let parent = nix::unistd::getpid();
    let between_fork_and_exec = move || {
        set_nofile(nofile)?;
        umask(Mode::from_bits_truncate(0o022));
        default_signals()?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A parent that ended before the line above can no longer cause the signal.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: the closure makes system calls and neither allocates nor takes a lock, which is all that is allowed
    // between fork and exec.
    unsafe { command.pre_exec(between_fork_and_exec) };
}

/// Sets the limits of open files of this process, as far as it may.
pub(super) fn set_nofile((soft, hard): (rlim_t, rlim_t)) -> Result<(), Errno> {
    match setrlimit(Resource::RLIMIT_NOFILE, soft, hard) {
        // Only the superuser may raise the hard limit; every user may raise the soft limit up to it.
        Err(Errno::EPERM) => {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)
        }
        result => result,
    }
}

/// Undoes the blocked and ignored signals that a process would inherit from the
/// launcher and from the launcher's own parent.
#[allow(unsafe_code)]
pub(super) fn default_signals() -> Result<(), Errno> {
    for which in Signal::iterator().filter(|which| !matches!(which, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action is no function of this program.
        unsafe { signal(which, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()
}

/// Says to an operator why a program could not be started.
pub(super) fn explain(program: &Path, dir: &Path, owner: Option<&Owner>, error: &io::Error) -> String {
    let program = program.display();
    match (error.kind(), owner) {
        (io::ErrorKind::NotFound, _) => {
            let dir = dir.display();
            format!("{program} cannot be started: it, its interpreter or {dir} does not exist")
        }
        (io::ErrorKind::PermissionDenied, Some(owner)) => format!(
            "{program} cannot be started as user {}, group {}: {error}; that user needs to be able to read and run it, \
             which includes the directories above it",
            owner.uid, owner.gid
        ),
        _ => format!("{program} cannot be started: {error}"),
    }
}
