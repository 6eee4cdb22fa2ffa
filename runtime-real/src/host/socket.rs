//! Sockets with a name in the file system: closed to other users from their first moment on, and at any length of path.
//! Removes no file: what stands at a name is its owner's to judge.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::{Mode, umask};

/// Longest path that can be a socket's name, in bytes; a socket at a longer path is reached through its directory.
const SOCKET_NAME_BYTES_MAX: usize = 100;

/// A path to a socket that is short enough to be its name. The returned file has to stay open while the path is used.
///
/// # Errors
/// The directory cannot be opened.
pub fn socket_path(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= SOCKET_NAME_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let dir = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let short =
        format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), path.file_name().unwrap_or_default().display());
    Ok((short.into(), Some(dir)))
}

/// Listens at a name that is free, for this user alone.
///
/// # Errors
/// The system's; `AddrInUse` when something has the name, a link too.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (short, _dir) = socket_path(path)?;
    // The socket must be closed to other users from its first moment on; a change of its mode would come too late.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(short);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What stands at a name where a socket is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A socket at which no process listens any more.
    Stale,
    /// A socket at which a process listens.
    Live,
    /// A file of this kind.
    Other(&'static str),
}

/// The kind of what stands at a name, in words; none for a socket. Follows no link.
///
/// # Errors
/// It is not there or cannot be looked at.
pub fn kind(path: &Path) -> io::Result<Option<&'static str>> {
    let kind = std::fs::symlink_metadata(path)?.file_type();
    Ok(match () {
        () if kind.is_socket() => None,
        () if kind.is_symlink() => Some("a symbolic link"),
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a pipe"),
        () => Some("a file"),
    })
}

/// Looks at a name without following a link that stands there.
///
/// # Errors
/// It cannot be looked at.
pub fn look(path: &Path) -> io::Result<Found> {
    match kind(path) {
        Ok(None) => {}
        Ok(Some(kind)) => return Ok(Found::Other(kind)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    let (short, _dir) = socket_path(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(probe.as_raw_fd(), &UnixAddr::new(&short)?) {
        // One whose queue is full has a process behind it, which may hang.
        Ok(()) | Err(Errno::EAGAIN | Errno::EINPROGRESS) => Ok(Found::Live),
        Err(Errno::ECONNREFUSED) => Ok(Found::Stale),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_stands_at_a_name_is_told_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        assert_eq!(look(&at("s")).expect("looked"), Found::Nothing);
        let listener = listen(&at("s")).expect("a socket");
        assert_eq!(fs::metadata(at("s")).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(look(&at("s")).expect("looked"), Found::Live);
        symlink("s", at("link")).expect("linked");
        assert_eq!(look(&at("link")).expect("looked"), Found::Other("a symbolic link"));
        drop(listener);
        assert_eq!(look(&at("s")).expect("looked"), Found::Stale);
        symlink("nowhere", at("dangling")).expect("linked");
        for taken in ["s", "link", "dangling"] {
            assert_eq!(listen(&at(taken)).expect_err(taken).kind(), io::ErrorKind::AddrInUse, "{taken}");
        }
        assert!(!at("nowhere").exists(), "a link was not followed");
    }

    #[test]
    fn a_long_path_is_reached_through_its_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let long = dir.path().join("d".repeat(120));
        fs::create_dir(&long).expect("made");
        let _listener = listen(&long.join("s")).expect("a socket");
        assert_eq!(look(&long.join("s")).expect("looked"), Found::Live);
    }
}
