//! The processes that a supervisor of services has below it, as `/proc` lists them.

use std::collections::BTreeSet;
use std::fs;

/// The program that measured services run.
pub(super) const SERVICE: &str = "sleep";

/// A process, by its number.
pub(super) type Pid = u32;

/// Every process below this one, itself not included.
pub(super) fn below(pid: Pid) -> BTreeSet<Pid> {
    let mut found = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

/// The children of all of a process's threads.
fn children(pid: Pid) -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process runs as a service does, and not still as the shell that becomes one.
fn is_service(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == SERVICE)
}

/// Looks for services below a process, again and again.
#[derive(Debug, Default)]
pub(super) struct Services {
    known: BTreeSet<Pid>,
}

impl Services {
    /// The services that run now.
    pub(super) fn look(&mut self, parent: Pid) -> &BTreeSet<Pid> {
        let all = below(parent);
        self.known.retain(|pid| all.contains(pid));
        for pid in all {
            if !self.known.contains(&pid) && is_service(pid) {
                self.known.insert(pid);
            }
        }
        &self.known
    }
}

/// Whether a process is there and not only waits for its parent to notice its end.
pub(super) fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

/// Memory of processes in KiB: the resident pages, and the share of them where several processes use a page.
pub(super) fn memory_kib(pids: impl IntoIterator<Item = Pid>) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for pid in pids {
        let number = |file: &str, key: &str| -> Option<f64> {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        sums.0 += number("status", "VmRSS:").unwrap_or_default();
        sums.1 += number("smaps_rollup", "Pss:").unwrap_or_default();
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn children_and_their_children_are_found() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 1000 & echo $! >&2; wait"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
        std::io::BufRead::read_line(&mut stderr, &mut line).expect("a pid");
        let grandchild: Pid = line.trim().parse().expect("a pid");
        assert!(below(std::process::id()).is_superset(&BTreeSet::from([child.id(), grandchild])));
        assert_eq!(below(child.id()), BTreeSet::from([grandchild]));
        assert!(lives(grandchild) && memory_kib([child.id()]).0 > 0.0);
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert!(!lives(child.id()));
        Command::new("/bin/kill").arg(grandchild.to_string()).status().expect("killed");
    }
}
