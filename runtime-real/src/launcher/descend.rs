//! Walks the tree of a service's processes through `/proc`, and signals those whom a signal to the process group does
//! not reach. Only for polite signals: what ends a tree for sure is its guard.

use std::fs;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid};

use super::sys;

/// Processes of one tree that are looked at: a service that makes them faster than they are listed is not followed for
/// ever.
const PROCESSES_MAX: usize = 100_000;

/// The children of a process, all of its threads' together; none when it has gone.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| numbers(&list)).collect()
}

fn numbers(list: &str) -> Vec<Pid> {
    list.split_whitespace().filter_map(|number| number.parse().ok()).map(Pid::from_raw).collect()
}

/// Signals every process below `guard` that is not in `group`, except for the guards of hooks, which are named in
/// `skipped`, and what is below those. All are taken hold of before the first is signalled: one that ends loses its
/// children to the guard, where they would not be looked for any more.
pub(super) fn signal_others(guard: Pid, group: Option<Pid>, skipped: &[Pid], signal: Signal) {
    let mut parents = vec![guard];
    let mut others = Vec::new();
    let mut seen = 0;
    while let Some(parent) = parents.pop() {
        for child in children(parent).into_iter().filter(|child| !skipped.contains(child)) {
            seen += 1;
            if seen > PROCESSES_MAX {
                return;
            }
            parents.push(child);
            if getpgid(Some(child)).ok() != group {
                others.extend(hold_child(parent, child));
            }
        }
    }
    for process in others {
        // It may have ended by itself.
        let _ = sys::signal_process(&process, signal as i32);
    }
}

/// Takes hold of a child of `parent`: the number alone may be that of another process by now.
fn hold_child(parent: Pid, child: Pid) -> Option<OwnedFd> {
    let process = sys::hold_process(child).ok()?;
    // Asked after the process was taken hold of: with this parent it is the one that was found.
    (parent_of(child) == Some(parent)).then_some(process)
}

/// The parent of a process.
pub(super) fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, may hold anything.
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use nix::unistd::getpid;

    use super::*;

    #[test]
    fn a_child_is_found_with_its_parent_and_signalled_only_below_it() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let child = Pid::from_raw(line.trim().parse().expect("a pid"));
        let parent = Pid::from_raw(i32::try_from(shell.id()).expect("a pid"));
        assert_eq!((parent_of(child), children(parent)), (Some(parent), vec![child]));
        assert!(children(getpid()).contains(&parent));
        assert!(hold_child(parent, child).is_some());
        assert!(hold_child(getpid(), child).is_none(), "it is no child of this process");
        signal_others(parent, None, &[child], Signal::SIGKILL);
        assert_eq!(children(parent), [child], "it is left out");
        signal_others(parent, None, &[], Signal::SIGKILL);
        assert!(shell.wait().expect("it was waited for").success(), "the shell's wait has ended");
    }
}
