//! Reads what services print as it comes, and gives the lines to the journal. Never waits for a service.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::read;

use super::journal::{Journal, Source};
use super::lines::Lines;

/// Read from one pipe before the others have their turn, in bytes: what a pipe holds.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Pipes that stay open after their service has ended. A process that holds one beyond these was given it by another
/// way than its parents, and what it prints is lost.
const ORPHANS_MAX: usize = 64;

/// One pipe.
#[derive(Debug)]
struct Pipe {
    fd: OwnedFd,
    source: Source,
    lines: Lines,
    /// The process that it was made for.
    pid: i32,
    orphan: bool,
}

/// The pipes of all services, by number.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pipes: BTreeMap<u64, Pipe>,
    next: u64,
}

impl Outputs {
    pub(super) fn add(&mut self, fd: OwnedFd, source: Source, pid: i32) {
        let lines = match source {
            Source::Service { .. } => Lines::default(),
            Source::Supervisor => Lines::own(),
        };
        self.pipes.insert(self.next, Pipe { fd, source, lines, pid, orphan: false });
        self.next += 1;
    }

    /// The pipes that the loop has to watch, with their numbers.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.pipes.iter().map(|(number, pipe)| (*number, pipe.fd.as_fd()))
    }

    /// Reads once from a pipe that is ready.
    pub(super) fn read(&mut self, number: u64, buffer: &mut [u8], journal: &mut Journal) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        if pipe.read(buffer, journal) == Read::End {
            self.pipes.remove(&number);
        }
    }

    /// A process has ended: reads what it printed last. A process that still holds its pipes may go on printing.
    pub(super) fn ended(&mut self, pid: i32, buffer: &mut [u8], journal: &mut Journal) {
        self.pipes.retain(|_, pipe| {
            if pipe.pid != pid {
                return true;
            }
            pipe.orphan = true;
            // At most what a pipe holds, because another holder may go on writing without end.
            pipe.read(buffer, journal) != Read::End && pipe.read(buffer, journal) != Read::End
        });
        let orphans: Vec<u64> =
            self.pipes.iter().filter(|(_, pipe)| pipe.orphan).map(|(number, _)| *number).collect();
        for number in orphans.iter().take(orphans.len().saturating_sub(ORPHANS_MAX)) {
            self.pipes.remove(number);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    End,
}

impl Pipe {
    fn read(&mut self, buffer: &mut [u8], journal: &mut Journal) -> Read {
        match read(&self.fd, buffer) {
            Ok(0) => {
                journal.take(&self.source, |line| self.lines.finish(line));
                Read::End
            }
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                journal.take(&self.source, |line| self.lines.push(bytes, line));
                Read::Some
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
            Err(_) => Read::End,
        }
    }
}
