//! The way into the ctl gateway from its own host: a socket in the supervisor's directory, for the supervisor's user and
//! root alone. Asks for no secret.
//!
//! Who may open the socket is decided twice, by the kernel each time: its mode is 0600, and the user of the process at the
//! other end is looked at when it connects, so that neither a changed mode nor a connection that was handed on lets another
//! user in. The secret would prove nothing more: it lies beside the socket, in a file of the same owner and mode.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use crate::gateway::arrivals::{Arrivals, Peer};
use crate::gateway::door::is_operator;
use crate::host::disk;
use crate::host::socket::{self, Found};

/// Why the socket cannot be used.
#[derive(Debug, Error)]
pub enum LocalError {
    /// Another process listens.
    #[error(
        "ctl socket {path}: another process listens there already; end it (`fuser {path}` names it), or choose another \
         --override-name"
    )]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The name belongs to something else.
    #[error("ctl socket {path}: {kind} stands there and is left alone; remove it, and start again")]
    NoSocket {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The system refuses.
    #[error(
        "ctl socket {path}: {source}; {}",
        disk::advice(.source, "the supervisor needs a directory in which it may make sockets: choose another with --root")
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The listening socket; its name goes with it.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalListener {
    /// Listens at the path, in place of a socket at which no process listens any more.
    ///
    /// # Errors
    /// See [`LocalError`]. What stands there is left alone then.
    pub fn bind(path: &Path) -> Result<Self, LocalError> {
        let io = |source| LocalError::Io { path: path.to_owned(), source };
        match socket::look(path).map_err(io)? {
            Found::Nothing => {}
            // It was left by a supervisor that was killed: this one holds the lock.
            Found::Stale => fs::remove_file(path).map_err(io)?,
            Found::Live => return Err(LocalError::Taken { path: path.to_owned() }),
            Found::Other(kind) => return Err(LocalError::NoSocket { path: path.to_owned(), kind }),
        }
        let listener = socket::listen(path).and_then(UnixListener::from_std).map_err(io)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Arrivals for LocalListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let from = stream.peer_cred()?;
        Ok((stream, Peer::Process { uid: from.uid(), pid: from.pid() }))
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a user may give this supervisor commands: its own, and root, who may do everything to it anyway.
pub(super) fn may_command(uid: u32) -> bool {
    is_operator(uid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener as Other;

    use nix::unistd::geteuid;

    use super::*;

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ctl.sock");
        let first = LocalListener::bind(&path).expect("free");
        let taken = LocalListener::bind(&path).expect_err("another supervisor has it");
        assert!(matches!(taken, LocalError::Taken { .. }), "{taken}");
        drop(first);
        assert!(!path.exists(), "its name went with it");
        drop(Other::bind(&path).expect("a socket"));
        assert!(path.exists(), "left by a process that was killed");
        drop(LocalListener::bind(&path).expect("what is dead is replaced"));

        let elsewhere = dir.path().join("elsewhere");
        drop(Other::bind(&elsewhere).expect("a socket"));
        symlink(&elsewhere, &path).expect("linked");
        let link = LocalListener::bind(&path).expect_err("a link").to_string();
        assert!(link.contains("symbolic link") && link.contains("remove it"), "{link}");
        assert!(elsewhere.exists() && path.is_symlink(), "nothing was removed");
    }

    #[test]
    fn only_its_own_user_and_root_may_command() {
        let own = geteuid().as_raw();
        assert!(may_command(own) && may_command(0));
        assert!(!may_command(own + 1));
    }
}
