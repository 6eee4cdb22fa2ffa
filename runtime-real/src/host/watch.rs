//! Learns from the system that something in a directory changed. Does not say what: its user reads the directory.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

/// Watches the entries of one directory, not what is below them.
#[derive(Debug)]
pub(crate) struct DirWatch {
    fd: AsyncFd<OwnedFd>,
}

impl DirWatch {
    /// Watches `dir`; none where the system has no watches, or none left. Must be called inside a runtime.
    #[must_use]
    pub(crate) fn new(dir: &Path) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE;
        inotify.add_watch(dir, what).ok()?;
        let fd = OwnedFd::from(inotify);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this descriptor is owned and never given away"
        )]
        AsyncFd::new(fd).ok().map(|fd| Self { fd })
    }

    /// Waits until something changes. Safe to drop and call again.
    pub(crate) async fn changed(&mut self) {
        let mut buffer = [0_u8; 4096];
        let Ok(mut ready) = self.fd.readable().await else { return std::future::pending().await };
        // The kernel's messages are dropped unread, because the caller looks at the whole directory.
        while nix::unistd::read(ready.get_inner(), &mut buffer).is_ok_and(|bytes| bytes > 0) {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_new_file_is_noticed_and_silence_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut watch = DirWatch::new(dir.path()).expect("inotify");
        assert!(timeout(Duration::from_millis(20), watch.changed()).await.is_err());
        std::fs::write(dir.path().join("a"), "x").expect("written");
        watch.changed().await;
        std::fs::remove_file(dir.path().join("a")).expect("removed");
        watch.changed().await;
    }
}
