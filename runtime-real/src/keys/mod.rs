//! Keys on disk in Habitat's text format, the folder that they are kept in, and the cryptography that uses them.
//! Decides nothing about which key is trusted for what.
//!
//! `crypto` alone knows the library; `file` reads and writes one key, `cache` is the folder.
//!
//! A key file has four lines: the kind, the key's name and revision, an empty line, the bytes in base64 (as in
//! Habitat). A revision is the second in which the key was made. A name may have many revisions, and a signature of an
//! older one stays valid while its public key is in the cache.

mod cache;
pub mod crypto;
mod file;

pub use cache::KeyCache;
pub use file::{KeyFile, KeyId, KeyKind};

use std::path::PathBuf;

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name of a key or of its revision is malformed.
    #[error(
        "{text:?} names no key: it has to be a name, a dash and 14 digits of UTC time, as in acme-20260101120000"
    )]
    Id {
        /// The text that was given.
        text: String,
    },
    /// A name for a new key is malformed.
    #[error("{text:?} cannot name a key: use letters, digits, '-' and '_', and begin with a letter or digit")]
    Name {
        /// The text that was given.
        text: String,
    },
    /// A file is not a key file.
    #[error("key file {path}: {reason}; put the original file back, or remove it and import the key again")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason, in words.
        reason: &'static str,
    },
    /// The cache holds another key under the same name and revision.
    #[error(
        "key file {path} exists with other content and is not overwritten; move it away if the new key is right"
    )]
    Conflict {
        /// The file.
        path: PathBuf,
    },
    /// The cache does not hold the key.
    #[error("key {id} is not in {dir}: copy the file {file} there from the host where the package was made")]
    Missing {
        /// The key.
        id: KeyId,
        /// The cache.
        dir: PathBuf,
        /// The name of the missing file.
        file: String,
    },
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
