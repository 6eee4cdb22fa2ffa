//! Keys by their owners: origins sign packages, users and service groups seal configuration, rings seal what their members
//! say. Makes keys and finds the newest; what a key is trusted for is decided elsewhere.

use std::fs;
use std::path::PathBuf;

use annulus_core::{PackageIdent, RingKeyId, ServiceGroup, UnixTime};

use super::crypto::{self, BoxPublicKey, BoxSecretKey, PublicKey, SecretKey, SharedKey};
use super::file::RING_NAME_BYTES_MAX;
use super::{KeyCache, KeyError, KeyFile, KeyId, KeyKind};
use crate::host::atomic;

/// A loaded key has the length of its kind.
const LENGTH: &str = "a loaded key has the length of its kind";

/// Keys of origins.
impl KeyCache {
    /// The public key that checks this signer's packages.
    ///
    /// # Errors
    /// As [`Self::load`]; or its origin has removed it.
    pub fn origin_public(&self, id: &KeyId) -> Result<PublicKey, KeyError> {
        let path = self.removed(id);
        if path.exists() {
            return Err(KeyError::Removed { id: id.clone(), path });
        }
        let key = self.load(id, KeyKind::SigPublic)?;
        Ok(PublicKey::from_bytes(key.bytes()).expect(LENGTH))
    }

    /// Where it is written down that a key of an origin counts no more.
    fn removed(&self, id: &KeyId) -> PathBuf {
        self.dir().join(format!("{id}.removed"))
    }

    /// Writes down whether an origin has removed one of its keys: what it signed is refused then, whichever way it comes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn set_removed(&self, id: &KeyId, is_removed: bool) -> Result<(), KeyError> {
        let path = self.removed(id);
        let done = match (is_removed, path.exists()) {
            (true, false) => fs::create_dir_all(self.dir()).and_then(|()| {
                atomic::write(&path, b"its origin's list of keys does not name it any more\n", 0o644)
            }),
            (false, true) => fs::remove_file(&path),
            _ => Ok(()),
        };
        done.map_err(|source| KeyError::Io { path, source })
    }

    /// The newest key that signs an origin's packages, when there is one.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn origin_secret(&self, origin: &str) -> Result<Option<(KeyId, SecretKey)>, KeyError> {
        let Some(id) = self.latest(origin, KeyKind::SigSecret)? else {
            return Ok(None);
        };
        let file = self.load(&id, KeyKind::SigSecret)?;
        let key =
            SecretKey::from_bytes(file.bytes()).expect("the halves of a key that was read belong together");
        Ok(Some((id, key)))
    }

    /// Makes a new key pair for an origin. A second one within the same second is refused.
    ///
    /// # Errors
    /// The name is malformed, the revision exists, this host's clock is wrong, or the disk refuses.
    pub fn generate_origin(&self, origin: &str, now: UnixTime) -> Result<(KeyId, SecretKey), KeyError> {
        // An origin is the first part of an ident, which allows fewer names than keys in general.
        if format!("{origin}/name").parse::<PackageIdent>().is_err() {
            return Err(KeyError::Name { text: origin.to_owned() });
        }
        let id = self.new_id(origin, KeyKind::SigSecret, now)?;
        let key = crypto::generate_secret_key();
        self.store_pair(&id, KeyKind::SigSecret, key.as_bytes())?;
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
        // Of two builds at once, the second one waits here for the key of the first.
        let _held = self.held()?;
        if let Some((id, key)) = self.origin_secret(origin)? {
            return Ok((id, key, false));
        }
        let (id, key) = self.generate_origin(origin, now)?;
        Ok((id, key, true))
    }
}

/// Keys of users and of service groups.
impl KeyCache {
    /// Makes a new key pair for a user.
    ///
    /// # Errors
    /// As [`Self::generate_origin`].
    pub fn generate_user(&self, user: &str, now: UnixTime) -> Result<KeyId, KeyError> {
        // A name with an `@` is that of a service group.
        if user.contains('@') {
            return Err(KeyError::Name { text: user.to_owned() });
        }
        self.generate_box(user, now)
    }

    /// Makes a new key pair for a service group, whose name says the organization.
    ///
    /// # Errors
    /// The group has no organization; else as [`Self::generate_origin`].
    pub fn generate_service(&self, group: &ServiceGroup, now: UnixTime) -> Result<KeyId, KeyError> {
        if group.org().is_none() {
            return Err(KeyError::NoOrg { group: group.clone() });
        }
        self.generate_box(group.as_str(), now)
    }

    fn generate_box(&self, name: &str, now: UnixTime) -> Result<KeyId, KeyError> {
        let id = self.new_id(name, KeyKind::BoxSecret, now)?;
        self.store_pair(&id, KeyKind::BoxSecret, BoxSecretKey::generate().as_bytes())?;
        Ok(id)
    }

    /// The secret key of exactly this revision.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn box_secret(&self, id: &KeyId) -> Result<BoxSecretKey, KeyError> {
        let key = self.load(id, KeyKind::BoxSecret)?;
        Ok(BoxSecretKey::from_bytes(key.bytes()).expect(LENGTH))
    }

    /// The public key of exactly this revision.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn box_public(&self, id: &KeyId) -> Result<BoxPublicKey, KeyError> {
        let key = self.load(id, KeyKind::BoxPublic)?;
        Ok(BoxPublicKey::from_bytes(key.bytes()).expect(LENGTH))
    }
}

/// Keys of rings.
impl KeyCache {
    /// Makes a new key for a ring.
    ///
    /// # Errors
    /// As [`Self::generate_origin`], but a key that is ahead of this host's clock is followed by one that is newer.
    pub fn generate_ring(&self, ring: &str, now: UnixTime) -> Result<KeyId, KeyError> {
        self.generate_ring_beside(ring, now, &[]).map(|(id, _)| id)
    }

    /// The same beside the keys that a supervisor `opens`. A key that is so far ahead of the clock that no member takes it
    /// counts only among those; the ones that were passed over are returned.
    ///
    /// # Errors
    /// As [`Self::generate_ring`].
    pub fn generate_ring_beside(
        &self,
        ring: &str,
        now: UnixTime,
        opens: &[KeyId],
    ) -> Result<(KeyId, Vec<KeyId>), KeyError> {
        if ring.contains('@') || ring.len() > RING_NAME_BYTES_MAX || KeyId::looks_like_one(ring) {
            return Err(KeyError::RingName { text: ring.chars().take(RING_NAME_BYTES_MAX).collect() });
        }
        let believed = RingKeyId::CLEAR.believed_up_to(now);
        let is_believed = |id: &KeyId| {
            opens.contains(id) || id.revision().parse::<u64>().is_ok_and(|revision| revision <= believed)
        };
        let (mut there, ahead): (Vec<KeyId>, Vec<KeyId>) =
            self.revisions(ring, KeyKind::Shared)?.into_iter().partition(is_believed);
        // One that a supervisor opens may have come without a file.
        there.extend(opens.iter().filter(|id| id.name() == ring).cloned());
        let id = self.id_after(ring, (KeyKind::Shared, now), there.into_iter().max())?;
        let key = SharedKey::generate();
        self.store_made(&KeyFile::new(KeyKind::Shared, id.clone(), key.as_bytes()))?;
        Ok((id, ahead))
    }

    /// The newest key of a ring. One that was made more than a year ahead of this host's clock is taken only where there is no
    /// other: no member changes over to it.
    ///
    /// # Errors
    /// There is none, or as [`Self::load`].
    pub fn ring(&self, ring: &str, now: UnixTime) -> Result<(KeyId, SharedKey), KeyError> {
        let believed = RingKeyId::CLEAR.believed_up_to(now);
        let is_believed =
            |id: &KeyId| id.revision().parse::<u64>().is_ok_and(|revision| revision <= believed);
        let there = self.revisions(ring, KeyKind::Shared)?;
        let newest = there.iter().filter(|id| is_believed(id)).max().or_else(|| there.iter().max());
        let Some(id) = newest.cloned() else {
            return Err(KeyError::NoKey {
                name: ring.to_owned(),
                kind: KeyKind::Shared,
                dir: self.dir().to_owned(),
            });
        };
        let key = self.load(&id, KeyKind::Shared)?;
        Ok((id, SharedKey::from_bytes(key.bytes()).expect(LENGTH)))
    }
}

impl KeyCache {
    /// The newest key of this owner and kind, as text for another host.
    ///
    /// # Errors
    /// There is none, or as [`Self::load`].
    pub fn export(&self, name: &str, kind: KeyKind) -> Result<String, KeyError> {
        let Some(id) = self.latest(name, kind)? else {
            return Err(KeyError::NoKey { name: name.to_owned(), kind, dir: self.dir().to_owned() });
        };
        Ok(self.load(&id, kind)?.to_text())
    }

    fn store_pair(&self, id: &KeyId, secret: KeyKind, bytes: &[u8]) -> Result<(), KeyError> {
        let secret = KeyFile::new(secret, id.clone(), bytes);
        let public = secret.kind.partner().zip(secret.public_half());
        let (public, half) = public.expect("a new key of a pair has both halves");
        // The public half first: a crash in between leaves a public key without use, and not a secret key whose work no
        // host can check.
        self.store_made(&KeyFile::new(public, id.clone(), &half))?;
        self.store_made(&secret)
    }

    /// Stores a key that was just made.
    fn store_made(&self, key: &KeyFile) -> Result<(), KeyError> {
        match self.store(key) {
            Err(KeyError::Conflict { path }) => Err(KeyError::SameSecond { path }),
            other => other.map(|_| ()),
        }
    }
}
