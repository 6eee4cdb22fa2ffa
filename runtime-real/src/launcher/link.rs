//! The launcher's end of the connection to its supervisor: the listening socket and the one connection. Admits only
//! the supervisor's own process, and never waits for it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt};

use super::frame::{FrameError, LENGTH_BYTES, next_frame};
use super::message::{Message, Request};
use super::rights;
use super::version::hello_of_version_1;
use crate::host::socket;

/// Bytes that are read in one turn.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of answers that may wait for a supervisor which does not read them; beyond this it is cut off.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Descriptors that may have come before the request that they belong to.
const RECEIVED_FDS_MAX: usize = 64;

/// The listener, and the one supervisor that is connected.
#[derive(Debug)]
pub(super) struct Link {
    listener: Option<UnixListener>,
    path: PathBuf,
    peer: Option<Peer>,
}

#[derive(Debug)]
struct Peer {
    stream: UnixStream,
    /// The version of the messages that was agreed upon; none before the greeting.
    version: Option<u32>,
    input: Vec<u8>,
    /// Descriptors that came, in the order of the requests that they belong to.
    fds: VecDeque<OwnedFd>,
    output: VecDeque<Part>,
}

/// Bytes that wait to be sent, and the descriptors that go with the first of them.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// A frame that a supervisor sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A request with its id.
    Request(u64, Request),
    /// A request of a kind that this launcher does not know.
    Unknown(u64),
    /// The greeting of a supervisor that speaks version 1.
    HelloOfVersion1(u64),
}

impl Link {
    /// Listens at `path`, in place of an older socket there:
    /// this launcher holds the lock, so no other process listens.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = socket::listen(path)?;
        Ok(Self { listener: Some(listener), path: path.to_owned(), peer: None })
    }

    /// A link whose supervisor is connected already.
    #[cfg(test)]
    pub(super) fn connected(stream: UnixStream) -> io::Result<Self> {
        let mut link = Self { listener: None, path: PathBuf::new(), peer: None };
        link.connect(stream)?;
        Ok(link)
    }

    fn connect(&mut self, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.peer = Some(Peer {
            stream,
            version: None,
            input: Vec::new(),
            fds: VecDeque::new(),
            output: VecDeque::new(),
        });
        Ok(())
    }

    /// The descriptors that the loop has to watch: the listener and the connection.
    pub(super) fn wanted(&self) -> (Option<BorrowedFd<'_>>, Option<(BorrowedFd<'_>, PollFlags)>) {
        let peer = self.peer.as_ref().map(|peer| {
            let writes = if peer.output.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            (peer.stream.as_fd(), PollFlags::POLLIN | writes)
        });
        (self.listener.as_ref().map(|listener| listener.as_fd()), peer)
    }

    /// Whether a supervisor is connected.
    pub(super) fn is_open(&self) -> bool {
        self.peer.is_some()
    }

    /// Accepts a connection of the process `supervisor` and of no other.
    ///
    /// # Errors
    /// Names the process that was refused, or passes on the system's error.
    pub(super) fn accept(&mut self, supervisor: Option<i32>) -> Result<(), String> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("the supervisor's socket gives no connection: {error}")),
        };
        let pid = getsockopt(&stream, sockopt::PeerCredentials).map(|peer| peer.pid()).ok();
        if pid.is_none() || pid != supervisor {
            let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
            return Err(format!(
                "{who} connected to the launcher's socket and is no supervisor of it: refused"
            ));
        }
        self.connect(stream).map_err(|error| error.to_string())
    }

    /// The requests that have come. The connection is closed when it ended or bytes came that are no request.
    pub(super) fn requests(&mut self, buffer: &mut [u8]) -> (Vec<Received>, Option<String>) {
        let mut requests = Vec::new();
        let Some(peer) = &mut self.peer else { return (requests, None) };
        let end = peer.read(buffer, &mut requests);
        if end.is_some() {
            self.peer = None;
        }
        (requests, end.flatten())
    }

    /// Sends a message and the descriptors that belong to it; does nothing while no supervisor is connected.
    ///
    /// # Errors
    /// The message is longer than any may be.
    pub(super) fn send(&mut self, message: &Message, fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        if let Some(peer) = &mut self.peer {
            peer.push(&message.encode()?, fds);
        }
        Ok(())
    }

    /// The next two descriptors that came with requests.
    pub(super) fn take_fds(&mut self) -> Option<[OwnedFd; 2]> {
        let fds = &mut self.peer.as_mut()?.fds;
        Some([fds.pop_front()?, fds.pop_front()?])
    }

    /// The version that was agreed upon with the supervisor that is connected.
    pub(super) fn version(&self) -> Option<u32> {
        self.peer.as_ref().and_then(|peer| peer.version)
    }

    /// Has the connection speak this version from now on.
    pub(super) fn agree(&mut self, version: u32) {
        if let Some(peer) = &mut self.peer {
            peer.version = Some(version);
        }
    }

    /// Sends these bytes as the last, and closes the connection.
    pub(super) fn close_with(&mut self, last: &[u8]) {
        if let Some(peer) = &mut self.peer {
            peer.push(last, Vec::new());
        }
        self.flush();
        self.hang_up();
    }

    /// Writes as much of the waiting answers as the socket takes without delay.
    pub(super) fn flush(&mut self) {
        if self.peer.as_mut().is_some_and(|peer| !peer.flush()) {
            self.peer = None;
        }
    }

    /// Closes the connection of a supervisor that has ended.
    pub(super) fn hang_up(&mut self) {
        self.peer = None;
    }
}

impl Peer {
    fn push(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) {
        match self.output.back_mut().filter(|_| fds.is_empty()) {
            Some(part) => part.bytes.extend_from_slice(bytes),
            None => self.output.push_back(Part { bytes: bytes.to_vec(), fds }),
        }
    }

    /// Reads once. Some when the connection is over, with the reason if that is not simply its end.
    fn read(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> Option<Option<String>> {
        let buffer = buffer.get_mut(..READ_BYTES)?;
        match rights::receive(&self.stream, buffer, &mut self.fds) {
            // A supervisor that was killed has left answers unread.
            Ok(0) | Err(Errno::ECONNRESET) => return Some(None),
            Ok(count) => self.input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Some(Some(error.to_string())),
        }
        if self.fds.len() > RECEIVED_FDS_MAX {
            return Some(Some("descriptors that belong to no request".to_owned()));
        }
        let mut at = 0;
        let end = loop {
            match next_frame(self.input.get(at..).unwrap_or_default()) {
                Ok(Some(frame)) => {
                    at += LENGTH_BYTES + frame.len();
                    match self.decode(frame) {
                        Ok(what) => received.push(what),
                        Err(error) => break Some(Some(error.to_string())),
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(Some(error.to_string())),
            }
        };
        self.input.drain(..at);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        end
    }

    fn decode(&self, frame: &[u8]) -> Result<Received, FrameError> {
        if let Some(id) = hello_of_version_1(frame).filter(|_| self.version.is_none()) {
            return Ok(Received::HelloOfVersion1(id));
        }
        Ok(match Request::decode(frame)? {
            (id, Some(request)) => Received::Request(id, request),
            (id, None) => Received::Unknown(id),
        })
    }

    fn flush(&mut self) -> bool {
        while let Some(part) = self.output.front_mut() {
            match rights::send(&self.stream, &part.bytes, &part.fds) {
                Ok(count) => {
                    part.bytes.drain(..count);
                    part.fds.clear();
                    if part.bytes.is_empty() {
                        self.output.pop_front();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let waiting: usize = self.output.iter().map(|part| part.bytes.len()).sum();
                    return waiting <= WAITING_BYTES_MAX;
                }
                Err(_) => return false,
            }
        }
        true
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.listener.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::message::Answer;

    #[test]
    fn a_supervisor_that_was_killed_with_answers_unread_is_simply_gone() {
        let (own, other) = UnixStream::pair().expect("a pair");
        let mut link = Link::connected(own).expect("a link");
        link.send(&Message::Answer { id: 1, answer: Answer::Done }, Vec::new()).expect("queued");
        link.flush();
        drop(other);
        let (requests, closed) = link.requests(&mut [0; READ_BYTES]);
        assert!(requests.is_empty() && closed.is_none(), "{closed:?}");
        assert!(!link.is_open());
    }
}
