//! The guard of a program that no launcher starts: the hook of a package, which a command or the supervisor runs itself. Ends
//! the program and all that it started when the program has ended, when the starting thread or its process ends, and when
//! it is told to (SIGTERM). What a keeper leaves that is killed itself, the process that started it ends (`orphans`).
//!
//! It stands between the two: the process that becomes the program forks once more on its way, and the first copy stays. Its
//! exit code is the program's, or 128 and the number of the signal that ended it.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid, setsid};

use super::body::{AGAIN_MS, become_guard, block_signals};
use super::tree::Tree;
use crate::launcher::sys;

/// The exit code of a keeper that the system does not give what it needs.
const UNABLE: i32 = 71;
/// Added to the number of the signal that ended the program, as shells do.
const SIGNAL_CODE: i32 = 128;

/// Called between fork and exec. Returns in a second process, which goes on to the program; the first one keeps it, and holds
/// the file `lock` open as long as anything of the program lives. Neither allocates nor takes a lock of this process.
///
/// # Errors
/// The system gives no session or no process; there is no second one then.
pub(crate) fn keep(lock: RawFd) -> Result<(), Errno> {
    setsid()?;
    let before = block_signals()?;
    become_guard(getppid())?;
    let keeper = getpid();
    if let Some(program) = sys::fork()? {
        sys::exit(watch(program.as_raw(), lock));
    }
    before.thread_set_mask()?;
    // The program's own process group, for the hook's own signals to its children; and no program without its keeper.
    setsid()?;
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == keeper { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Waits until nothing is left of the program, and returns the exit code.
fn watch(program: i32, lock: RawFd) -> i32 {
    // Those of the starting process, and the pipe by which it learns that the program runs.
    sys::close_others(&[lock]);
    let _ = set_name(c"annulus-keeper");
    let tree = Tree::new(None);
    let mut code = SIGNAL_CODE + Signal::SIGKILL as i32;
    let mut killing = tree.is_err();
    loop {
        match sys::wait_any() {
            // What the program leaves behind ends with it.
            Ok(Some((pid, status))) if pid == program => (code, killing) = (exit_code_for(status), true),
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Err(_) => return code,
            Ok(None) => {
                let Ok(tree) = &tree else {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(program), Signal::SIGKILL);
                    return UNABLE;
                };
                if killing {
                    tree.kill(Some(Signal::SIGKILL));
                }
                let [signals, _] = tree.wanted();
                let mut fds = [PollFd::new(signals, PollFlags::POLLIN)];
                let _ = poll(&mut fds, if killing { PollTimeout::from(AGAIN_MS) } else { PollTimeout::NONE });
                killing |= tree.take_signals();
            }
        }
    }
}

/// The exit code for a status as the system gives it: the low seven bits are the signal, the second byte is the code.
const fn exit_code_for(status: i32) -> i32 {
    let signal = status & 0x7f;
    if signal == 0 { (status >> 8) & 0xff } else { SIGNAL_CODE + signal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_program_s_or_that_of_its_signal() {
        assert_eq!([0, 0x0300, 0x0009, 0x008b].map(exit_code_for), [0, 3, 137, 139]);
    }
}
