//! The launcher: a small process that is the parent of every service and of the supervisor.
//!
//! Services outlive their supervisor: when it is killed, crashes or is upgraded, they keep their processes, their
//! output goes on into their logs, and the next supervisor takes them over. The launcher decides nothing about
//! services that the supervisor could decide. It ends with the supervisor, and every service ends with it.
//!
//! ```text
//! annulus sup run …        reads its options, then becomes (exec, the same process)
//!   annulus --launch …     the launcher: one thread, no runtime, only what stands in this module; its children are
//!     annulus sup run …      the supervisor, which is told so by its environment, and
//!     annulus-guard          for each service a guard, below which all of the service's processes are
//!       <svc>/run
//!       annulus-guard          for each hook, as long as it runs
//!         <svc>/<hook>
//! ```
//!
//! A guard ends its service's processes when it is told to, at the deadline of a leader, and when the launcher dies
//! (`guard`). If a guard dies, its processes become the launcher's children, and the launcher ends them (`service`).
//! When both are killed in one instant, only the first process of each service and hook ends with them; what those had
//! started is found and ended by the next start of the service, as far as it kept its process group (`leftover`).
//!
//! Launcher and supervisor speak over `<root>/sup/<name>/launcher.sock`: `message` holds the messages, `proto` and
//! `convert` their form as protobuf, `frame` the framing, and `version` how an older and a newer program agree. Beside
//! that, a supervisor of any version is told of its launcher by two variables of its environment, and ends with the
//! codes that [`exit`] lists; both stay as they are.

mod cgroup;
mod child;
pub mod client;
pub(crate) mod confine;
mod convert;
mod descend;
mod frame;
pub(crate) mod guard;
pub mod identity;
mod journal;
pub(crate) mod kept;
mod leftover;
mod lines;
mod link;
mod log_file;
pub mod message;
mod notify;
pub(crate) mod orphans;
mod output;
mod owners;
mod proto;
pub mod record;
mod rights;
mod run;
mod running;
mod service;
mod sink;
mod stamp;
mod supervisor;
mod sys;
mod version;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

pub use frame::{FrameError, next_frame};
pub(crate) use lines::Lines;
pub use log_file::Keep;
pub use version::Versions;

use crate::host::beneath::Dir;
use crate::host::exit;
use crate::host::lock::{LockError, SupLock};
use crate::host::owner;
use crate::host::root::{Root, SupDir};
use cgroup::Cgroups;
use journal::{Journal, Level};
use link::Link;
use log_file::LogFile;
use notify::Relay;
use owners::Owners;
use run::Launcher;
use service::Services;
use supervisor::Supervisor;

/// The first argument of a process that is a launcher.
const LAUNCH_ARG: &str = "--launch";
/// In a supervisor's environment, holds the pid of its launcher.
pub(crate) const LAUNCHER_ENV: &str = "ANNULUS_LAUNCHER";
/// There too, holds how many supervisors the launcher started before.
pub(crate) const STARTS_ENV: &str = "ANNULUS_LAUNCHER_STARTS";

/// The options of a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The root directory.
    pub root: PathBuf,
    /// The supervisor's name.
    pub name: String,
    /// How services' logs are kept.
    pub keep: Keep,
    /// Whether lines are JSON objects.
    pub json: bool,
}

/// Whether this process is a supervisor that its launcher started.
#[must_use]
pub fn is_parent() -> bool {
    let parent = nix::unistd::getppid().to_string();
    std::env::var(LAUNCHER_ENV).is_ok_and(|pid| pid == parent)
}

/// Whether an earlier supervisor of this launcher has run:
/// what the arguments ask to be done once was done by that one.
#[must_use]
pub fn is_restart() -> bool {
    is_parent() && std::env::var(STARTS_ENV).is_ok_and(|starts| starts != "0")
}

/// Becomes a launcher, in the same process; its supervisor is this program with the arguments that it has now. `environment` is
/// added to the environment of both.
///
/// # Errors
/// This program cannot be run again. Otherwise this does not return.
pub fn exec(options: &Options, environment: Option<(&'static str, String)>) -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => own_program(program),
        Err(error) => return error,
    };
    let Keep { size_bytes, age_ms, files } = options.keep;
    let mut command = Command::new(&program);
    command.arg(LAUNCH_ARG).arg(&options.root).arg(&options.name).arg(&program);
    command.args([size_bytes.to_string(), age_ms.to_string(), files.to_string(), options.json.to_string()]);
    command.envs(environment);
    command.args(std::env::args_os().skip(1)).exec()
}

/// The path by which the user called this program: after an upgrade that points it to another file, the next
/// supervisor is started from that file.
fn own_program(exe: PathBuf) -> PathBuf {
    let same = |named: &Path| {
        let canonical = std::fs::canonicalize(named).ok()?;
        (canonical == exe).then(|| std::path::absolute(named).ok()).flatten()
    };
    let named = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let found = if named.components().count() > 1 {
        same(&named)
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find_map(|dir| same(&dir.join(&named)))
    };
    found.unwrap_or(exe)
}

/// Runs the launcher if these arguments, without the program's own name, ask for one; none if they do not.
#[must_use]
pub fn enter(args: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let mut args = args.into_iter();
    if args.next()? != LAUNCH_ARG {
        return None;
    }
    // Before it opens any file: a descriptor that its own parent left open is nothing that a service should find.
    sys::close_others(&[0, 1, 2]);
    let Some((options, program, args)) = parse(&mut args) else {
        eprintln!("annulus: {LAUNCH_ARG} is for `annulus sup run` alone, which calls itself so");
        return Some(exit::USAGE);
    };
    Some(match launch(&options, program, args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("annulus: {error}");
            match error {
                LaunchError::Lock(LockError::Held { .. }) => exit::LOCKED,
                LaunchError::Lock(LockError::Unusable { .. }) => exit::ROOT,
                LaunchError::System(_) => exit::FAILED,
            }
        }
    })
}

fn parse(args: &mut dyn Iterator<Item = OsString>) -> Option<(Options, PathBuf, Vec<OsString>)> {
    let root = PathBuf::from(args.next()?);
    let name = args.next()?.into_string().ok()?;
    let program = PathBuf::from(args.next()?);
    let mut number = || args.next()?.into_string().ok();
    let keep = Keep {
        size_bytes: number()?.parse().ok()?,
        age_ms: number()?.parse().ok()?,
        files: number()?.parse().ok()?,
    };
    let json = number()?.parse().ok()?;
    Some((Options { root, name, keep, json }, program, args.collect()))
}

/// Why a launcher does not start.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    /// The directory cannot be used, or another launcher holds it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system gives no sockets, timers or signals.
    #[error("the launcher cannot run: {0}")]
    System(#[from] io::Error),
}

fn launch(options: &Options, program: PathBuf, args: Vec<OsString>) -> Result<u8, LaunchError> {
    let root = Root::new(&options.root).map_err(io::Error::other)?;
    let sup = root.sup(&options.name);
    // The launcher holds the lock as long as services run, also while no supervisor does.
    let _lock = SupLock::acquire(&sup)?;
    let nofile = raise_nofile()?;
    ignore_harmless()?;
    // A process that loses its parent becomes a child of the launcher, which waits for it.
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)?;
    // No other user's business, and not to be led elsewhere by one.
    Dir::open(sup.path())?.ensure_dir(OsStr::new("logs"), 0o750, None)?.keep(0o750, None)?;
    let log = LogFile::new(sup.path().to_owned(), "logs/sup.log".into(), options.keep);
    let journal = Journal::new(options.root.join("svc"), log, options.keep, options.json)?;
    let owners = Owners::new(owner::folder(&options.root.join("svc")), &options.name);
    let services = Services::new(nofile, Cgroups::new(&options.name), owners);
    let link = Link::listen(&sup.launcher_socket())?;
    let mut journal = journal;
    let relay = relay(&sup, &mut journal);
    let supervisor = Supervisor::new(program, args, nofile, relay);
    Ok(Launcher::new(journal, services, link, Some(supervisor))?.run()?)
}

/// What stands between the supervisor and the service manager that started this process; none where there is none.
fn relay(sup: &SupDir, journal: &mut Journal) -> Option<Relay> {
    let manager = std::env::var(notify::SOCKET_ENV).ok().filter(|manager| !manager.is_empty())?;
    match Relay::listen(&sup.notify_socket(), &manager) {
        Ok(relay) => Some(relay),
        Err(error) => {
            let text = format!(
                "{}={manager} cannot be used ({error}): the service manager hears nothing through the launcher",
                notify::SOCKET_ENV
            );
            journal.report(Level::Warn, &text);
            None
        }
    }
}

/// Each service takes two pipes and a log, which can be more descriptors than a process may open by default. Returns
/// the limit from before, which the launcher's children get.
///
/// # Errors
/// The system refuses.
pub fn raise_nofile() -> io::Result<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok((soft, hard))
}

/// Makes a reader that went away, and a file that may not grow, an error of the write that meets it, not the end of
/// the process.
///
/// # Errors
/// The system refuses, which it has no reason to.
#[allow(unsafe_code)]
pub fn ignore_harmless() -> io::Result<()> {
    for which in [Signal::SIGPIPE, Signal::SIGXFSZ] {
        // SAFETY: ignoring is no function of this program.
        unsafe { signal(which, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Takes that back as far as a program would inherit it that this process becomes.
///
/// # Errors
/// As [`ignore_harmless`].
#[allow(unsafe_code)]
pub fn mind_harmless() -> io::Result<()> {
    for which in [Signal::SIGPIPE, Signal::SIGXFSZ] {
        // SAFETY: the default action is no function of this program.
        unsafe { signal(which, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Runs a launcher in a thread, for tests of its clients, and returns the other end of its connection. It kills the
/// services and ends when that end is dropped.
#[cfg(test)]
pub(crate) fn in_thread(services: &Path) -> tokio::net::UnixStream {
    static LAUNCHERS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let (own, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let services = services.to_owned();
    let run = move || {
        let keep = Keep { size_bytes: 1 << 20, age_ms: u64::MAX, files: 1 };
        let log = LogFile::new(services.clone(), "sup.log".into(), keep);
        let journal = Journal::new(services.clone(), log, keep, false)?;
        let nofile = getrlimit(Resource::RLIMIT_NOFILE)?;
        // Several launchers are in one process here, whose number is part of the groups' names.
        let name = format!("test{}", LAUNCHERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        // One that lingers keeps no other out: that is tested with real processes.
        let owners = Owners::new(services.join(format!(".owners-{name}")), &name);
        let services = Services::new(nofile, Cgroups::new(&name), owners);
        Launcher::new(journal, services, Link::connected(other)?, None)?.run()
    };
    std::thread::spawn(move || run().expect("a launcher"));
    own.set_nonblocking(true).expect("set");
    tokio::net::UnixStream::from_std(own).expect("inside a runtime")
}

#[cfg(test)]
mod tests;
