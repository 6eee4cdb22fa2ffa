//! Runs the hooks of a package itself: `install` once after the package was unpacked, `uninstall` before its last
//! build is removed. Hooks of a running service are not its concern.
//!
//! The exit code of the last run is kept in a file of the package (as in Habitat), so that an install hook which
//! failed is run again before the service starts, and one that succeeded is not.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use annulus_core::PackageIdent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Allowed, Error, PackageHook, Sys, package_hook};
use crate::host::atomic;
use crate::host::clock::Clock;
use crate::host::root::Root;
use crate::host::{lock_file, look};
use crate::launcher::kept::confine_kept;
use crate::launcher::orphans::{HOOK_LOCK_ENV, Heir, end_left, hook_mark};
use crate::package::{Installed, is_last_build, with_needs};

/// An install or uninstall hook that takes longer than this is killed, unless the caller sets another limit.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(600);
/// Pause between two looks at whether the hook has ended.
const LOOK: Duration = Duration::from_millis(10);
/// One who waits says so after so many looks: a shorter wait is not worth a line.
const SAY_AFTER_LOOKS: u32 = 20;
/// A hook that is still open for writing is tried so often.
const BUSY_TRIES: u32 = 50;
/// After the hook has ended, its last output may take this long to be read.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Lines that may wait for their reader; the hook waits when there are more.
const LINES_MAX: usize = 256;
/// A longer line is passed on in pieces of this length, in bytes.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// Added to the number of the signal that killed a hook, as shells do.
const SIGNAL_CODE: i32 = 128;

/// Which of the two hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the package was unpacked.
    Install,
    /// Before its last build is removed.
    Uninstall,
}

impl Moment {
    /// The hook's name.
    #[must_use]
    pub const fn hook(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
        }
    }

    const fn status_file(self) -> &'static str {
        match self {
            Self::Install => "INSTALL_HOOK_STATUS",
            Self::Uninstall => "UNINSTALL_HOOK_STATUS",
        }
    }
}

/// The one for whom a package's hook is run: hears of it, and may have it ended.
pub trait Overseer: Send + Sync {
    /// Whether the hook is to end now, or not to begin.
    fn is_ended(&self) -> bool {
        false
    }
    /// Whether the files are written beside a process that runs.
    fn is_beside_process(&self) -> bool {
        false
    }
    /// A hook begins, which may take so long.
    fn begins(&self, _timeout: Duration) {}
    /// It has ended.
    fn ends(&self) {}
}

/// Lets hooks take all their time.
#[derive(Clone, Copy, Debug)]
pub struct Patient;

impl Overseer for Patient {}

/// The conditions under which hooks are run.
pub struct HookRun<'a> {
    /// The root.
    pub root: &'a Root,
    /// The facts about this host for templates.
    pub sys: &'a Sys,
    /// The operator's permissions.
    pub allowed: &'a Allowed,
    /// Longest time for one hook.
    pub timeout: Duration,
    /// May have them ended.
    pub overseer: &'a dyn Overseer,
    /// Takes each line that a hook prints.
    pub say: &'a mut dyn FnMut(&PackageIdent, &str),
}

/// Runs the install hooks that have not succeeded yet, of a package and of all that it needs; those of needed packages
/// run first.
///
/// # Errors
/// A hook fails, cannot be run or takes too long; those after it are not run.
pub fn run_install_hooks(run: &mut HookRun<'_>, package: &Installed) -> Result<(), Error> {
    for package in with_needs(run.root, package)? {
        run_hook(run, &package, Moment::Install)?;
    }
    Ok(())
}

/// Whether an install hook of a package, or of one that it needs, has still to be run.
///
/// # Errors
/// A package that is needed is not installed, or a metafile is malformed.
pub fn install_hooks_are_due(root: &Root, package: &Installed) -> Result<bool, Error> {
    for package in with_needs(root, package)? {
        if is_due(&package, Moment::Install)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_due(package: &Installed, moment: Moment) -> Result<bool, Error> {
    let hook = package.path().join("hooks").join(moment.hook());
    if !look::is_file(&hook).map_err(Error::io(&hook))? {
        return Ok(false);
    }
    let path = package.path().join(moment.status_file());
    match fs::read_to_string(&path) {
        Ok(status) => Ok(moment != Moment::Install || status.trim() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // A hook that succeeded is not run again because that cannot be read.
        Err(error) => Err(Error::io(&path)(error)),
    }
}

/// Runs the uninstall hook of a package if this is the last build of it.
///
/// # Errors
/// The hook fails, cannot be run or takes too long.
pub fn run_uninstall_hook(run: &mut HookRun<'_>, package: &Installed) -> Result<(), Error> {
    if !is_last_build(run.root, package)? {
        return Ok(());
    }
    run_hook(run, package, Moment::Uninstall)
}

/// Runs a package's hook if it has one and the hook is due.
///
/// # Errors
/// As [`run_install_hooks`].
fn run_hook(run: &mut HookRun<'_>, package: &Installed, moment: Moment) -> Result<(), Error> {
    if !is_due(package, moment)? {
        return Ok(());
    }
    // Two processes may find the hook due at once: the second waits, looks again and has nothing to do.
    let ended = |code| Error::hook(package.ident(), moment, code, "an order ended it".to_owned());
    let lock = lock_of(run.root, package.ident());
    let held = hold(run.overseer, &lock, || {
        (run.say)(package.ident(), "waits for another process, which runs a hook of this package");
    });
    let Some(held) = held.map_err(Error::io(&lock))? else { return Err(ended(1)) };
    if !is_due(package, moment)? {
        return release(&held).map_err(Error::io(&lock));
    }
    if end_left(&lock).map_err(Error::io(&lock))? > 0 {
        (run.say)(
            package.ident(),
            "what an earlier run of this hook left, whose keeper was killed, is ended",
        );
    }
    let env = |name: &str| std::env::var(name).ok();
    let hook = package_hook(run.root, package, moment.hook(), (run.sys, run.allowed), &env)
        .map_err(|e| Error::hook(package.ident(), moment, 1, e.to_string()))?;
    run.overseer.begins(run.timeout);
    let performed = perform(run, package.ident(), &hook, (&held, &lock));
    run.overseer.ends();
    let over = performed
        .map_err(|e| Error::hook(package.ident(), moment, 1, format!("{}: {e}", hook.program.display())))?;
    let code = match over {
        Over::Ended(status) => exit_code(status),
        Over::Unkept(signal) => SIGNAL_CODE.saturating_add(signal),
        Over::TimedOut | Over::Ordered => SIGNAL_CODE + Signal::SIGKILL as i32,
    };
    let status = package.path().join(moment.status_file());
    atomic::write(&status, code.to_string().as_bytes(), 0o644).map_err(Error::io(&status))?;
    release(&held).map_err(Error::io(&lock))?;
    match over {
        Over::Ended(_) if code == 0 => Ok(()),
        Over::Ordered => Err(ended(code)),
        Over::Unkept(signal) => {
            let why = format!(
                "its keeper was killed by signal {signal}, and with it all that the hook had started"
            );
            Err(Error::hook(package.ident(), moment, code, why))
        }
        Over::Ended(_) => {
            Err(Error::hook(package.ident(), moment, code, format!("it ended with exit code {code}")))
        }
        Over::TimedOut => {
            let seconds = run.timeout.as_secs();
            Err(Error::hook(package.ident(), moment, 1, format!("it took longer than {seconds} s")))
        }
    }
}

/// Holds a package that is to be removed against other processes; none while one of them runs a hook of it.
///
/// # Errors
/// The lock cannot be had.
pub fn claim(root: &Root, ident: &PackageIdent) -> Result<Option<File>, Error> {
    let path = lock_of(root, ident);
    let file = lock_file::open_in_folder(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => {
            end_left(&path).map_err(Error::io(&path))?;
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
    }
}

/// Who holds this file runs a hook of the package.
fn lock_of(root: &Root, ident: &PackageIdent) -> PathBuf {
    root.package_lock(&ident.to_string().replace('/', "-"))
}

/// Holds a package against other processes that run its hooks; none when the overseer waits no longer.
fn hold(overseer: &dyn Overseer, lock: &Path, mut say: impl FnMut()) -> io::Result<Option<File>> {
    let file = lock_file::open_in_folder(lock)?;
    let mut looks = 0_u32;
    while !overseer.is_ended() {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                looks = looks.saturating_add(1);
                if looks == SAY_AFTER_LOOKS {
                    say();
                }
                std::thread::sleep(LOOK);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Lets the package go once nothing of its hook is left. A process that another thread is starting has a copy of the
/// descriptor until it executes its program, and would hold the lock for that time if the file were only closed.
fn release(held: &File) -> io::Result<()> {
    held.unlock()
}

/// How a hook came to its end.
enum Over {
    /// By itself.
    Ended(ExitStatus),
    /// Its keeper was killed by this signal, and all that was left of it after that.
    Unkept(i32),
    /// It was killed at its limit.
    TimedOut,
    /// It was killed by an order.
    Ordered,
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| SIGNAL_CODE + status.signal().unwrap_or_default())
}

/// Runs the hook to its end.
fn perform(
    run: &mut HookRun<'_>,
    ident: &PackageIdent,
    hook: &PackageHook,
    (lock, path): (&File, &Path),
) -> io::Result<Over> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&hook.program);
    command
        .current_dir(&hook.dir)
        .env_clear()
        .envs(&hook.env)
        .env(HOOK_LOCK_ENV, hook_mark(path)?)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    confine_kept(&mut command, hook.account.as_ref(), lock);
    let mut heir = Heir::new()?;
    let child = spawn(&mut command, &mut heir)?;
    // The command holds the pipe's writing end, which would keep the reader waiting.
    drop(command);
    let (lines, printed) = sync_channel(LINES_MAX);
    std::thread::Builder::new().name("hook".to_owned()).spawn(move || {
        let mut reader = BufReader::new(reader);
        while let Some(line) = next_line(&mut reader) {
            if lines.send(line).is_err() {
                break;
            }
        }
    })?;
    let mut say = |line: &str| (run.say)(ident, line);
    wait((child, &heir), &printed, (run.timeout, run.overseer), &mut say)
}

/// Starts the hook. For a moment, another process that is being started may hold it open for writing.
fn spawn(command: &mut Command, heir: &mut Heir) -> io::Result<Child> {
    for _ in 1..BUSY_TRIES {
        match heir.start(|| command.spawn()) {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(LOOK),
            result => return result,
        }
    }
    heir.start(|| command.spawn())
}

/// The next line, or a piece of a very long line; none at the end.
fn next_line(reader: &mut impl io::BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = io::Read::take(reader, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned())
}

fn wait(
    (mut child, heir): (Child, &Heir),
    printed: &Receiver<String>,
    (limit, overseer): (Duration, &dyn Overseer),
    say: &mut dyn FnMut(&str),
) -> io::Result<Over> {
    let clock = Clock::host();
    let began = clock.now();
    let keeper = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
    let mut over = loop {
        match printed.recv_timeout(LOOK) {
            Ok(line) => say(&line),
            // The hook has closed its output, and may still run.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = child.try_wait()? {
            break Over::Ended(status);
        }
        if overseer.is_ended() {
            break Over::Ordered;
        }
        if clock.now().saturating_since(began) >= limit {
            break Over::TimedOut;
        }
    };
    if !matches!(over, Over::Ended(_)) {
        // It ends all that the hook started, and then itself; also one that a signal has stopped.
        let _ = kill(keeper, Signal::SIGTERM);
        let _ = kill(keeper, Signal::SIGCONT);
    }
    // A keeper ends by itself, with a code, once nothing of the hook is left.
    if let Some(signal) = child.wait()?.signal() {
        heir.end_orphans()?;
        if matches!(over, Over::Ended(_)) {
            over = Over::Unkept(signal);
        }
    }
    while let Ok(line) = printed.recv_timeout(LAST_WORDS) {
        say(&line);
    }
    Ok(over)
}

impl Error {
    fn hook(ident: &PackageIdent, moment: Moment, code: i32, reason: String) -> Self {
        let hook = moment.hook();
        // A code beyond the range of exit codes must not become success.
        let code = u8::try_from(code).unwrap_or(1).max(1);
        Self::Hook { ident: ident.clone(), hook, code, reason }
    }
}
