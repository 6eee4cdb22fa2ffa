//! Starts the processes of services and of the supervisor: everything between fork and exec. Never waits for a process
//! that it started.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};

use super::message::{Launch, Owner};

/// Variables of the launcher that services do not get: secrets, and what a service manager told the launcher alone.
const WITHHELD: [&str; 8] = [
    crate::host::secret_env::CTL_SECRET_ENV,
    crate::host::secret_env::GATEWAY_TOKEN_ENV,
    super::LAUNCHER_ENV,
    super::STARTS_ENV,
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
];

/// A process that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: Pid,
    /// The reading end of the pipe that it prints to, which does not block.
    pub(super) output: OwnedFd,
    pub(super) errors: OwnedFd,
}

/// Starts a service's process in a group of its own. The system kills the process when the calling thread ends.
///
/// # Errors
/// Any of the steps, or the program cannot be run.
pub(super) fn start(launch: &Launch, cgroup: Option<File>, nofile: (rlim_t, rlim_t)) -> io::Result<Started> {
    let mut command = Command::new(&launch.program);
    for name in WITHHELD {
        command.env_remove(name);
    }
    command.envs(launch.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.dir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepare(&mut command, Prepared { owner: launch.owner.clone(), nofile: limit(launch, nofile), cgroup });
    let mut child = command.spawn()?;
    let gone = || io::Error::other("the system did not give its pipes");
    let output = unwaiting(child.stdout.take().ok_or_else(gone)?.into())?;
    let errors = unwaiting(child.stderr.take().ok_or_else(gone)?.into())?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(Started { pid: Pid::from_raw(pid), output, errors })
}

/// Starts the supervisor: like a service, but with the launcher's own environment and user. Returns the pipe that it
/// logs to.
///
/// # Errors
/// The program cannot be run.
pub(super) fn start_supervisor(
    program: &Path,
    args: &[std::ffi::OsString],
    starts: u32,
    nofile: (rlim_t, rlim_t),
) -> io::Result<(Pid, OwnedFd)> {
    let mut command = Command::new(program);
    // A group of its own, so that a terminal's Ctrl-C reaches the launcher alone, which passes it on.
    command.args(args).env(super::LAUNCHER_ENV, std::process::id().to_string()).process_group(0);
    command.env(super::STARTS_ENV, starts.to_string()).stdin(Stdio::null()).stderr(Stdio::piped());
    prepare(&mut command, Prepared { owner: None, nofile, cgroup: None });
    let mut child = command.spawn()?;
    let gone = || io::Error::other("the system did not give its pipe");
    let errors = unwaiting(child.stderr.take().ok_or_else(gone)?.into())?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok((Pid::from_raw(pid), errors))
}

fn unwaiting(fd: OwnedFd) -> io::Result<OwnedFd> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(fd)
}

/// The limits of open files, soft and hard, that a service gets.
fn limit(launch: &Launch, inherited: (rlim_t, rlim_t)) -> (rlim_t, rlim_t) {
    match launch.nofile {
        Some(wanted) => (wanted, wanted.max(inherited.1)),
        None => inherited,
    }
}

/// What the new process does before it becomes the program.
struct Prepared {
    owner: Option<Owner>,
    nofile: (rlim_t, rlim_t),
    cgroup: Option<File>,
}

#[allow(unsafe_code)]
fn prepare(command: &mut Command, prepared: Prepared) {
    let parent = nix::unistd::getpid();
    let Prepared { owner, nofile, cgroup } = prepared;
    let owner = owner.map(|owner| {
        let groups: Vec<Gid> = owner.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid), groups)
    });
    let between_fork_and_exec = move || {
        if let Some(procs) = &cgroup {
            nix::unistd::write(procs, b"0")?;
        }
        set_nofile(nofile)?;
        umask(Mode::from_bits_truncate(0o022));
        if let Some((uid, gid, groups)) = &owner {
            // In this order: without the user's rights the groups could no longer be set.
            setgroups(groups)?;
            setresgid(*gid, *gid, *gid)?;
            setresuid(*uid, *uid, *uid)?;
        }
        default_signals()?;
        // Last, because the kernel clears this setting when the user changes.
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A parent that ended before the line above can no longer cause the signal.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: the closure makes system calls and neither allocates nor takes a lock, which is all that is allowed
    // between fork and exec.
    unsafe { command.pre_exec(between_fork_and_exec) };
}

fn set_nofile((soft, hard): (rlim_t, rlim_t)) -> Result<(), Errno> {
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
fn default_signals() -> Result<(), Errno> {
    for which in Signal::iterator().filter(|which| !matches!(which, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action is no function of this program.
        unsafe { signal(which, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()
}

/// Says to an operator why a program could not be started.
pub(super) fn explain(launch: &Launch, error: &io::Error) -> String {
    let program = launch.program.display();
    match (error.kind(), &launch.owner) {
        (io::ErrorKind::NotFound, _) => {
            let dir = launch.dir.display();
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
