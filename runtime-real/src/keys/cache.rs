//! The folder that keys are kept in. Adds and reads keys, and never overwrites or removes one.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use annulus_core::{PackageIdent, UnixTime};
use nix::fcntl::{Flock, FlockArg};

use super::file::FILE_BYTES_MAX;
use super::{KeyError, KeyFile, KeyId, KeyKind};
use crate::host::atomic;
use crate::keys::crypto::{self, PublicKey, SecretKey};

/// The key cache, `<root>/cache/keys`.
#[derive(Clone, Debug)]
pub struct KeyCache {
    dir: PathBuf,
}

impl KeyCache {
    /// The cache in this folder, which is made when the first key is written.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores a key. A key that is there already with the same content is left as it is.
    ///
    /// # Errors
    /// The same name and revision is there with other content, which is never overwritten, or the disk refuses.
    pub fn store(&self, key: &KeyFile) -> Result<PathBuf, KeyError> {
        fs::create_dir_all(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let path = self.dir.join(key.id.file_name(key.kind));
        let text = key.to_text();
        let created = atomic::create(&path, text.as_bytes(), key.kind.mode());
        if !created.map_err(|source| io_error(&path, source))? {
            let old = fs::read(&path).map_err(|source| io_error(&path, source))?;
            if old != text.as_bytes() {
                return Err(KeyError::Conflict { path });
            }
        }
        Ok(path)
    }

    /// The key of exactly this revision.
    ///
    /// # Errors
    /// It is not there, not readable, or the content does not match the file's name.
    pub fn load(&self, id: &KeyId, kind: KeyKind) -> Result<KeyFile, KeyError> {
        let file = id.file_name(kind);
        let path = self.dir.join(&file);
        let missing = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => {
                KeyError::Missing { id: id.clone(), dir: self.dir.clone(), file: file.clone() }
            }
            _ => io_error(&path, e),
        };
        let mut text = String::new();
        File::open(&path).and_then(|f| f.take(FILE_BYTES_MAX).read_to_string(&mut text)).map_err(missing)?;
        let key = KeyFile::parse(&text, &path)?;
        if key.id != *id {
            return Err(KeyError::Malformed {
                path,
                reason: "line 2 names another key than the file's name",
            });
        }
        if key.kind != kind {
            return Err(KeyError::Malformed {
                path,
                reason: "line 1 names another kind than the one asked for",
            });
        }
        Ok(key)
    }

    /// The newest revision of a name's keys of this kind, when there is one.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn latest(&self, name: &str, kind: KeyKind) -> Result<Option<KeyId>, KeyError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(&self.dir, source)),
        };
        let suffix = format!(".{}", kind.suffix());
        let mut newest = None;
        for entry in entries {
            let file = entry.map_err(|source| io_error(&self.dir, source))?.file_name();
            let id = file.to_str().and_then(|file| file.strip_suffix(&suffix)?.parse::<KeyId>().ok());
            newest = newest.max(id.filter(|id| id.name() == name));
        }
        Ok(newest)
    }

    /// The public key that checks this signer's packages.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn origin_public(&self, id: &KeyId) -> Result<PublicKey, KeyError> {
        let key = self.load(id, KeyKind::SigPublic)?;
        Ok(PublicKey::from_bytes(key.bytes()).expect("a loaded key has the length of its kind"))
    }

    /// The newest key that signs an origin's packages, when there is one.
    ///
    /// # Errors
    /// As [`Self::load`], and when the secret key's halves do not belong together.
    pub fn origin_secret(&self, origin: &str) -> Result<Option<(KeyId, SecretKey)>, KeyError> {
        let Some(id) = self.latest(origin, KeyKind::SigSecret)? else {
            return Ok(None);
        };
        let file = self.load(&id, KeyKind::SigSecret)?;
        let key = SecretKey::from_bytes(file.bytes()).ok_or_else(|| KeyError::Malformed {
            path: self.dir.join(id.file_name(KeyKind::SigSecret)),
            reason: "line 4 is not a secret key followed by its public key",
        })?;
        Ok(Some((id, key)))
    }

    /// Makes a new key pair for an origin. A second one within the same second is refused.
    ///
    /// # Errors
    /// The name is malformed, the revision exists, or the disk refuses.
    pub fn generate_origin(&self, origin: &str, now: UnixTime) -> Result<(KeyId, SecretKey), KeyError> {
        // An origin is the first part of an ident, which allows fewer names than keys in general.
        if format!("{origin}/name").parse::<PackageIdent>().is_err() {
            return Err(KeyError::Name { text: origin.to_owned() });
        }
        let id = KeyId::new(origin, now)?;
        let key = crypto::generate_secret_key();
        // The public half first: a crash in between leaves a public key without use, and not a secret key whose
        // signatures no host can check.
        self.store(&KeyFile::new(KeyKind::SigPublic, id.clone(), key.public().as_bytes()))?;
        self.store(&KeyFile::new(KeyKind::SigSecret, id.clone(), key.as_bytes()))?;
        Ok((id, key))
    }

    /// The newest key that signs an origin's packages, and whether it was made now because there was none.
    ///
    /// # Errors
    /// As [`Self::origin_secret`] and [`Self::generate_origin`].
    pub fn origin_secret_or_new(
        &self,
        origin: &str,
        now: UnixTime,
    ) -> Result<(KeyId, SecretKey, bool), KeyError> {
        fs::create_dir_all(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let dir = File::open(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        // Two builds at once must not make two keys, so the second one waits here for the first.
        let _held = Flock::lock(dir, FlockArg::LockExclusive)
            .map_err(|(_, errno)| io_error(&self.dir, errno.into()))?;
        if let Some((id, key)) = self.origin_secret(origin)? {
            return Ok((id, key, false));
        }
        let (id, key) = self.generate_origin(origin, now)?;
        Ok((id, key, true))
    }
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.to_owned(), source }
}
