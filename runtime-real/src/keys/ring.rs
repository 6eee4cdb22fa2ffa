//! The key of the ring that a program starts with: an option names one in the key cache, or `HAB_RING_KEY` holds one.

use std::path::{Path, PathBuf};

use annulus_core::UnixTime;
use thiserror::Error;

use super::crypto::SharedKey;
use super::{HeldKey, KeyCache, KeyError, KeyFile, KeyId, KeyKind};
use crate::host::secret_env::RING_KEY_ENV;

/// Why there is no usable ring key.
#[derive(Debug, Error)]
pub enum RingError {
    /// The key cache has none, or none that can be used.
    #[error("--ring: {0}")]
    Key(#[from] KeyError),
    /// A variable is there and holds nothing: a supervisor that took it for unset would speak in the clear.
    #[error(
        "{name} is set and empty, as by a `$(cat …)` that failed: give it a value, or unset it where no ring with a key is meant"
    )]
    Empty {
        /// The variable.
        name: &'static str,
    },
    /// The variable does not hold a key.
    #[error("{RING_KEY_ENV}: {0} (a shell needs the quotes: {RING_KEY_ENV}=\"$(cat FILE.sym.key)\")")]
    Contents(KeyError),
    /// Option and variable contradict each other.
    #[error(
        "--ring (HAB_RING) names the ring {ring:?}, and {RING_KEY_ENV} holds the key {id} of another one: give one of the two, or \
         both of one ring"
    )]
    Names {
        /// The ring of the option.
        ring: String,
        /// The key in the environment.
        id: KeyId,
    },
}

impl RingError {
    /// Whether there is no file of the key.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Key(KeyError::NoKey { .. } | KeyError::Missing { .. }))
    }
}

/// The key of a ring.
#[derive(Clone, Debug)]
pub struct RingKey {
    id: KeyId,
    key: SharedKey,
    /// Where it is on disk; none for a key of the environment.
    path: Option<PathBuf>,
    /// Its file is gone, and this is the copy of a supervisor.
    is_copy: bool,
}

impl RingKey {
    /// A copy of a key whose file is gone.
    #[must_use]
    pub fn kept(key: HeldKey) -> Self {
        Self { id: key.id, key: key.key, path: None, is_copy: true }
    }

    /// A key that was just put into this file.
    #[must_use]
    pub fn filed(key: HeldKey, path: PathBuf) -> Self {
        Self { id: key.id, key: key.key, path: Some(path), is_copy: false }
    }

    /// Whether its file is gone.
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// Its name and revision.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &SharedKey {
        &self.key
    }

    /// The key of this ring, or the one in `contents`; none without both.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn find(
        ring: Option<&str>,
        contents: Option<&str>,
        keys: &KeyCache,
        now: UnixTime,
    ) -> Result<Option<Self>, RingError> {
        let Some(text) = contents else {
            let Some(ring) = ring else { return Ok(None) };
            let (id, key) = keys.ring(ring, now)?;
            let path = Some(keys.path(&id, KeyKind::Shared));
            return Ok(Some(Self { id, key, path, is_copy: false }));
        };
        let from = Path::new("the value");
        let file = KeyFile::parse(text, from).map_err(RingError::Contents)?;
        if file.kind != KeyKind::Shared {
            let (is, wanted) = (file.kind, KeyKind::Shared);
            return Err(RingError::Contents(KeyError::Kind { path: from.to_owned(), is, wanted }));
        }
        if let Some(ring) = ring.filter(|ring| *ring != file.id.name()) {
            return Err(RingError::Names { ring: ring.to_owned(), id: file.id });
        }
        let key =
            SharedKey::from_bytes(file.bytes()).expect("a key that was read has the length of its kind");
        Ok(Some(Self { id: file.id, key, path: None, is_copy: false }))
    }

    /// As [`Self::find`], with what the environment holds; empty counts as unset.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn given(ring: Option<&str>, keys: &KeyCache, now: UnixTime) -> Result<Option<Self>, RingError> {
        let contents = std::env::var_os(RING_KEY_ENV).filter(|value| !value.is_empty());
        let contents = contents.map(|value| value.to_string_lossy().into_owned());
        Self::find(ring.filter(|ring| !ring.is_empty()), contents.as_deref(), keys, now)
    }

    /// What is odd about it. Nothing is known of a key that came in the environment but its revision.
    #[must_use]
    pub fn remarks(&self, keys: &KeyCache, now: UnixTime) -> Vec<String> {
        keys.remarks(&self.id, KeyKind::Shared, now)
    }

    /// The file that it was read from; none for a key of the environment.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_millis(1_796_000_000_000);
    const TEXT: &str = "SYM-SEC-1\nbench-ring-20261122015215\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=";

    fn cache() -> (tempfile::TempDir, KeyCache) {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = KeyCache::new(dir.path().to_owned());
        (dir, keys)
    }

    #[test]
    fn a_key_comes_from_the_cache_or_from_the_environment() {
        let (_dir, keys) = cache();
        assert!(RingKey::find(None, None, &keys, NOW).expect("an open ring").is_none());
        let missing = RingKey::find(Some("prod"), None, &keys, NOW).expect_err("none").to_string();
        assert!(missing.contains("annulus ring key generate prod"), "{missing}");
        let id = keys.generate_ring("prod", UnixTime::from_millis(1_767_225_600_000)).expect("made");
        let found = RingKey::find(Some("prod"), None, &keys, NOW).expect("usable").expect("a key");
        assert_eq!((found.id(), found.path.as_deref()), (&id, Some(&*keys.path(&id, KeyKind::Shared))));
        for ring in [None, Some("bench-ring")] {
            let given = RingKey::find(ring, Some(TEXT), &keys, NOW).expect("usable").expect("a key");
            assert_eq!((given.id().to_string().as_str(), given.path), ("bench-ring-20261122015215", None));
        }
        let error =
            RingKey::find(Some("prod"), Some(TEXT), &keys, NOW).expect_err("of two rings").to_string();
        assert!(error.contains("\"prod\"") && error.contains("bench-ring-20261122015215"), "{error}");
    }

    #[test]
    fn a_value_that_lost_its_lines_says_which_quotes_are_missing() {
        let (_dir, keys) = cache();
        let secret = "BOX-SEC-1\nbob-20261129120214\n\nzkx+Eq+Zdula8mlXImvrTk9WQvKpCBz6ejVARJPG9eM=";
        for (text, why) in [
            ("SYM-SEC-1", "only line 1"),
            (&TEXT.replace('\n', " "), "line 1"),
            (&TEXT[..50], "line 4"),
            ("nonsense", "line 1"),
            (secret, "the key of a ring (SYM-SEC-1) is wanted"),
        ] {
            let error = RingKey::find(None, Some(text), &keys, NOW).expect_err(text).to_string();
            assert!(error.starts_with("HAB_RING_KEY: ") && error.contains(why), "{error}");
            assert!(error.ends_with("HAB_RING_KEY=\"$(cat FILE.sym.key)\")"), "{error}");
            assert!(!error.contains("0VDU"), "no part of a key is shown: {error}");
        }
    }
}
