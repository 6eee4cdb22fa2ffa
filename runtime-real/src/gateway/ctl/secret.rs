//! The shared secret of the ctl gateway: 64 random bytes as base64 in a file of mode 0600 (as in Habitat). A secret is
//! never logged, and a file that others can read is refused.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::host::{disk, entropy, small_file};
use crate::keys::crypto;

/// Why there is no usable secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file could not be read or written.
    #[error("ctl secret {path}: {source}{}", hint(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other users can read the file.
    #[error(
        "ctl secret {path} has mode {mode:03o}, so that others can read or change it; run `chmod 600 {path}`"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no secret.
    #[error("ctl secret {path} is empty; delete it, and the next start writes a new one")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("no ctl secret can be made: {0}")]
    Entropy(#[from] entropy::EntropyError),
}

fn hint(source: &io::Error) -> String {
    match disk::advice(source, "") {
        "" => owner_hint(source).to_owned(),
        advice => format!("; {advice}"),
    }
}

fn owner_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; run this as the user that runs the supervisor, or give the secret in HAB_CTL_SECRET"
        }
        _ => "",
    }
}

/// A secret that logs never show.
#[derive(Clone)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// This text as a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A new one.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn generate() -> Result<Self, SecretError> {
        let bytes = [entropy::seed()?, entropy::seed()?].concat();
        Ok(Self(crypto::base64_encode(&bytes)))
    }

    /// Reads the secret in the file, and writes a new one first if there is no file.
    ///
    /// # Errors
    /// The file cannot be read or written, is empty, or is open to others.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { path: path.to_owned(), source };
        let secret = Self::generate()?;
        let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match created {
            Ok(mut file) => {
                file.write_all(secret.0.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
                Ok(secret)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(io(error)),
        }
    }

    /// Reads the secret in the file.
    ///
    /// # Errors
    /// The file is absent, unreadable, empty, or open to others.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Mode { path: path.to_owned(), mode });
        }
        let text = small_file::read_to_string(path).map_err(io)?;
        match text.trim() {
            "" => Err(SecretError::Empty { path: path.to_owned() }),
            secret => Ok(Self(secret.to_owned())),
        }
    }

    /// The text, for the wire.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this secret. The time it takes does not tell how much of the text is right.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("CTL_SECRET");
        let first = Secret::load_or_create(&path).expect("created");
        assert_eq!(first.reveal().len(), 88);
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
        let second = Secret::load_or_create(&path).expect("read");
        assert!(second.matches(first.reveal()));
        assert!(!second.matches("") && !second.matches(&first.reveal()[1..]));
        assert_eq!(format!("{first:?}"), "Secret(…)");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("CTL_SECRET");
        fs::write(&path, "x").expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        let error = Secret::load(&path).expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::write(&path, " \n").expect("write");
        assert!(matches!(Secret::load(&path), Err(SecretError::Empty { .. })));
    }
}
