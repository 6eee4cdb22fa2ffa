//! What a keeper leaves that is killed itself: ends it, as the keeper would have done. Starts no program by itself.
//!
//! As long as an [`Heir`] lives, a process below this one that loses its keeper becomes a child of this process, which
//! finds it among its children: one that it has not started.
//!
//! Where that process was killed, too, what is left is known by its environment, which says of which package's hook it is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::descend::children;
use super::service::reap;
use super::sys;
use crate::host::clock::Clock;

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(5);
/// What is not gone by then is a process that this user may not end, or that waits for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this process has started itself, and how many heirs there are.
struct Family {
    heirs: usize,
    keepers: BTreeSet<Pid>,
}

static FAMILY: Mutex<Family> = Mutex::new(Family { heirs: 0, keepers: BTreeSet::new() });

fn family() -> MutexGuard<'static, Family> {
    FAMILY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inherits what the keeper of one program leaves.
pub(crate) struct Heir {
    /// Children that this process had before.
    before: Vec<Pid>,
    keeper: Option<Pid>,
}

impl Heir {
    /// From now on orphans come to this process.
    ///
    /// # Errors
    /// The system does not let it inherit.
    pub(crate) fn new() -> io::Result<Self> {
        let mut family = family();
        set_child_subreaper(true)?;
        family.heirs = family.heirs.saturating_add(1);
        Ok(Self { before: children(getpid()), keeper: None })
    }

    /// Starts the keeper. No orphan is looked for meanwhile, which the new child could be taken for.
    ///
    /// # Errors
    /// As `start` says.
    pub(crate) fn start(&mut self, start: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
        let mut family = family();
        let child = start()?;
        self.keeper = i32::try_from(child.id()).ok().map(Pid::from_raw);
        family.keepers.extend(self.keeper);
        Ok(child)
    }

    /// The keeper was killed and has been waited for: ends what it left. Each child that ends leaves its own children, and
    /// so on until there is none.
    ///
    /// # Errors
    /// Some cannot be ended.
    pub(crate) fn end_orphans(&self) -> io::Result<()> {
        let clock = Clock::host();
        let began = clock.now();
        loop {
            let left = self.kill_orphans();
            if left.is_empty() {
                return Ok(());
            }
            if clock.now().saturating_since(began) >= PATIENCE {
                let left: Vec<String> = left.iter().map(Pid::to_string).collect();
                let what = format!("what it left cannot be ended: process {}", left.join(", process "));
                return Err(io::Error::other(what));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Kills the orphans that there are now, and returns those that have not ended.
    fn kill_orphans(&self) -> Vec<Pid> {
        let family = family();
        let is_orphan = |pid: &Pid| !self.before.contains(pid) && !family.keepers.contains(pid);
        let orphans: Vec<Pid> = children(getpid()).into_iter().filter(is_orphan).collect();
        // A child keeps its number until it is waited for.
        for pid in &orphans {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for pid in &orphans {
            let _ = reap(*pid);
        }
        orphans
    }
}

/// In the environment of a package's hook, and of all that it starts, the file that is locked meanwhile.
pub(crate) const HOOK_LOCK_ENV: &str = "ANNULUS_HOOK_LOCK";
/// Of a longer environment the rest is not looked at.
const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;

/// Ends what a hook left whose keeper and whose starter were both killed: all that was started with this lock in its
/// environment. The caller holds the lock, so no hook runs that has a right to. Returns how many there were.
///
/// # Errors
/// Some cannot be ended.
pub(crate) fn end_left(lock: &Path) -> io::Result<usize> {
    let lock = hook_mark(lock)?;
    let mark = [HOOK_LOCK_ENV.as_bytes(), b"=", lock.as_os_str().as_bytes()].concat();
    let (clock, mut ended) = (Clock::host(), BTreeSet::new());
    let began = clock.now();
    loop {
        // One that makes others is looked for until none is left.
        let left: Vec<Pid> = marked(&mark).collect();
        if left.is_empty() {
            return Ok(ended.len());
        }
        if clock.now().saturating_since(began) >= PATIENCE {
            let left: Vec<String> = left.iter().map(Pid::to_string).collect();
            let what = format!(
                "what an earlier run of the hook left cannot be ended: process {}",
                left.join(", process ")
            );
            return Err(io::Error::other(what));
        }
        for pid in left {
            // Looked at again once it is held: the number may be that of another process by now.
            if let Ok(process) = sys::hold_process(pid)
                && has_mark(pid, &mark)
            {
                let _ = sys::signal_process(&process, Signal::SIGKILL as i32);
                ended.insert(pid);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// The value of [`HOOK_LOCK_ENV`] for a hook whose package has this lock.
///
/// # Errors
/// There is no such file.
pub(crate) fn hook_mark(lock: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(lock)
}

/// The processes, but this one, whose environment has the mark; those of others, which this user may not look at, have not.
fn marked(mark: &[u8]) -> impl Iterator<Item = Pid> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok()).map(Pid::from_raw);
    pids.filter(move |pid| *pid != getpid() && has_mark(*pid, mark))
}

/// Whether a process that has not ended was started with the mark.
fn has_mark(pid: Pid, mark: &[u8]) -> bool {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|entry| entry == mark)
}

impl Drop for Heir {
    fn drop(&mut self) {
        let mut family = family();
        if let Some(keeper) = self.keeper {
            family.keepers.remove(&keeper);
        }
        family.heirs = family.heirs.saturating_sub(1);
        if family.heirs == 0 {
            let _ = set_child_subreaper(false);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_has_the_lock_in_its_environment_is_ended_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let locks = ["own", "other"].map(|name| dir.path().join(name));
        let mut children = locks.clone().map(|lock| {
            fs::write(&lock, "").expect("written");
            let mut command = Command::new("sh");
            // It leaves its session, and its parent ends.
            command
                .args(["-c", "setsid sleep 1000 & echo $!"])
                .env(HOOK_LOCK_ENV, hook_mark(&lock).expect("there"));
            let mut shell = command.stdout(Stdio::piped()).spawn().expect("a shell");
            let mut line = String::new();
            let said = shell.stdout.take().expect("piped");
            io::BufRead::read_line(&mut io::BufReader::new(said), &mut line).expect("a line");
            (shell, Pid::from_raw(line.trim().parse().expect("a pid")))
        });
        for (shell, _) in &mut children {
            shell.wait().expect("it ends");
        }
        assert!(end_left(&locks[0]).expect("ended") >= 1);
        let environment = |pid: Pid| fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(environment(children[0].1).is_empty(), "it has ended");
        assert!(!environment(children[1].1).is_empty(), "another package's has not");
        assert_eq!(end_left(&locks[0]).expect("nothing"), 0);
        assert_eq!(end_left(&locks[1]).expect("ended"), 1);
    }
}
