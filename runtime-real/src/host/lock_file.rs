//! Opens the files that processes of this program lock against each other. A lock on a file can be taken by every process
//! that may open it, for reading too; so these are files of their own, which no other user may open: with a lock on a
//! directory or on a file that all may read, any process of this host could keep the supervisor out.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::libc::O_NOFOLLOW;
use nix::unistd::geteuid;

const MODE: u32 = 0o600;

/// Opens a lock file, which is made when there is none. Takes no lock.
///
/// # Errors
/// The disk or the rights of its folder refuse, or a link stands there.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(O_NOFOLLOW);
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 != 0 {
        // An earlier version let all read it.
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// As [`open`], with its folder, which is made when there is none.
///
/// # Errors
/// As [`open`], and when the folder cannot be made.
pub fn open_in_folder(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_user_can_open_a_lock_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("LOCK");
        let mode = || std::fs::metadata(&path).expect("there").mode() & 0o777;
        drop(open(&path).expect("made"));
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
        std::fs::write(&path, "7").expect("written");
        drop(open(&path).expect("opened"));
        assert_eq!(mode(), 0o600, "that of an earlier version too");
        assert_eq!(std::fs::read(&path).expect("read"), b"7", "what it says stays");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(open(&link).is_err(), "a link is not followed");
    }
}
