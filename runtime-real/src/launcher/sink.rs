//! Shows lines on standard output or standard error. Never waits for the reader, and never grows without bound.
//!
//! A reader may stop reading. Lines then wait in a buffer of a fixed size; the sink counts those that find no room,
//! and reports the count as soon as there is room again. Services and the launcher go on in any case.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

use crate::host::{clock, terminal};

/// Bytes of lines that may wait.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a pipe takes without making the writer wait, once it can be written to.
const PIPE_BYTES: usize = 4 * 1024;

/// The ways to write without waiting.
#[derive(Debug)]
enum Way {
    /// A file description of this process alone, which does not wait.
    Own(File),
    /// A socket: each call says that it does not wait.
    Socket,
    /// A file, or a descriptor that could not be opened again:
    /// the system is asked before each write whether it has room.
    Shared,
    /// The reader is gone.
    Closed,
}

/// One place to show lines.
#[derive(Debug)]
pub(super) struct Sink {
    fd: OwnedFd,
    way: Way,
    waiting: VecDeque<u8>,
    lost: u64,
    /// Whether lines are JSON objects.
    json: bool,
    has_colours: bool,
}

impl Sink {
    /// Shows lines on `fd`, which other processes may share.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub(super) fn new(fd: BorrowedFd<'_>, json: bool) -> io::Result<Self> {
        let fd = fd.try_clone_to_owned()?;
        let kind = File::from(fd.try_clone()?).metadata()?.file_type();
        let way = if kind.is_socket() {
            Way::Socket
        } else if kind.is_fifo() || kind.is_char_device() {
            // The flag belongs to the file description, which other processes hold too: setting it there would
            // surprise them.
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
            options.open(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_or(Way::Shared, Way::Own)
        } else {
            Way::Shared
        };
        let has_colours = terminal::has_colours(&fd);
        Ok(Self { fd, way, waiting: VecDeque::new(), lost: 0, json, has_colours })
    }

    /// Whether it is a terminal that shows colours.
    pub(super) fn has_colours(&self) -> bool {
        self.has_colours
    }

    /// Shows a line, whose end is part of it, now or later.
    pub(super) fn line(&mut self, line: &[u8]) {
        if matches!(self.way, Way::Closed) {
            return;
        }
        if self.waiting.len() + line.len() > WAITING_BYTES_MAX {
            self.flush();
        }
        if self.waiting.len() + line.len() > WAITING_BYTES_MAX || (self.lost > 0 && !self.waiting.is_empty())
        {
            self.lost += 1;
            return;
        }
        self.tell_lost();
        self.waiting.extend(line);
    }

    fn tell_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let text =
                format!("{lost} log lines were lost here, because their reader did not take them in time");
            let text = if self.json {
                format!("{{\"level\":\"WARN\",\"launcher\":true,\"lost\":{lost},\"message\":\"{text}\"}}\n")
            } else {
                format!("annulus: {text}\n")
            };
            self.waiting.extend(text.as_bytes());
        }
    }

    /// Writes as much of the waiting lines as the reader takes without delay.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let (head, _) = self.waiting.as_slices();
            let written = match &self.way {
                Way::Own(file) => nix::unistd::write(file, head),
                Way::Socket => {
                    send(self.fd.as_raw_fd(), head, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
                }
                Way::Shared if !writable(self.fd.as_fd()) => Err(Errno::EAGAIN),
                Way::Shared => nix::unistd::write(&self.fd, head.get(..PIPE_BYTES).unwrap_or(head)),
                Way::Closed => return self.waiting.clear(),
            };
            match written {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // The disk is full: trying again at once would spin.
                Err(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => return self.give_up(),
                Err(_) => self.way = Way::Closed,
            }
        }
        if self.lost > 0 {
            self.tell_lost();
            self.flush();
        }
        // Frees the memory that a burst took.
        self.waiting.shrink_to(PIPE_BYTES);
    }

    /// Drops the waiting lines, and counts them.
    fn give_up(&mut self) {
        self.lost += self.waiting.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.waiting.clear();
    }

    /// Writes the waiting lines, for at most so many milliseconds.
    pub(super) fn finish(&mut self, limit_ms: u16) {
        let end_ms = clock::boot_ms().saturating_add(limit_ms.into());
        loop {
            self.flush();
            let left_ms = end_ms.saturating_sub(clock::boot_ms());
            let Some(fd) = self.wanted().filter(|_| left_ms > 0) else { return };
            let timeout = PollTimeout::from(u16::try_from(left_ms).unwrap_or(limit_ms));
            let mut wanted = [PollFd::new(fd, PollFlags::POLLOUT)];
            if !matches!(poll(&mut wanted, timeout), Ok(1..)) {
                return;
            }
        }
    }

    /// The descriptor to watch while lines wait to be written.
    pub(super) fn wanted(&self) -> Option<BorrowedFd<'_>> {
        let fd = match &self.way {
            Way::Own(file) => file.as_fd(),
            Way::Socket | Way::Shared => self.fd.as_fd(),
            Way::Closed => return None,
        };
        (!self.waiting.is_empty()).then_some(fd)
    }
}

fn writable(fd: BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::new(fd, PollFlags::POLLOUT)];
    matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(1..))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn read_available(reader: &mut impl io::Read) -> String {
        let mut out = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            out.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(out).expect("text")
    }

    fn flood(sink: &mut Sink) -> usize {
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let lines = 20_000;
        for _ in 0..lines {
            sink.line(&line);
            assert!(sink.waiting.len() <= WAITING_BYTES_MAX + 200);
        }
        lines
    }

    fn check(mut sink: Sink, mut reader: impl io::Read) {
        let lines = flood(&mut sink);
        let mut text = String::new();
        while sink.wanted().is_some() {
            text += &read_available(&mut reader);
            sink.flush();
        }
        sink.line(b"after\n");
        sink.flush();
        text += &read_available(&mut reader);
        let shown = text.lines().filter(|line| line.starts_with("xxx")).count();
        let told: usize = text
            .lines()
            .filter_map(|line| line.strip_prefix("annulus: ")?.split(' ').next()?.parse::<usize>().ok())
            .sum();
        assert_eq!(shown + told, lines, "every line is shown or counted");
        assert!(shown > 0 && told > 0 && text.ends_with("after\n"));
    }

    #[test]
    fn an_unread_pipe_stops_no_writer() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let sink = Sink::new(writer.as_fd(), false).expect("a sink");
        assert!(matches!(sink.way, Way::Own(_)));
        let reader = File::from(OwnedFd::from(reader));
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(flags)).expect("set");
        check(sink, reader);
    }

    #[test]
    fn an_unread_socket_stops_no_writer() {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        reader.set_nonblocking(true).expect("set");
        let sink = Sink::new(writer.as_fd(), false).expect("a sink");
        assert!(matches!(sink.way, Way::Socket));
        check(sink, reader);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut sink = Sink::new(writer.as_fd(), false).expect("a sink");
        drop(reader);
        flood(&mut sink);
        sink.flush();
        assert!(sink.wanted().is_none());
    }

    #[test]
    fn a_file_is_shared_with_its_other_writers() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut sink = Sink::new(file.as_fd(), false).expect("a sink");
        file.write_all(b"first\n").expect("written");
        sink.line(b"second\n");
        sink.flush();
        file.write_all(b"third\n").expect("written");
        let mut text = String::new();
        file.reopen().expect("opened").read_to_string(&mut text).expect("read");
        assert_eq!(text, "first\nsecond\nthird\n");
    }
}
