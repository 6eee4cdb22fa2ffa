//! Tells which process a pid means: the system uses numbers again, so a pid counts only together with the boot and the
//! start of its process. Reads `/proc` and changes nothing.

use std::fs;

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
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19)?.parse().ok()
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
    }
}
