//! The processes of a host, as `/proc` lists them: those in the host's network namespace, whatever became of their
//! parents, sessions and groups. Reads and signals, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

/// A process, by its number.
pub(crate) type Pid = u32;

/// The name of guards, those of hooks included.
const GUARD: &str = "annulus-guard";

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    /// When it began, in ticks since boot: with the number, its identity.
    pub(crate) start: u64,
    /// The name that it gave itself; guards are copies of their launcher with another one.
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
}

/// What a process is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Launcher,
    Supervisor,
    /// Of this service or of a hook of it; empty while no process is below it.
    Guard(String),
    /// A process of this service or of one of its hooks.
    Service(String),
    /// A command of an operator, or what cannot be told.
    Other,
}

/// The number of the namespace behind a path; none when it is gone.
pub(crate) fn namespace(path: &Path) -> Option<u64> {
    use std::os::linux::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|metadata| metadata.st_ino())
}

/// All processes of the machine that are in one of these network namespaces; this program is never among them.
pub(crate) fn in_namespaces(wanted: &BTreeSet<u64>) -> BTreeMap<u64, Vec<Process>> {
    let mut found: BTreeMap<u64, Vec<Process>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let Some(inside) = inode(pid).filter(|inode| wanted.contains(inode)) else { continue };
        found.entry(inside).or_default().extend(read(pid));
    }
    found
}

fn inode(pid: Pid) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    link.to_str()?.strip_prefix("net:[")?.trim_end_matches(']').parse().ok()
}

/// One process; none when it has ended, also while its parent has not noticed.
pub(crate) fn read(pid: Pid) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; what follows its last bracket does not.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut words = rest.split_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    let start = words.nth(17)?.parse().ok()?;
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .filter(|argument| !argument.is_empty())
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    (!matches!(state, "Z" | "X")).then_some(Process { pid, parent, start, name, arguments })
}

impl Process {
    /// The service whose folder its arguments name.
    fn service(&self) -> Option<String> {
        self.arguments.iter().find_map(|argument| {
            let (_, below) = argument.split_once("/hab/svc/")?;
            Some(below.split('/').next()?.to_owned())
        })
    }

    /// The tree that a witness belongs to; none for other processes and hooks.
    pub(crate) fn tree(&self) -> Option<Pid> {
        let at = self.arguments.iter().position(|argument| argument == "--tree")?;
        self.arguments.get(at + 1)?.parse().ok()
    }

    pub(crate) fn is_hook(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "hook")
            || self
                .arguments
                .iter()
                .any(|argument| argument.contains("/hooks/") && !argument.ends_with("/hooks/run"))
    }

    fn is_daemon(&self) -> bool {
        self.arguments.first().is_some_and(|program| program.ends_with("/annulus"))
    }
}

/// What each process of a host is for, given its launcher.
pub(crate) fn parts(all: &[Process], launcher: Option<Pid>) -> Vec<(&Process, Part)> {
    let by_pid: BTreeMap<Pid, &Process> = all.iter().map(|process| (process.pid, process)).collect();
    let mut guards: BTreeMap<Pid, String> = BTreeMap::new();
    for process in all {
        let Some(service) = process.service() else { continue };
        let mut above = by_pid.get(&process.parent);
        while let Some(parent) = above {
            if parent.name == GUARD {
                guards.insert(parent.pid, service.clone());
            }
            above = by_pid.get(&parent.parent).filter(|_| Some(parent.pid) != launcher);
        }
    }
    all.iter()
        .map(|process| {
            let part = if Some(process.pid) == launcher {
                Part::Launcher
            } else if let Some(service) = guards.get(&process.pid) {
                Part::Guard(service.clone())
            } else if let Some(service) = process.service() {
                Part::Service(service)
            } else if process.name == GUARD {
                Part::Guard(String::new())
            } else if process.is_daemon() && is_supervisor(process, launcher) {
                Part::Supervisor
            } else {
                Part::Other
            };
            (process, part)
        })
        .collect()
}

/// A supervisor has the launcher's own arguments.
fn is_supervisor(process: &Process, launcher: Option<Pid>) -> bool {
    let words = &process.arguments;
    Some(process.parent) == launcher && words.windows(2).any(|pair| pair[0] == "sup" && pair[1] == "run")
}

/// Signals a process, if it is still the one that was seen.
pub(crate) fn signal(process: &Process, what: Signal) -> bool {
    let same = read(process.pid).is_some_and(|now| now.start == process.start);
    same && i32::try_from(process.pid).is_ok_and(|pid| kill(nix::unistd::Pid::from_raw(pid), what).is_ok())
}

/// Whether a process still lives that was seen before.
pub(crate) fn lives(process: &Process) -> bool {
    read(process.pid).is_some_and(|now| now.start == process.start)
}

/// Kills every process in a namespace, again until none is left; those that are left after `patience`.
pub(crate) fn kill_all(namespace: u64, patience: Duration) -> Vec<Process> {
    let (wanted, begin) = (BTreeSet::from([namespace]), Instant::now());
    let all = || in_namespaces(&wanted).remove(&namespace).unwrap_or_default();
    // Stopped first, so that none of them notices the end of another: power fails for all at once.
    for _ in 0..2 {
        for process in all() {
            signal(&process, Signal::SIGSTOP);
        }
    }
    loop {
        let left = all();
        if left.is_empty() || begin.elapsed() > patience {
            return left;
        }
        for process in &left {
            signal(process, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: Pid, parent: Pid, name: &str, arguments: &[&str]) -> Process {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Process { pid, parent, start: 1, name: name.to_owned(), arguments }
    }

    #[test]
    fn each_process_has_its_part() {
        let run = ["/x/bin/annulus", "--root", "/x/hosts/ada/hab", "sup", "run"];
        let serve = [
            "/x/bin/annulus-sim",
            "chaos-witness",
            "serve",
            "--part",
            "/x/hosts/ada/hab/svc/steady/config/part",
        ];
        let tree = [&serve[..], &["--tree", "30"]].concat();
        let hook = ["/x/bin/annulus-sim", "chaos-witness", "hook", "reconfigure", "--part", serve[4]];
        let all = [
            process(10, 1, "annulus", &run),
            process(11, 10, "annulus", &run),
            process(12, 10, GUARD, &run),
            process(13, 12, "annulus-sim", &tree),
            process(14, 10, GUARD, &run),
            process(15, 1, "sleep", &["sleep", "5"]),
            process(16, 10, "run", &["/bin/sh", "/x/hosts/ada/hab/svc/brood/hooks/run"]),
            process(17, 12, GUARD, &run),
            process(18, 17, "annulus-sim", &hook),
        ];
        let parts: Vec<Part> = parts(&all, Some(10)).into_iter().map(|(_, part)| part).collect();
        let expected = [
            Part::Launcher,
            Part::Supervisor,
            Part::Guard("steady".to_owned()),
            Part::Service("steady".to_owned()),
            Part::Guard(String::new()),
            Part::Other,
            Part::Service("brood".to_owned()),
            Part::Guard("steady".to_owned()),
            Part::Service("steady".to_owned()),
        ];
        assert_eq!(parts, expected);
        assert_eq!((all[3].tree(), all[0].tree()), (Some(30), None));
        assert!(all[8].is_hook() && !all[6].is_hook() && !all[3].is_hook());
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = read(std::process::id()).expect("this one runs");
        assert!(lives(&own) && !own.arguments.is_empty());
        assert!(!lives(&Process { start: own.start + 1, ..own.clone() }));
        let here = namespace(Path::new("/proc/self/ns/net")).expect("a namespace");
        assert_eq!(inode(std::process::id()), Some(here));
        let found = in_namespaces(&BTreeSet::from([here]));
        assert!(found.values().flatten().all(|process| process.pid != own.pid), "never this program");
    }
}
