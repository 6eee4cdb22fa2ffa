//! Kills the processes that a service left running when its launcher and its guard were killed at once. Never kills a
//! group by its number alone.
//!
//! The system kills a service's first process together with the guard, but not the processes that this one had
//! started, which may hold the ports and locks that the next start needs.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Kills what is left of the group that `pid_file` names, if one of its processes still works in the service's
/// directory; says whether there was one. The file exists only when the process was not waited for.
///
/// The number alone would not do: by now it may be that of an unrelated group.
pub(super) fn kill_leftovers(pid_file: &Path, dir: &Path) -> bool {
    let Some(group) = group(pid_file) else { return false };
    let Ok(dir) = fs::canonicalize(dir) else { return false };
    let found = processes().any(|process| {
        pgrp(&process) == Some(group)
            && fs::read_link(process.join("cwd")).is_ok_and(|at| at.starts_with(&dir))
    });
    found && killpg(Pid::from_raw(group), Signal::SIGKILL).is_ok()
}

fn group(pid_file: &Path) -> Option<i32> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().filter(|group| *group > 1)
}

/// The directories of all processes in `/proc`; none where the system has no such folder.
fn processes() -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The group of a process: the third word behind its name, which may hold anything.
fn pgrp(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_killed_supervisors_helpers_are_found_and_strangers_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let pid_file = dir.path().join("PID");
        assert!(!kill_leftovers(&pid_file, dir.path()), "no file");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).current_dir(dir.path()).process_group(0);
        let mut first = command.stdout(Stdio::piped()).spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(first.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let helper = Path::new("/proc").join(line.trim());
        first.kill().expect("killed");
        let group = first.id();
        first.wait().expect("ended");
        fs::write(&pid_file, format!("{group}\n")).expect("written");
        let elsewhere = tempfile::tempdir().expect("a directory");
        assert!(!kill_leftovers(&pid_file, elsewhere.path()), "it works elsewhere");
        assert_eq!(pgrp(&helper), i32::try_from(group).ok(), "so it lives");
        assert!(kill_leftovers(&pid_file, dir.path()));
        for _ in 0..1_000 {
            // A dead process may stay visible until its new parent has waited for it.
            if fs::read_link(helper.join("cwd")).is_err() {
                assert!(!kill_leftovers(&pid_file, dir.path()), "nothing is left");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} still lives", helper.display());
    }
}
