//! Sends and receives bytes together with descriptors, over a socket of this host. Never waits.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::sys::{self, FDS_MAX};

/// Sends bytes, and these descriptors with the first of them; returns how many bytes were taken.
///
/// # Errors
/// The other end is gone, or has no room now.
pub(super) fn send<Fd: AsFd>(socket: impl AsFd, bytes: &[u8], fds: &[Fd]) -> Result<usize, Errno> {
    assert!(fds.len() <= FDS_MAX, "a receiver has room for no more");
    let fds: Vec<RawFd> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None)
}

/// Receives bytes, and appends the descriptors that came with them; 0 at the end.
///
/// # Errors
/// The connection is broken, or nothing is there now.
pub(super) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    received: &mut VecDeque<OwnedFd>,
) -> Result<usize, Errno> {
    let mut fds = [const { None }; FDS_MAX];
    let count = sys::receive(socket, buffer, &mut fds)?;
    received.extend(fds.into_iter().flatten());
    Ok(count)
}
