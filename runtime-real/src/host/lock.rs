//! Lets one supervisor run per root and name: a locked file that holds its pid. The lock counts, and never the text of
//! the file.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::MemberId;
use thiserror::Error;

use crate::host::root::SupDir;
use crate::host::{disk, lock_file, small_file};

/// The lock is tried so often …
const LOCK_TRIES: u32 = 10;
/// … with this pause between two tries.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// A longer file is of another program.
const PID_BYTES_MAX: u64 = 64;

/// Why a supervisor may not start here.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another supervisor runs.
    #[error(
        "a supervisor runs here already: process {pid} holds {}; stop it with `annulus sup term`, \
         or choose another --root or --override-name", .path.display()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The text of the file.
        pid: String,
    },
    /// The directory or the lock file cannot be used.
    #[error(
        "{}: {source}; {}", .path.display(),
        disk::advice(
            .source,
            "this supervisor needs a directory that it may write to: choose another with --root, or correct its owner"
        )
    )]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Held while a supervisor runs; the system releases it when the process ends in any way.
#[derive(Debug)]
pub struct SupLock {
    file: File,
}

impl SupLock {
    /// Makes the supervisor's directory and takes its lock.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(dir: &SupDir) -> Result<Self, LockError> {
        let path = dir.lock();
        fs::create_dir_all(dir.path()).map_err(|source| unusable(dir.path(), source))?;
        let mut file = lock_file::open(&path).map_err(|source| unusable(&path, source))?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: holder(&mut file), path }),
            Err(TryLockError::Error(source)) => return Err(unusable(&path, source)),
        }
        // What a crashed supervisor left in the file is overwritten.
        let pid = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(pid.as_bytes()))
            .map_err(|source| unusable(&path, source))?;
        Ok(Self { file })
    }
}

impl Drop for SupLock {
    fn drop(&mut self) {
        // A process that is being started has a copy of the descriptor until it executes its program: closing is not enough.
        let _ = self.file.unlock();
    }
}

/// Tries several times: a command that asks who holds the lock takes it for a moment, which must not keep a supervisor
/// from starting.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY),
            result => return result,
        }
    }
    file.try_lock()
}

/// The pid in the lock file of a supervisor that runs; none when no supervisor runs.
///
/// # Errors
/// The file cannot be read.
pub fn held_by(dir: &SupDir) -> io::Result<Option<String>> {
    let mut file = match small_file::open(&dir.lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return lives(dir),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Some(text))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The same for another user, who may not open the lock: the process that the supervisor wrote down, while one of the
/// file's owner has that number.
fn lives(dir: &SupDir) -> io::Result<Option<String>> {
    let file = match small_file::open(&dir.pid_file()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let owner = file.metadata()?.uid();
    let text = io::read_to_string(file.take(PID_BYTES_MAX))?;
    let Ok(pid) = text.trim().parse::<u32>() else { return Ok(None) };
    let process = fs::metadata(format!("/proc/{pid}"));
    Ok(process.is_ok_and(|process| process.uid() == owner).then_some(text))
}

fn unusable(path: &Path, source: io::Error) -> LockError {
    LockError::Unusable { path: path.to_owned(), source }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Writes the member's id for people and scripts. Annulus never reads it back.
///
/// # Errors
/// The file cannot be written.
pub fn write_member_id(dir: &SupDir, member: MemberId) -> Result<(), LockError> {
    let path = dir.path().join("MEMBER_ID");
    fs::write(&path, format!("{member}\n")).map_err(|source| unusable(&path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::root::Root;

    #[test]
    fn the_second_supervisor_learns_who_holds_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("a root");
        let first = SupLock::acquire(&root.sup("default")).expect("free");
        let error = SupLock::acquire(&root.sup("default")).expect_err("held");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        SupLock::acquire(&root.sup("other")).expect("another name is free");
        assert_eq!(
            held_by(&root.sup("default")).expect("readable"),
            Some(format!("{}\n", std::process::id()))
        );
        drop(first);
        assert_eq!(held_by(&root.sup("default")).expect("readable"), None);
        assert_eq!(held_by(&root.sup("never")).expect("readable"), None);
        fs::write(root.sup("default").lock(), "999999999999 stale").expect("written");
        SupLock::acquire(&root.sup("default")).expect("stale contents do not count");
    }

    #[test]
    fn a_root_that_is_a_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let error =
            SupLock::acquire(&Root::new(&file).expect("a path").sup("default")).expect_err("unusable");
        assert!(matches!(&error, LockError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("--root"), "{error}");
    }
}
