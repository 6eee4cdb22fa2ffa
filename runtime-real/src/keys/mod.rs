//! Keys on disk in Habitat's text format, the folder that they are kept in, and the cryptography that uses them.
//! Decides nothing about which key is trusted for what.
//!
//! `crypto` alone knows the library; `file` reads and writes one key, `rights` looks at a file's mode, `cache` is the
//! folder, `owners` knows whose keys there are: origins, users, service groups and rings; `ring` finds the one that a
//! program is told to use, and `held` are those that it has in its memory.
//!
//! A key file has four lines: the kind, the key's name and revision, an empty line, the bytes in base64 (as in
//! Habitat). A revision is the second in which the key was made. A name may have many revisions, and a signature of an
//! older one stays valid while its public key is in the cache.

mod cache;
pub mod crypto;
mod file;
mod held;
mod owners;
mod rights;
mod ring;
mod sealed;
mod signed_box;

pub use cache::{Imported, KeyCache};
pub use file::{FILE_BYTES_MAX, KeyFile, KeyId, KeyKind};
pub use held::{HeldKey, HeldKeys, OpenedWith};
pub use ring::{RingError, RingKey};
pub use sealed::{Made, Opened, Purpose, SealError};

use std::path::PathBuf;

use annulus_core::ServiceGroup;

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
    /// A name for a ring is malformed.
    #[error(
        "{text:?} cannot name a ring: use letters, digits, '-' and '_', begin with a letter or digit, at most 128 of them, and do not \
         end in a dash and 14 digits, which is how a key's revision is named"
    )]
    RingName {
        /// The text that was given.
        text: String,
    },
    /// A file is not a key file.
    #[error("{path} is no key file: {reason}; bring the key again from where it was made")]
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
    /// A key of this second was made already.
    #[error("key file {path} was made in this second: wait for the next one")]
    SameSecond {
        /// The file.
        path: PathBuf,
    },
    /// A file holds a key of another kind.
    #[error("{path} holds {} ({}), and {} ({}) is wanted here", .is.words(), .is.tag(), .wanted.words(), .wanted.tag())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The kind that line 1 names.
        is: KeyKind,
        /// The kind that is wanted.
        wanted: KeyKind,
    },
    /// Two halves have one name and are no pair.
    #[error(
        "key file {path} does not belong to {other}, which has the same name and revision: one of them came from elsewhere; \
         move the wrong one away"
    )]
    Pair {
        /// The file.
        path: PathBuf,
        /// Its other half.
        other: PathBuf,
    },
    /// Other users may read a secret key, or change a public one.
    #[error(
        "key file {path} has mode {mode:03o}, so that other users can {}; run `chmod {right:03o} {path}`",
        if .kind.is_secret() { "read or change it" } else { "put another key in its place" }
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Those that it should have.
        right: u32,
        /// What it is.
        kind: KeyKind,
    },
    /// This host's clock gives a new key no useful revision.
    #[error("no key is made, because this host's clock says {now}{}; set the clock", behind(.newest))]
    Clock {
        /// The time of this host.
        now: String,
        /// The newest key of that name, where it lies ahead.
        newest: Option<KeyId>,
    },
    /// The origin has removed one of its keys.
    #[error(
        "key {id} counts no more: its origin's list of keys named it once, and does not any more ({path} says so); ask the owner of \
         the origin for a package that another key has signed"
    )]
    Removed {
        /// The key.
        id: KeyId,
        /// Where that is written down.
        path: PathBuf,
    },
    /// A service group without organization has no key.
    #[error("the key of {group} needs an organization: name it after the group, or write {group}@ORG")]
    NoOrg {
        /// The group.
        group: ServiceGroup,
    },
    /// The cache does not hold the key.
    #[error(
        "key {id} is not in {dir} of {}: copy the file {file} from {} to {dir}/{file} there", host(), home(.kind)
    )]
    Missing {
        /// The key.
        id: KeyId,
        /// What it is.
        kind: KeyKind,
        /// The cache.
        dir: PathBuf,
        /// The name of the missing file.
        file: String,
    },
    /// The cache holds no key of this owner.
    #[error("there is no {name}-*.{} in {dir}, {}: {}", .kind.suffix(), .kind.words(), ways(name, *.kind))]
    NoKey {
        /// The owner.
        name: String,
        /// What is missing.
        kind: KeyKind,
        /// The cache.
        dir: PathBuf,
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

fn behind(newest: &Option<KeyId>) -> String {
    newest.as_ref().map_or_else(String::new, |newest| {
        format!(
            ", before the newest key {newest}: a key made now would not count (or move that key's files away)"
        )
    })
}

/// What this host calls itself: its members tell each other what they lack.
fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.map_or_else(|| "this host".to_owned(), |name| format!("host {name}"))
}

/// The host that has a key.
fn home(kind: &KeyKind) -> &'static str {
    match kind {
        KeyKind::SigPublic | KeyKind::SigSecret => "the host where the package was made",
        KeyKind::BoxPublic | KeyKind::BoxSecret => "the host where it was made",
        KeyKind::Shared => "a host of the ring",
    }
}

/// The commands that bring a key into the cache.
fn ways(name: &str, kind: KeyKind) -> String {
    match kind {
        KeyKind::Shared => format!(
            "`annulus ring key generate {name}` makes the first one; on a host that has it, `annulus ring key export {name}` \
             prints it for `annulus ring key import` here"
        ),
        KeyKind::SigPublic | KeyKind::SigSecret => format!(
            "`annulus origin key generate {name}` makes a pair; on a host that has it, `annulus origin key export {name}` \
             prints it for `annulus origin key import` here"
        ),
        KeyKind::BoxPublic | KeyKind::BoxSecret => match name.split_once('@') {
            Some((group, org)) => format!("`annulus svc key generate {group} {org}` makes a pair"),
            None => format!("`annulus user key generate {name}` makes a pair"),
        },
    }
}

#[cfg(test)]
mod tests;
