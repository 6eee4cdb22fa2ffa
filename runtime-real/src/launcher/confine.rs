//! What a process of a service gives up before it becomes its program: the supervisor's user, its capabilities, the way
//! to any others, its terminal and its open files.
//!
//! Guards give up nothing: they are copies of the launcher and end what runs below them, whichever user that is. No
//! process may gain rights by the program that it becomes (`no_new_privs`), so programs that are setuid or have
//! capabilities of their own run without those below a supervisor; a plan asks for capabilities by name instead.

use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl::{set_keepcaps, set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, setsid};

use super::child;
use super::sys::{self, CapabilitySets};
use crate::host::capabilities::Capabilities;
use crate::host::users::Account;

/// Has this process, which is about to become a program, run as `owner` (user, group, all groups as bytes) with the
/// capabilities in `kept` and no others, for good.
///
/// A superuser for whom no capabilities are named keeps the launcher's, because they are what makes one; a superuser
/// for whom some are named has only those.
///
/// # Errors
/// The launcher has not the right to that user, or not those capabilities.
pub(super) fn confine(owner: Option<(u32, u32, &[u8])>, kept: Capabilities) -> Result<(), Errno> {
    let uid = owner.map_or_else(|| geteuid().as_raw(), |(uid, _, _)| uid);
    let is_superuser = uid == 0 && kept.is_empty();
    let kept = kept.bits();
    if !is_superuser {
        // First, as long as this process has the right to. Without that right no other process below this one has it.
        sys::drop_bounding_capabilities(kept);
    }
    sys::set_ambient_capabilities(0)?;
    if let Some((uid, gid, groups)) = owner {
        // Else the change of the user would take them as well.
        set_keepcaps(kept != 0)?;
        sys::become_user(uid, gid, groups)?;
        set_keepcaps(false)?;
    }
    sys::set_capabilities(if is_superuser {
        CapabilitySets { inheritable: 0, ..sys::capabilities()? }
    } else {
        CapabilitySets { effective: kept, permitted: kept, inheritable: kept }
    })?;
    sys::set_ambient_capabilities(kept)?;
    set_no_new_privs()
}

/// Has a new process that no guard starts give up the same, for hooks of packages: as the user of this account, or as
/// the caller's own, in a session of its own, with the first three descriptors only. It ends with the thread that starts it.
#[allow(unsafe_code)]
pub(crate) fn confine_command(command: &mut Command, account: Option<&Account>) {
    let owner = account.map(|account| {
        let groups: Vec<u8> = account.groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
        (account.uid, account.gid, groups)
    });
    let between_fork_and_exec = move || {
        setsid()?;
        child::default_signals()?;
        let owner = owner.as_ref().map(|(uid, gid, groups)| (*uid, *gid, groups.as_slice()));
        confine(owner, Capabilities::NONE)?;
        // After the change of the user, which would take this back: the next supervisor runs the hook again, and must
        // not find this one beside it. Counts from the thread that starts the hook and waits for it.
        set_pdeathsig(Signal::SIGKILL)?;
        sys::close_on_execute();
        Ok(())
    };
    // SAFETY: the closure makes system calls and neither allocates nor takes a lock, which is all that is allowed
    // between fork and exec.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, between_fork_and_exec) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd as _;
    use std::process::Stdio;

    use super::*;

    fn status_of(command: &mut Command) -> String {
        confine_command(command, None);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn a_process_has_no_way_to_more_rights_and_a_session_of_its_own() {
        let text =
            status_of(Command::new("sh").args(["-c", "cat /proc/self/status; cat /proc/$$/stat; echo $$"]));
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!([field("CapInh"), field("CapAmb")], ["0000000000000000"; 2]);
        if !geteuid().is_root() {
            assert_eq!([field("CapPrm"), field("CapEff")], ["0000000000000000"; 2]);
        }
        let mut last = text.lines().rev();
        let (pid, stat) = (last.next().expect("a pid"), last.next().expect("a line"));
        let (_, behind_name) = stat.rsplit_once(')').expect("a name");
        let numbers: Vec<&str> = behind_name.split_whitespace().collect();
        // Process group, session, terminal.
        assert_eq!(numbers[2..5], [pid, pid, "0"], "{stat}");
    }

    #[test]
    fn a_file_that_is_open_here_is_not_open_there() {
        let file = File::open("/proc/self/status").expect("open");
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("set");
        let number = file.as_raw_fd().to_string();
        let script = format!("[ -e /proc/$$/fd/{number} ] && echo open; echo done");
        let mut open = Command::new("sh");
        let open = open.args(["-c", &script]).output().expect("it runs");
        assert_eq!(open.stdout, b"open\ndone\n", "without being confined it is");
        assert_eq!(status_of(Command::new("sh").args(["-c", &script])), "done\n");
    }
}
