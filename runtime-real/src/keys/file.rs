//! One key file: its text, its name, its kind. Reads and writes text, and touches no disk.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use annulus_core::UnixTime;

use super::KeyError;
use crate::host::timestamp;
use crate::keys::crypto;

/// Longest name of a key, in bytes, so that name, revision and suffix fit into a file name.
const NAME_BYTES_MAX: usize = 200;
/// Longest name of a ring: its members tell each other of it.
pub(super) const RING_NAME_BYTES_MAX: usize = annulus_core::limits::NAME_BYTES_MAX;
/// Largest key file, in bytes; the largest real one is below 500.
pub const FILE_BYTES_MAX: usize = 4096;

/// The purpose of a key, which decides the tag in its file's first line and the file's suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// An origin's public key: checks the signatures of its packages.
    SigPublic,
    /// An origin's secret key: signs packages.
    SigSecret,
    /// A user's or service's public key.
    BoxPublic,
    /// A user's or service's secret key.
    BoxSecret,
    /// A ring's shared key.
    Shared,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::SigPublic, Self::SigSecret, Self::BoxPublic, Self::BoxSecret, Self::Shared];

    /// The first line of its files.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::SigPublic => "SIG-PUB-1",
            Self::SigSecret => "SIG-SEC-1",
            Self::BoxPublic => "BOX-PUB-1",
            Self::BoxSecret => "BOX-SEC-1",
            Self::Shared => "SYM-SEC-1",
        }
    }

    /// The suffix of its files. Public keys of both sorts share one.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::SigPublic | Self::BoxPublic => "pub",
            Self::SigSecret => "sig.key",
            Self::BoxSecret => "box.key",
            Self::Shared => "sym.key",
        }
    }

    /// What such a key is, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::SigPublic => "the public key of an origin",
            Self::SigSecret => "the secret key of an origin",
            Self::BoxPublic => "the public key of a user or service group",
            Self::BoxSecret => "the secret key of a user or service group",
            Self::Shared => "the key of a ring",
        }
    }

    /// The other half of a pair; none for a key that has none.
    #[must_use]
    pub const fn partner(self) -> Option<Self> {
        match self {
            Self::SigPublic => Some(Self::SigSecret),
            Self::SigSecret => Some(Self::SigPublic),
            Self::BoxPublic => Some(Self::BoxSecret),
            Self::BoxSecret => Some(Self::BoxPublic),
            Self::Shared => None,
        }
    }

    /// Whether it has to be kept from others.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        !matches!(self, Self::SigPublic | Self::BoxPublic)
    }

    /// How many bytes the key has.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::SigSecret => 64,
            Self::SigPublic | Self::BoxPublic | Self::BoxSecret | Self::Shared => 32,
        }
    }

    /// The mode of its files (as in Habitat).
    #[must_use]
    pub const fn mode(self) -> u32 {
        match self {
            Self::SigPublic | Self::BoxPublic => 0o444,
            Self::SigSecret | Self::BoxSecret | Self::Shared => 0o400,
        }
    }
}

/// A key's name and revision, `name-YYYYMMDDHHMMSS`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    name: String,
    revision: String,
}

impl KeyId {
    /// The revision of `name` that is made at this time.
    ///
    /// # Errors
    /// The name cannot name a key.
    pub fn new(name: &str, made: UnixTime) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name { text: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), revision: timestamp::digits(made) })
    }

    /// The revision of the same name that follows this one; none after the last.
    pub(super) fn following(&self) -> Option<Self> {
        let revision = timestamp::following(&self.revision)?;
        Some(Self { name: self.name.clone(), revision })
    }

    /// Whether a text looks like a name with a revision, which names no owner.
    pub(super) fn looks_like_one(text: &str) -> bool {
        text.rsplit_once('-').is_some_and(|(_, revision)| timestamp::is_digits(revision))
    }

    /// The owner of the key: an origin, a user, a service group or a ring.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was made: 14 digits of UTC time.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(&self, kind: KeyKind) -> String {
        format!("{self}.{}", kind.suffix())
    }
}

/// A key's name becomes part of a path, so it may hold nothing that a path or a terminal would act on.
fn is_key_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(inner)
}

impl FromStr for KeyId {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Id { text: text.chars().take(NAME_BYTES_MAX).collect() };
        let (name, revision) = text.rsplit_once('-').ok_or_else(malformed)?;
        if !is_key_name(name) || !timestamp::is_time(revision) {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), revision: revision.to_owned() })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.revision)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key file's content.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The purpose of the key.
    pub kind: KeyKind,
    /// The owner of the key, and when it was made.
    pub id: KeyId,
    /// The key: `kind.key_bytes()` bytes.
    bytes: Vec<u8>,
}

impl KeyFile {
    /// A file of this key.
    ///
    /// # Panics
    /// The key has another length than its kind.
    #[must_use]
    pub fn new(kind: KeyKind, id: KeyId, bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), kind.key_bytes(), "a {} key has a fixed length", kind.tag());
        Self { kind, id, bytes: bytes.to_vec() }
    }

    /// The key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's text; its last line has no end of line.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n\n{}", self.kind.tag(), self.id, crypto::base64_encode(&self.bytes))
    }

    /// Reads a file's text; `path` is for messages.
    ///
    /// # Errors
    /// Says which line is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, KeyError> {
        let malformed = |reason| KeyError::Malformed { path: path.to_owned(), reason };
        if text.len() > FILE_BYTES_MAX {
            return Err(malformed("it is longer than any key"));
        }
        let mut lines = text.lines();
        let tag = lines.next().unwrap_or_default();
        let kind = KeyKind::ALL.into_iter().find(|kind| kind.tag() == tag);
        let kind = kind.ok_or_else(|| malformed("line 1 is none of the five kinds of key"))?;
        if text.trim_end() == tag {
            return Err(malformed("there is only line 1"));
        }
        let id = lines.next().unwrap_or_default().parse::<KeyId>();
        let id =
            id.map_err(|_| malformed("line 2 is not a name with a revision of 14 digits that are a time"))?;
        if kind == KeyKind::Shared && id.name().len() > RING_NAME_BYTES_MAX {
            return Err(malformed("line 2 names a ring, and its name is longer than 128 bytes"));
        }
        if lines.next() != Some("") {
            return Err(malformed("line 3 is not empty"));
        }
        let bytes = lines.next().and_then(|line| crypto::base64_decode(line.trim()));
        let bytes = bytes.ok_or_else(|| malformed("line 4 is not base64"))?;
        if bytes.len() != kind.key_bytes() {
            return Err(malformed("line 4 is not a key of the length that line 1 asks for"));
        }
        if lines.any(|line| !line.trim().is_empty()) {
            return Err(malformed("there is more than one key: the file goes on after line 4"));
        }
        let key = Self { kind, id, bytes };
        if kind == KeyKind::SigSecret && key.public_half().is_none() {
            return Err(malformed("line 4 is not a secret key followed by its public key"));
        }
        Ok(key)
    }

    /// The public key that belongs to this one; none for a key without a pair, and where the halves of a secret signing key
    /// do not belong together.
    pub(super) fn public_half(&self) -> Option<Vec<u8>> {
        match self.kind {
            KeyKind::SigPublic | KeyKind::BoxPublic => Some(self.bytes.clone()),
            KeyKind::SigSecret => {
                Some(crypto::SecretKey::from_bytes(&self.bytes)?.public().as_bytes().to_vec())
            }
            KeyKind::BoxSecret => {
                Some(crypto::BoxSecretKey::from_bytes(&self.bytes)?.public().as_bytes().to_vec())
            }
            KeyKind::Shared => None,
        }
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({} {})", self.kind.tag(), self.id)
    }
}
