//! The guards of services, a process for each: parent of all that the service starts, and what surely ends it.
//!
//! ```text
//! launcher                 decides nothing, writes logs, may stand still with a disk
//!   guard                  one for each service: a copy of the launcher that became small
//!     <svc>/run            in a process group of its own
//!       …                  whatever that starts; orphans become children of the guard
//!     guard of a hook      for as long as the hook runs
//!       <svc>/hook
//! ```
//!
//! A guard is made by `fork` without `exec`: the launcher has one thread, so its copy is sound; it shares the launcher's
//! pages and gives back the rest. A program of its own would map, relocate and initialise everything again; `README.md`
//! of this crate has the figures. The price is that a guard takes no memory and never returns into the launcher's code.
//!
//! `body` is the guard's life, `hook` that of a hook's guard, `keeper` that of a program which no launcher starts, `tree` how they kill, `start` what a process does before it
//! becomes a program, `block` how it is told which, `page` what the guard shares with the supervisor, `note` what it says
//! to the launcher; This file is the launcher's and the supervisor's side.

mod block;
mod body;
mod hook;
pub(super) mod keeper;
mod note;
mod page;
mod start;

mod tree;

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, ftruncate, getpid, write};

pub(super) use block::Program;
pub(super) use note::{News, Order};
use page::{Page, TooLate};

use super::message::Lease;
use super::{rights, sys};

/// The launcher's side of one guard. Dropping it ends the guard and all that is left of its tree.
#[derive(Debug)]
pub(super) struct Guard {
    pid: Pid,
    socket: OwnedFd,
    wake: OwnedFd,
    page: Page,
    file: OwnedFd,
    /// Orders to start a program so far.
    starts: u64,
}

/// The file of a page that nothing has written to.
pub(super) fn page_file() -> io::Result<OwnedFd> {
    let file = memfd_create(c"annulus-guard", MFdFlags::MFD_CLOEXEC)?;
    ftruncate(&file, sys::PAGE_BYTES as i64)?;
    Ok(file)
}

impl Guard {
    /// Starts a guard, which kills by `kill` too, the file of a control group, and holds the lock of `owner` as
    /// long as it lives. It ends with the calling thread.
    ///
    /// # Errors
    /// The system gives no process or no descriptors.
    pub(super) fn start(kill: Option<OwnedFd>, owner: Option<OwnedFd>) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (own, socket) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let file = page_file()?;
        let (page, other) = (Page::map(&file)?, Page::map(&file)?);
        let wake = sys::event()?;
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let inherited = body::Inherited {
            socket,
            wake: wake.try_clone()?,
            page: other,
            kill,
            owner,
            null,
            parent: getpid(),
            heap: sys::heap(&fs::read_to_string("/proc/self/maps").unwrap_or_default()),
        };
        let mask = body::block_signals()?;
        let forked = sys::fork();
        if matches!(forked, Ok(None)) {
            body::run(inherited);
        }
        mask.thread_set_mask()?;
        let pid = forked?.ok_or(Errno::ECHILD)?;
        Ok(Self { pid, socket: own, wake, page, file, starts: 0 })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    /// The descriptors by which a supervisor holds the deadline itself: the page and the wake-up.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub(super) fn share(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(vec![self.file.try_clone()?, self.wake.try_clone()?])
    }

    /// Orders to start a program so far.
    pub(super) fn starts(&self) -> u64 {
        self.starts
    }

    /// Gives an order, with the descriptors that belong to it.
    ///
    /// # Errors
    /// The guard is gone, or stands still.
    pub(super) fn order(&mut self, order: Order, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        rights::send(&self.socket, &order.encode(), fds)?;
        if matches!(order, Order::Start { .. }) {
            self.starts += 1;
        }
        Ok(())
    }

    /// The next news, if there are any.
    pub(super) fn news(&self) -> Option<News> {
        let mut note = [0; note::NOTE_BYTES];
        let flags = MsgFlags::MSG_DONTWAIT;
        let length = nix::sys::socket::recv(self.socket.as_raw_fd(), &mut note, flags).ok()?;
        News::decode(note.get(..length)?)
    }

    /// Has the guard look at its page again.
    pub(super) fn wake(&self) {
        wake(&self.wake);
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn wake(event: &OwnedFd) {
    // A counter that is full wakes as well.
    let _ = write(event, &1_u64.to_ne_bytes());
}

/// The supervisor's side of one guard: it gives leases without any process in between.
#[derive(Debug)]
pub(crate) struct Holder {
    page: Page,
    wake: OwnedFd,
}

impl Holder {
    /// Takes the two descriptors that a launcher shares.
    ///
    /// # Errors
    /// The system does not map the page.
    pub(crate) fn new(file: &OwnedFd, wake: OwnedFd) -> io::Result<Self> {
        let page = Page::map(file)?;
        // Without the right to do this it stays in memory because the guard holds it there.
        let _ = page.lock();
        Ok(Self { page, wake })
    }

    /// Gives a lease, or takes it away; once this has returned, the guard acts by it. Waits for nothing.
    ///
    /// # Errors
    /// The guard kills the service already.
    pub(crate) fn hold(&self, lease: Option<&Lease>, now_ms: u64) -> Result<(), String> {
        match self.page.hold(lease, now_ms) {
            Ok(news) => {
                if news {
                    wake(&self.wake);
                }
                Ok(())
            }
            Err(TooLate) => {
                Err("the time that its guard had been given is over: the guard ends it".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests;
