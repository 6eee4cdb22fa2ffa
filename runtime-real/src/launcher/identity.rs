//! Tells which process a pid means: the system uses numbers again, so a pid counts only together with the boot and the
//! start of its process. Reads `/proc` and changes nothing.

use std::fs;

/// The name that guards give themselves.
const GUARD: &str = "annulus-guard";

/// The boot of this host, as the system names it; empty where it does not.
#[must_use]
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// When a process began, in ticks since boot; none when there is no such process.
///
/// It is field 22 of its `stat`. The second field, its name, may hold anything, spaces and parentheses included.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    words(pid)?.1.get(19)?.parse().ok()
}

/// Whether a process was stopped (SIGSTOP, a debugger) and has not gone on; false also when there is no such process.
#[must_use]
pub fn stands_still(pid: u32) -> bool {
    words(pid).is_some_and(|(_, words)| matches!(words.first().map(String::as_str), Some("T" | "t")))
}

/// Why a process may not answer, and how to look.
#[must_use]
pub fn why_silent(pid: u32) -> String {
    match words(pid).and_then(|(_, words)| words.into_iter().next()).as_deref() {
        Some("T" | "t") => {
            format!("its process {pid} stands still (SIGSTOP); `kill -CONT {pid}` lets it go on")
        }
        Some("D") => format!(
            "its process {pid} waits for a disk or another device; `cat /proc/{pid}/stack` as root says in which call"
        ),
        Some("Z" | "X") | None => format!("its process {pid} has ended"),
        Some(_) => format!(
            "its process {pid} runs: it may be busy, or wait for a slow disk; `annulus sup log` and \
             `ps -L -o stat,wchan:32,pcpu,comm -p {pid}` say more"
        ),
    }
}

/// The guard of the service with this first process, when it stands still: it can neither end nor report anything then.
#[must_use]
pub fn standing_guard(first: u32) -> Option<u32> {
    let parent = words(first)?.1.get(1)?.parse().ok()?;
    let is_guard = words(parent).is_some_and(|(name, _)| name == GUARD);
    (is_guard && stands_still(parent)).then_some(parent)
}

/// A process's name, and the fields of its `stat` behind that.
fn words(pid: u32) -> Option<(String, Vec<String>)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, behind_name) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    Some((name, behind_name.split_whitespace().map(str::to_owned).collect()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_beginning_and_a_host_one_boot() {
        let own = std::process::id();
        let began = start_ticks(own).expect("it runs");
        assert_eq!(start_ticks(own), Some(began));
        assert!(start_ticks(1).is_some_and(|first| first <= began));
        assert_eq!(start_ticks(u32::MAX), None);
        assert_eq!(boot_id().len(), 36);
        assert!(!stands_still(own) && !stands_still(u32::MAX));
        assert!(why_silent(own).contains("runs") && why_silent(u32::MAX).contains("has ended"));
        assert_eq!(standing_guard(own), None, "its parent is no guard");
    }
}
