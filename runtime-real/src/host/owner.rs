//! Lets one supervisor of a root run a service at a time: a locked file for each service's directory, which names the
//! owner. The lock counts, and never the text of the file.
//!
//! The launcher takes the lock before a file of the service is written, and each guard holds it too: it lasts as long as
//! any process of the service may live, also after the supervisor and the launcher have been killed.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::ServiceName;
use thiserror::Error;

use super::root::Root;
use super::{disk, lock_file};

/// A lock that a guard of this launcher still holds is tried so often …
const GUARD_TRIES: u32 = 100;
/// … with this pause between two tries.
const GUARD_RETRY: Duration = Duration::from_millis(2);
/// Longest text of a file that is read.
const TEXT_BYTES_MAX: u64 = 256;

/// Why a service's directory cannot be owned.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// Another supervisor of this root has it.
    #[error(
        "{service} belongs to another supervisor of this root, {by}: a service's directory has one owner at a time; unload \
         it there, or stop that supervisor"
    )]
    Held {
        /// The service.
        service: String,
        /// The owner, in words.
        by: Owner,
    },
    /// The file cannot be made or locked.
    #[error("{}: {source}; {}", .path.display(), disk::advice(.source, "the supervisor has to be able to write there"))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The supervisor that owns a service's directory, as the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name; empty where the file does not say.
    pub name: String,
    /// Its launcher; zero where the file does not say.
    pub launcher: u32,
}

impl Owner {
    /// Whether it is the launcher of this supervisor.
    #[must_use]
    pub fn is_own(&self) -> bool {
        i32::try_from(self.launcher).is_ok_and(|pid| pid == nix::unistd::getppid().as_raw())
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.as_str(), self.launcher) {
            ("", _) | (_, 0) => f.write_str("which did not write its name"),
            (name, launcher) => write!(f, "{name:?}, process {launcher}"),
        }
    }
}

/// Held while this launcher, or a guard of it, may have processes of a service.
#[derive(Debug)]
pub struct OwnerLock(File);

/// The folder of the files of all services below this folder of services. No service has such a name.
#[must_use]
pub fn folder(services: &Path) -> PathBuf {
    services.join(".owners")
}

impl OwnerLock {
    /// Takes the lock for the supervisor of this name, whose launcher is this process.
    ///
    /// # Errors
    /// See [`OwnerError`].
    pub fn acquire(folder: &Path, service: &str, name: &str) -> Result<Self, OwnerError> {
        let path = folder.join(service);
        let failed = |source| OwnerError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
        let mut file = lock_file::open(&path).map_err(failed)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let by = read(&mut file);
                    tries += 1;
                    // A guard of this launcher that is on its way out holds what the launcher has let go.
                    if by.launcher != std::process::id() || tries > GUARD_TRIES {
                        return Err(OwnerError::Held { service: service.to_owned(), by });
                    }
                    file.rewind().map_err(failed)?;
                    std::thread::sleep(GUARD_RETRY);
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        // On a full disk the file stays empty, and the lock counts all the same.
        let text = format!("{name} {}\n", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Self(file))
    }

    /// The same lock for a guard: it lasts until both have let it go.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone().map(OwnedFd::from)
    }
}

/// The supervisor that has this service now; none when none has.
#[must_use]
pub fn holder(root: &Root, service: &ServiceName) -> Option<Owner> {
    let services = root.svc(service).parent().map(folder)?;
    let mut file = fs::File::open(services.join(service.as_str())).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read(file: &mut File) -> Owner {
    let mut text = String::new();
    let _ = file.take(TEXT_BYTES_MAX).read_to_string(&mut text);
    let (name, launcher) = text.trim().rsplit_once(' ').unwrap_or_default();
    Owner { name: name.to_owned(), launcher: launcher.parse().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_one_owner_until_the_last_descriptor_is_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("a root");
        let web: ServiceName = "web".parse().expect("a name");
        let owners = folder(&dir.path().join("svc"));
        assert_eq!(holder(&root, &web), None, "no supervisor has ever had it");
        let first = OwnerLock::acquire(&owners, "web", "blue").expect("free");
        let error = OwnerLock::acquire(&owners, "web", "green").expect_err("held").to_string();
        let launcher = std::process::id();
        assert!(error.contains(&format!("\"blue\", process {launcher}")), "{error}");
        OwnerLock::acquire(&owners, "db", "green").expect("another service is free");
        let guard = first.share().expect("a descriptor");
        drop(first);
        assert_eq!(holder(&root, &web), Some(Owner { name: "blue".into(), launcher }), "its guard has it");
        drop(guard);
        // A process that another test is starting has a copy of each descriptor until it executes its program.
        let is_free = (0..GUARD_TRIES).any(|_| {
            holder(&root, &web).is_none() || {
                std::thread::sleep(GUARD_RETRY);
                false
            }
        });
        assert!(is_free, "{:?}", holder(&root, &web));
        OwnerLock::acquire(&owners, "web", "green").expect("what the file says does not count");
    }
}
