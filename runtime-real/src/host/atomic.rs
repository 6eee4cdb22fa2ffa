//! Writes files so that after a crash at any moment each has either its old or its new content. Never leaves half of
//! a file under its own name.
//!
//! Content is written to a temporary file beside the target, brought to disk, then renamed or linked into place; the
//! directory is brought to disk as well. Modes are as asked for, independent of the umask. Only for directories in which
//! no other user may change anything; for others there is `beneath`.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// What the names of files begin with while they are written.
const STAGED_PREFIX: &str = ".new-";

/// Writes `path`, and replaces a file that was there.
///
/// # Errors
/// The directory is missing or not writable, or the disk is full; `path` is then as before.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    staged(path, content, mode)?.persist(path)?;
    sync_parent(path)
}

/// Writes `path` unless it exists, and says whether it did.
///
/// # Errors
/// As [`write()`].
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    match staged(path, content, mode)?.persist_noclobber(path) {
        Ok(_) => sync_parent(path).map(|()| true),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

/// Whether a file is one that was being written here, and is left over where the process has ended meanwhile.
#[must_use]
pub fn is_staged(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(STAGED_PREFIX.as_bytes()))
}

/// Brings a directory's entries to disk.
///
/// # Errors
/// It cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(parent(path)?)
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))
}

fn staged(path: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    // No scan of keys, hooks or packages looks for a name that begins with a dot.
    let mut file = tempfile::Builder::new().prefix(STAGED_PREFIX).tempfile_in(parent(path)?)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("the file").permissions().mode() & 0o7777
    }

    #[test]
    fn nothing_but_the_file_is_left() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        write(&path, b"one", 0o640).expect("written");
        write(&path, b"two", 0o600).expect("written again");
        assert_eq!(std::fs::read(&path).expect("the file"), b"two");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1);
        assert!(write(&dir.path().join("none/f"), b"", 0o600).is_err());
    }

    #[test]
    fn create_leaves_what_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        assert!(create(&path, b"one", 0o400).expect("created"));
        assert!(!create(&path, b"two", 0o400).expect("left alone"));
        assert_eq!(std::fs::read(&path).expect("the file"), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }
}
