//! The guard of one hook: a child of the service's guard that ends the hook, and all that it started, at the hook's
//! deadline, when it is told to, or once the hook's own program has ended. It lives as long as the hook.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use super::body::{AGAIN_MS, become_guard, tell};
use super::note::News;
use super::start;
use super::tree::Tree;
use crate::host::clock;
use crate::launcher::sys;

/// The exit code of a guard that the system does not give what it needs.
const UNABLE: i32 = 71;

/// A hook to run.
pub(super) struct Hook<'a> {
    pub(super) id: u64,
    pub(super) deadline_ms: u64,
    pub(super) fds: &'a start::Fds,
    pub(super) socket: &'a OwnedFd,
    pub(super) null: &'a OwnedFd,
    /// The guard of the service.
    pub(super) parent: Pid,
}

/// Runs a hook in a copy of the service's guard.
pub(super) fn run(hook: &Hook<'_>) -> ! {
    let kill = hook.fds.kill.as_ref().map(|kill| kill.as_fd());
    let Ok(tree) = become_guard(hook.parent).and_then(|()| Tree::new(kill)) else { sys::exit(UNABLE) };
    let own = getpid();
    let program = match sys::fork() {
        Ok(Some(pid)) => pid.as_raw(),
        Ok(None) => start::become_program(hook.fds, hook.null, own),
        Err(errno) => {
            hook.fds.fail(errno);
            sys::exit(UNABLE)
        }
    };
    // The launcher learns by the end of this pipe that the program runs.
    hook.fds.forget_fault();
    let (status, timed_out) = watch(hook, &tree, program);
    report(hook, News::HookEnded { id: hook.id, status, timed_out });
    sys::exit(0)
}

/// Waits until nothing is left of the hook: how its program ended, and whether it had to be ended.
fn watch(hook: &Hook<'_>, tree: &Tree, program: i32) -> (i32, bool) {
    let (mut status, mut timed_out, mut killing) = (Signal::SIGKILL as i32, false, false);
    loop {
        match sys::wait_any() {
            // What the program leaves behind ends with it.
            Ok(Some((pid, ended))) if pid == program => (status, killing) = (ended, true),
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Err(_) => return (status, timed_out),
            Ok(None) => {
                if !killing && hook.deadline_ms <= clock::boot_ms() {
                    (killing, timed_out) = (true, true);
                }
                if killing {
                    tree.kill(Some(Signal::SIGKILL));
                }
                tree.arm((!killing).then_some(hook.deadline_ms));
                let [signals, timer] = tree.wanted();
                let mut fds =
                    [PollFd::new(signals, PollFlags::POLLIN), PollFd::new(timer, PollFlags::POLLIN)];
                let _ = poll(&mut fds, if killing { PollTimeout::from(AGAIN_MS) } else { PollTimeout::NONE });
                killing |= tree.take_signals();
            }
        }
    }
}

/// Says how the hook ended; the launcher may be frozen, and then this waits as long as the service's guard lives.
fn report(hook: &Hook<'_>, news: News) {
    while !tell(hook.socket, news) && getppid() == hook.parent {
        let mut fds = [PollFd::new(hook.socket.as_fd(), PollFlags::POLLOUT)];
        let _ = poll(&mut fds, PollTimeout::from(u8::MAX));
    }
}
