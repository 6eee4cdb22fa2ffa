//! What a new process does between its fork from a guard and the program that it becomes. Everything that could wait
//! for a disk is here, in the child: a guard never waits.

use std::cell::Cell;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getppid, setsid, write};

use super::block::Block;
use crate::launcher::sys::{self, FDS_MAX};
use crate::launcher::{child, confine};

/// The exit code of a process that could not become its program.
const NOT_STARTED: i32 = 127;

/// The descriptors that come with an order to start a program.
pub(super) struct Fds {
    block: OwnedFd,
    output: OwnedFd,
    errors: OwnedFd,
    /// Takes the number of the error that kept the program from running; it is closed when the program runs.
    fault: Cell<Option<OwnedFd>>,
    procs: Option<OwnedFd>,
    pub(super) kill: Option<OwnedFd>,
}

impl Fds {
    /// Sorts the descriptors; none when one is missing.
    pub(super) fn of(fds: [Option<OwnedFd>; FDS_MAX], joins: bool, kills: bool) -> Option<Self> {
        let [block, output, errors, fault, fifth, sixth] = fds;
        let (procs, kill) = match (joins, kills) {
            (true, _) => (fifth, sixth.filter(|_| kills)),
            (false, true) => (None, fifth),
            (false, false) => (None, None),
        };
        Some(Self {
            block: block?,
            output: output?,
            errors: errors?,
            fault: Cell::new(Some(fault?)),
            procs,
            kill,
        })
    }

    /// Says why the program does not run.
    pub(super) fn fail(&self, errno: Errno) {
        if let Some(fault) = self.fault.take() {
            // In one piece, which a pipe takes.
            let _ = write(&fault, &(errno as i32).to_le_bytes());
        }
    }

    /// Closes this process's end of the pipe.
    pub(super) fn forget_fault(&self) {
        drop(self.fault.take());
    }
}

/// Becomes the program of the block.
pub(super) fn become_program(fds: &Fds, null: &OwnedFd, parent: Pid) -> ! {
    let Err(errno) = try_become(fds, null, parent);
    fds.fail(errno);
    sys::exit(NOT_STARTED)
}

fn try_become(fds: &Fds, null: &OwnedFd, parent: Pid) -> Result<std::convert::Infallible, Errno> {
    let mut block = Block::open(&fds.block)?;
    // A session of its own, which is a process group too: the terminal of the operator is not its terminal.
    setsid()?;
    dup2_stdin(null)?;
    dup2_stdout(&fds.output)?;
    dup2_stderr(&fds.errors)?;
    if let Some(procs) = &fds.procs {
        write(procs, b"0")?;
    }
    child::set_nofile(block.nofile())?;
    umask(Mode::from_bits_truncate(0o022));
    chdir(block.dir().ok_or(Errno::EFAULT)?)?;
    confine::confine(block.owner(), block.capabilities())?;
    sys::close_on_execute();
    // Last, because the kernel clears this setting when the user changes. It covers the moment in which a guard is
    // killed; the launcher ends the rest.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that ended before the line above can no longer cause the signal.
    if getppid() != parent {
        return Err(Errno::ESRCH);
    }
    let at = block.link();
    child::default_signals()?;
    Err(block.execute(at))
}
