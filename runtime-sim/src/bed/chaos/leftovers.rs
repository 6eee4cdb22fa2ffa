//! What a run leaves behind that was killed itself: processes in its namespaces, mounted disks, folders. The next run
//! removes those whose process is gone, by the names that runs give, and touches nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{disk, process};

const PREFIX: &str = "annulus-chaos-";
/// Where `ip netns` keeps names, and how those of beds begin.
const NAMESPACES: &str = "/run/netns";
const NAMESPACE_PREFIX: &str = "annulus-bed-";
const GONE: Duration = Duration::from_secs(5);

/// A folder for a run; its name holds the process that it belongs to.
pub(super) fn folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir()
}

/// The process that a name belongs to.
fn owner(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.split_once('-')?.0.parse().ok()
}

/// Whether no run with this number goes on. Another program may have the number by now, and this one another name.
fn is_over(pid: u32) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid != std::process::id() && !is_a_run(&command)
}

/// Whether a command line, as the kernel shows it, is one that makes namespaces.
fn is_a_run(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == 0);
    words.any(|word| matches!(word, b"chaos" | b"netns" | b"--on=netns"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Removes what earlier runs left.
pub(super) fn remove() {
    let temporary = std::env::temp_dir();
    let is_left = |name: &String| owner(name, PREFIX).is_some_and(is_over);
    let folders: Vec<PathBuf> =
        names(&temporary).iter().filter(|name| is_left(name)).map(|name| temporary.join(name)).collect();
    // What waits for a frozen disk cannot be killed, so disks are thawed first.
    folders.iter().for_each(|folder| disk::unmount_below(folder));
    let namespaces = names(Path::new(NAMESPACES));
    for name in namespaces.iter().filter(|name| owner(name, NAMESPACE_PREFIX).is_some_and(is_over)) {
        if let Some(namespace) = process::namespace(&Path::new(NAMESPACES).join(name)) {
            process::kill_all(namespace, GONE);
        }
    }
    for folder in folders {
        disk::unmount_below(&folder);
        if let Err(error) = fs::remove_dir_all(&folder) {
            eprintln!("{} of an earlier run is left behind: {error}", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_what_it_was_asked_for() {
        assert!(is_a_run(b"/tmp/sim\0chaos\0--seed\x003\0"));
        assert!(is_a_run(b"annulus-sim\0run\0one.toml\0--on\0netns\0"));
        assert!(!is_a_run(b"annulus-sim\0run\0chaos.toml\0") && !is_a_run(b""));
    }

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(owner("annulus-chaos-417-AbCd", PREFIX), Some(417));
        assert_eq!(owner("annulus-bed-12-hub", NAMESPACE_PREFIX), Some(12));
        assert_eq!(owner("annulus-chaos-evidence-7", PREFIX), None);
        assert!(!is_over(std::process::id()));
        let folder = folder().expect("a folder");
        let name = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(owner(&name, PREFIX), Some(std::process::id()));
    }
}
