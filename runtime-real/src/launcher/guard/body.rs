//! A guard's own process, from its start to its end: it starts what it is told to, waits for every process of the
//! tree, and kills the tree at the deadline, when it is told to, and when its launcher dies.
//!
//! It takes no memory after its start and opens no file by a path that a hanging disk could hold: all it needs was
//! opened before. So neither a lack of memory nor a disk that stands still keeps it from its deadline. It leaves to its
//! children what could wait for a disk: they become the programs.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::{Pid, getppid, read, setsid};

use super::note::{NOTE_BYTES, News, Order};
use super::page::Page;
use super::tree::Tree;
use super::{hook, start};
use crate::host::clock;
use crate::launcher::sys::{self, FDS_MAX};

/// Programs that one guard runs at once.
const STARTED_MAX: usize = 64;
/// The exit code of a guard that the system does not give what it needs.
const UNABLE: i32 = 71;
/// Once it kills, it looks again for children after this time, in milliseconds.
pub(super) const AGAIN_MS: u8 = 5;

/// Everything that a guard has of its launcher.
#[derive(Debug)]
pub(super) struct Inherited {
    /// The connection to the launcher.
    pub(super) socket: OwnedFd,
    /// Becomes readable when the supervisor has given a deadline.
    pub(super) wake: OwnedFd,
    /// The shared page.
    pub(super) page: Page,
    /// Writing to it kills the control group.
    pub(super) kill: Option<OwnedFd>,
    /// The lock of the service's directory, which lasts as long as this guard.
    pub(super) owner: Option<OwnedFd>,
    /// The null device.
    pub(super) null: OwnedFd,
    /// The launcher.
    pub(super) parent: Pid,
    /// The launcher's heap, of which the guard uses nothing.
    pub(super) heap: (usize, usize),
}

/// Ends the copy of the launcher if a mistake in the guard unwinds it: it must never run on as a second launcher.
struct NoReturn;

impl Drop for NoReturn {
    fn drop(&mut self) {
        sys::exit(UNABLE);
    }
}

/// A program that was started.
#[derive(Clone, Copy, Debug)]
struct Started {
    id: u64,
    pid: i32,
    is_hook: bool,
}

/// The state of a guard.
struct Guard {
    inherited: Inherited,
    tree: Tree,
    started: [Option<Started>; STARTED_MAX],
    /// Orders to start a program so far.
    starts: u64,
    /// The number of them when the launcher was last told that no process is left.
    told_empty: u64,
    /// Whether that could not be said yet.
    owes: bool,
    /// Whether the tree is being killed.
    killing: bool,
    /// The launcher has gone, or wants this guard to end.
    alone: bool,
}

/// Runs a guard in a copy of the launcher.
pub(super) fn run(inherited: Inherited) -> ! {
    let _bomb = NoReturn;
    match prepare(&inherited) {
        Ok(tree) => {
            let mut guard = Guard {
                inherited,
                tree,
                started: [None; STARTED_MAX],
                starts: 0,
                told_empty: 0,
                owes: false,
                killing: false,
                alone: false,
            };
            loop {
                guard.turn();
            }
        }
        Err(_) => sys::exit(UNABLE),
    }
}

fn prepare(inherited: &Inherited) -> Result<Tree, Errno> {
    nix::sys::prctl::set_name(c"annulus-guard")?;
    become_guard(inherited.parent)?;
    setsid()?;
    nix::sys::prctl::set_dumpable(false)?;
    nix::unistd::dup2_stdin(&inherited.null)?;
    nix::unistd::dup2_stdout(&inherited.null)?;
    nix::unistd::dup2_stderr(&inherited.null)?;
    let fd = |fd: &OwnedFd| fd.as_raw_fd();
    let kill = inherited.kill.as_ref().map_or(0, fd);
    let owner = inherited.owner.as_ref().map_or(0, fd);
    let mut kept = [0, 1, 2, fd(&inherited.socket), fd(&inherited.wake), fd(&inherited.null), kill, owner];
    kept.sort_unstable();
    sys::close_others(&kept);
    let tree = Tree::new(inherited.kill.as_ref().map(|kill| kill.as_fd()))?;
    sys::forget_heap(inherited.heap);
    // The page at least; a user without the right to more goes on with that.
    let _ = inherited.page.lock();
    let _ = sys::lock_memory();
    // Once through what it does at the end, so that this code is in memory by then.
    tree.kill(None);
    Ok(tree)
}

/// Has this process become the parent of every orphan below it, and hear of its own parent's death, which is a signal
/// that it catches.
pub(super) fn become_guard(parent: Pid) -> Result<(), Errno> {
    default_child_signal()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    // A parent that ended before the line above can no longer cause the signal.
    if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH) }
}

/// With this signal ignored, children would vanish without having been waited for.
#[allow(unsafe_code)]
fn default_child_signal() -> Result<(), Errno> {
    // SAFETY: the default action is no function of this program.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}

impl Guard {
    fn turn(&mut self) {
        let has_children = self.reap();
        if self.inherited.page.expire(clock::boot_ms()) {
            self.killing = true;
            self.tell(News::Expired);
        }
        if self.killing && has_children {
            self.tree.kill(Some(Signal::SIGKILL));
        }
        if !has_children {
            self.on_empty();
        }
        self.tree.arm(self.inherited.page.kill_at_ms().filter(|_| !self.killing));
        self.wait(has_children);
    }

    /// Waits for every process that has ended; whether there are children left.
    fn reap(&mut self) -> bool {
        loop {
            match sys::wait_any() {
                Ok(Some((pid, status))) => self.on_end(pid, status),
                Ok(None) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn on_end(&mut self, pid: i32, status: i32) {
        let is = |place: &&mut Option<Started>| place.is_some_and(|started| started.pid == pid);
        // Any other process is an orphan of the tree.
        let Some(started) = self.started.iter_mut().find(is).and_then(Option::take) else { return };
        if !started.is_hook {
            self.inherited.page.set_status(status);
            // After a crash the rest has no time; on an order to stop it has what was promised to all of the tree.
            if !self.inherited.page.is_stopping() {
                self.kill();
            }
        } else if status != 0 {
            // A hook's guard that ended by itself has said how its hook ended.
            self.tell(News::HookEnded { id: started.id, status, timed_out: false });
        }
    }

    fn kill(&mut self) {
        self.inherited.page.kill();
        self.killing = true;
    }

    fn on_empty(&mut self) {
        if self.alone {
            sys::exit(0);
        }
        if self.told_empty != self.starts {
            self.owes = !self.tell(News::Empty { starts: self.starts });
            if !self.owes {
                self.told_empty = self.starts;
            }
        }
    }

    fn tell(&self, news: News) -> bool {
        tell(&self.inherited.socket, news)
    }

    fn wait(&mut self, has_children: bool) {
        let answers = if self.owes { PollFlags::POLLOUT } else { PollFlags::empty() };
        let orders = if self.alone { PollFlags::empty() } else { PollFlags::POLLIN };
        let [signals, timer] = self.tree.wanted();
        let mut fds = [
            PollFd::new(signals, PollFlags::POLLIN),
            PollFd::new(timer, PollFlags::POLLIN),
            PollFd::new(self.inherited.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.inherited.socket.as_fd(), orders | answers),
        ];
        // A connection that is over would be ready all the time.
        let watched = if self.alone { 3 } else { 4 };
        let again = self.killing && has_children;
        let timeout = if again { PollTimeout::from(AGAIN_MS) } else { PollTimeout::NONE };
        let fds = fds.get_mut(..watched).unwrap_or_default();
        let _ = poll(fds, timeout);
        let ready = |at: usize| fds.get(at).and_then(PollFd::any).unwrap_or_default();
        let (signalled, woken, ordered) = (ready(0), ready(2), ready(3));
        if signalled && self.tree.take_signals() && getppid() != self.inherited.parent {
            self.leave();
        }
        if woken {
            let _ = read(&self.inherited.wake, &mut [0; 8]);
        }
        if ordered {
            self.take_orders();
        }
    }

    /// The launcher has ended: so does everything else. It also ends the connection of a guard that is needed no more.
    fn leave(&mut self) {
        self.alone = true;
        self.kill();
    }

    fn take_orders(&mut self) {
        loop {
            let mut note = [0; NOTE_BYTES];
            let mut fds = [const { None }; FDS_MAX];
            match sys::receive(&self.inherited.socket, &mut note, &mut fds) {
                Ok(1..) => {
                    if let Some(order) = Order::decode(&note) {
                        self.on_order(order, fds);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Ok(0) | Err(_) => return self.leave(),
            }
        }
    }

    fn on_order(&mut self, order: Order, fds: [Option<OwnedFd>; FDS_MAX]) {
        match order {
            Order::Start { id, joins, kills, deadline_ms } => {
                self.starts += 1;
                let fds = start::Fds::of(fds, joins, kills);
                let started = match fds {
                    _ if self.killing => Err(Errno::ECANCELED),
                    None => Err(Errno::EBADF),
                    Some(fds) => self.start(id, &fds, deadline_ms),
                };
                match started {
                    Ok(pid) => self.tell(News::Started { id, pid }),
                    Err(errno) => self.tell(News::Refused { id, errno: errno as i32 }),
                };
            }
            Order::Signal { number } => self.signal(number),
            Order::Kill => self.kill(),
            Order::EndHook { id } => self.end_hooks(Some(id)),
            Order::EndHooks => self.end_hooks(None),
        }
    }

    fn start(&mut self, id: u64, fds: &start::Fds, deadline_ms: Option<u64>) -> Result<i32, Errno> {
        let own = nix::unistd::getpid();
        let Some(place) = self.started.iter_mut().find(|place| place.is_none()) else {
            return Err(Errno::EAGAIN);
        };
        match sys::fork()? {
            Some(pid) => {
                *place = Some(Started { id, pid: pid.as_raw(), is_hook: deadline_ms.is_some() });
                Ok(pid.as_raw())
            }
            None => {
                let _bomb = NoReturn;
                match deadline_ms {
                    None => start::become_program(fds, &self.inherited.null, own),
                    Some(deadline_ms) => {
                        let (socket, null) = (&self.inherited.socket, &self.inherited.null);
                        hook::run(&hook::Hook { id, deadline_ms, fds, socket, null, parent: own })
                    }
                }
            }
        }
    }

    fn signal(&self, number: i32) {
        let first = self.started.iter().flatten().find(|started| !started.is_hook);
        // It has not been waited for, so its number is the number of no other group.
        if let (Some(first), Ok(signal)) = (first, Signal::try_from(number)) {
            let _ = nix::sys::signal::killpg(Pid::from_raw(first.pid), signal);
        }
    }

    /// Asks the guards of hooks to end them.
    fn end_hooks(&self, id: Option<u64>) {
        let hooks = self.started.iter().flatten().filter(|started| started.is_hook);
        for hook in hooks.filter(|hook| id.is_none_or(|id| hook.id == id)) {
            // It has not been waited for, so no other process has this number.
            let _ = nix::sys::signal::kill(Pid::from_raw(hook.pid), Signal::SIGTERM);
        }
    }
}

/// Sends news to the launcher, if it takes them without delay.
pub(super) fn tell(socket: &OwnedFd, news: News) -> bool {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    // Without a launcher there is nothing to tell.
    !matches!(send(socket.as_raw_fd(), &news.encode(), flags), Err(Errno::EAGAIN | Errno::ENOBUFS))
}

/// Blocks every signal: a guard takes those that matter from a descriptor. The launcher does this for a moment before
/// it makes a guard, so that no handler of its own runs in the copy.
pub(super) fn block_signals() -> Result<SigSet, Errno> {
    let before = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    Ok(before)
}
