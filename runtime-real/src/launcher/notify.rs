//! Passes on what the supervisor tells the service manager.
//!
//! The service manager hears its main process only (systemd's `NotifyAccess=main`), and that is the launcher. So the
//! supervisor gets a socket of the launcher's in place of the service manager's. The system says who sent each message:
//! services, hooks and other processes of the same user are not heard, and no message says more than a supervisor has
//! to say.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use nix::cmsg_space;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;

use crate::host::socket::socket_path;

/// Where the service manager listens.
pub(super) const SOCKET_ENV: &str = "NOTIFY_SOCKET";
/// Longest message that is passed on, in bytes: a status in a sentence and a few words.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// What a supervisor has to say. It names no other main process and hands over no descriptors.
const SAYINGS: [&str; 8] = [
    "READY=1",
    "STATUS=",
    "WATCHDOG=1",
    "RELOADING=1",
    "MONOTONIC_USEC=",
    "STOPPING=1",
    "EXTEND_TIMEOUT_USEC=",
    "ERRNO=",
];

/// The launcher between its supervisor and the service manager.
#[derive(Debug)]
pub(super) struct Relay {
    socket: UnixDatagram,
    manager: SocketAddr,
    /// The value of the supervisor's own [`SOCKET_ENV`].
    name: OsString,
    /// Keeps a name open that leads through this process's descriptors, because the path is too long.
    _dir: Option<File>,
}

impl Relay {
    /// Listens at `path`, in place of an older socket there, for what the service manager at `manager` is told.
    ///
    /// # Errors
    /// The error of the operating system, or a name of the service manager's that is none.
    pub(super) fn listen(path: &Path, manager: &str) -> io::Result<Self> {
        let manager = match manager.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(manager)?,
        };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, dir) = socket_path(path)?;
        let before = umask(Mode::from_bits_truncate(0o177));
        let socket = UnixDatagram::bind(&short);
        umask(before);
        let socket = socket?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, PassCred, &true)?;
        let name = match (&dir, path.file_name()) {
            (Some(dir), Some(file)) => {
                let mut name =
                    OsString::from(format!("/proc/{}/fd/{}/", std::process::id(), dir.as_raw_fd()));
                name.push(file);
                name
            }
            _ => path.into(),
        };
        Ok(Self { socket, manager, name, _dir: dir })
    }

    /// What the supervisor is given as the service manager's socket.
    pub(super) fn name(&self) -> &OsString {
        &self.name
    }

    pub(super) fn wanted(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Passes on what `supervisor` has said; what other processes said is dropped.
    pub(super) fn pass_on(&self, supervisor: Option<Pid>) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        while let Some((bytes, sender)) = self.receive(&mut buffer) {
            let told = buffer.get(..bytes).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(told) = told.filter(|_| sender.is_some() && sender == supervisor) {
                let lines: Vec<&str> = told.lines().filter(|line| is_a_supervisors(line)).collect();
                // A service manager that does not read must not stop the launcher; it is told again soon.
                let _ = self.socket.send_to_addr(lines.join("\n").as_bytes(), &self.manager);
            }
        }
    }

    /// One message's length, and the process that sent it as the system knows it.
    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, Option<Pid>)> {
        let mut space = cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
        let sender = message.cmsgs().ok().and_then(|mut control| {
            control.find_map(|message| match message {
                ControlMessageOwned::ScmCredentials(who) => Some(Pid::from_raw(who.pid())),
                _ => None,
            })
        });
        Some((message.bytes, sender))
    }
}

fn is_a_supervisors(line: &str) -> bool {
    SAYINGS
        .iter()
        .any(|saying| if saying.ends_with('=') { line.starts_with(saying) } else { line == *saying })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(dir: &Path) -> (UnixDatagram, Relay) {
        let manager = UnixDatagram::bind(dir.join("manager")).expect("bound");
        manager.set_nonblocking(true).expect("set");
        let at = dir.join("manager");
        (manager, Relay::listen(&dir.join("notify.sock"), at.to_str().expect("text")).expect("bound"))
    }

    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let bytes = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..bytes]).into_owned())
    }

    #[test]
    fn only_the_supervisor_is_passed_on_and_only_what_it_has_to_say() {
        let dir = tempfile::tempdir().expect("a folder");
        let (manager, relay) = relay(dir.path());
        let process = UnixDatagram::unbound().expect("a socket");
        process.connect(relay.name()).expect("it listens");
        let say = |text: &str| process.send(text.as_bytes()).expect("taken");
        say("READY=1\nMAINPID=1\nSTATUS=well\nFDSTORE=1\nREADY=10");
        relay.pass_on(Some(Pid::this()));
        assert_eq!(heard(&manager).as_deref(), Some("READY=1\nSTATUS=well"));
        // The same from a process that is not the supervisor, as a service is not.
        for other in [None, Some(Pid::parent())] {
            say("WATCHDOG=1");
            relay.pass_on(other);
            assert_eq!(heard(&manager), None);
        }
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_has_another_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("made");
        let manager = UnixDatagram::bind(dir.path().join("manager")).expect("bound");
        let at = dir.path().join("manager");
        let relay = Relay::listen(&deep.join("notify.sock"), at.to_str().expect("text")).expect("bound");
        let process = UnixDatagram::unbound().expect("a socket");
        process.connect(relay.name()).expect("it listens");
        process.send(b"STOPPING=1").expect("taken");
        relay.pass_on(Some(Pid::this()));
        assert_eq!(heard(&manager).as_deref(), Some("STOPPING=1"));
    }
}
