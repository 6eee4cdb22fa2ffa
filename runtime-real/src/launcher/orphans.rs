//! What a keeper leaves that is killed itself: ends it, as the keeper would have done. Starts no program by itself.
//!
//! As long as an [`Heir`] lives, a process below this one that loses its keeper becomes a child of this process, which
//! finds it among its children: one that it has not started.

use std::collections::BTreeSet;
use std::io;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::descend::children;
use super::service::reap;
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
