//! The keys of a ring that a supervisor has in its memory: those that open what comes, one of which seals what goes, and those
//! that did so once. Decides nothing about which key is used for what; the core does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use annulus_core::RingKeyId;

use super::crypto::{Hasher, SharedKey};
use super::{KeyFile, KeyId, KeyKind};

/// Keeps fingerprints of keys apart from all other hashes.
const DOMAIN: &[u8] = b"annulus ring key v1\0";
/// Dropped keys by which one that comes back with them is told apart from a stranger. Each is tried on what no other opens.
const DROPPED_MAX: usize = 16;

/// One key of a ring.
#[derive(Clone, Debug)]
pub struct HeldKey {
    /// Its name and revision.
    pub id: KeyId,
    /// The key itself.
    pub key: SharedKey,
}

impl HeldKey {
    /// The key in a file.
    #[must_use]
    pub fn of(file: &KeyFile) -> Option<Self> {
        let key = SharedKey::from_bytes(file.bytes()).filter(|_| file.kind == KeyKind::Shared)?;
        Some(Self { id: file.id.clone(), key })
    }

    /// What the ring calls it.
    #[must_use]
    pub fn ring_id(&self) -> RingKeyId {
        let mut hasher = Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(self.key.as_bytes());
        let hash = hasher.finish();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&hash.as_bytes()[..16]);
        RingKeyId { revision: self.id.revision().parse().unwrap_or_default(), fingerprint }
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> KeyFile {
        KeyFile::new(KeyKind::Shared, self.id.clone(), self.key.as_bytes())
    }
}

/// What a message was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenedWith {
    /// A key that counts.
    Held(RingKeyId, Vec<u8>),
    /// A key that was retired, by its name and revision.
    Dropped(KeyId),
}

#[derive(Debug, Default)]
struct Held {
    keys: BTreeMap<RingKeyId, HeldKey>,
    dropped: BTreeMap<RingKeyId, HeldKey>,
    /// How many messages each of the keys that open has opened.
    opened: BTreeMap<RingKeyId, AtomicU64>,
    hears_clear: bool,
}

impl Held {
    fn put(&mut self, key: HeldKey) {
        self.opened.entry(key.ring_id()).or_default();
        self.keys.insert(key.ring_id(), key);
        assert!(self.opened.len() >= self.keys.len(), "each key that opens is counted");
    }
}

/// The keys of a ring. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct HeldKeys(Arc<RwLock<Held>>);

impl HeldKeys {
    /// These keys. Where `hears_clear`, what is said in the clear is heard too.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = HeldKey>, hears_clear: bool) -> Self {
        let mut held = Held { hears_clear, ..Held::default() };
        keys.into_iter().for_each(|key| held.put(key));
        Self(Arc::new(RwLock::new(held)))
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is said in the clear is heard too.
    #[must_use]
    pub fn hears_clear(&self) -> bool {
        self.read().hears_clear
    }

    /// Every key that opens, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<HeldKey> {
        self.read().keys.values().cloned().collect()
    }

    /// The key of that name of the ring's.
    #[must_use]
    pub fn get(&self, id: &RingKeyId) -> Option<HeldKey> {
        self.read().keys.get(id).cloned()
    }

    /// The keys of this revision. There are two where two were made in one second.
    #[must_use]
    pub fn of_revision(&self, revision: &str) -> Vec<HeldKey> {
        self.read().keys.values().filter(|key| key.id.revision() == revision).cloned().collect()
    }

    /// Opens with this key too.
    pub fn hold(&self, key: HeldKey) {
        let mut held = self.write();
        held.dropped.remove(&key.ring_id());
        held.put(key);
    }

    /// Opens with this key no longer; it is remembered for a while, to tell who still speaks with it.
    pub fn drop_key(&self, id: &RingKeyId) {
        let key = {
            let mut held = self.write();
            held.opened.remove(id);
            held.keys.remove(id)
        };
        key.into_iter().for_each(|key| self.remember(key));
    }

    /// Remembers this key as one that was dropped. The oldest are forgotten.
    pub fn remember(&self, key: HeldKey) {
        let mut held = self.write();
        if !held.keys.contains_key(&key.ring_id()) {
            held.dropped.insert(key.ring_id(), key);
        }
        while held.dropped.len() > DROPPED_MAX {
            held.dropped.pop_first();
        }
    }

    /// Whether this key was dropped.
    #[must_use]
    pub fn is_dropped(&self, id: &RingKeyId) -> bool {
        self.read().dropped.contains_key(id)
    }

    /// What seals a message that the core wants sealed with this key.
    pub(crate) fn with<T>(&self, id: &RingKeyId, seal: impl FnOnce(&SharedKey) -> T) -> Option<T> {
        let held = self.read();
        // The core names a key that it was told of; one that was dropped meanwhile seals what was on its way.
        held.keys.get(id).or_else(|| held.dropped.get(id)).map(|key| seal(&key.key))
    }

    /// A message of the ring was opened with this key.
    pub(crate) fn note_opened(&self, id: &RingKeyId) {
        if let Some(count) = self.read().opened.get(id) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many messages of the ring each key that opens has opened, oldest key first.
    #[must_use]
    pub fn opened(&self) -> Vec<(RingKeyId, u64)> {
        self.read().opened.iter().map(|(id, count)| (*id, count.load(Ordering::Relaxed))).collect()
    }

    /// Tries every key, the newest first.
    pub(crate) fn open(&self, open: impl Fn(&SharedKey) -> Option<Vec<u8>>) -> Option<OpenedWith> {
        let held = self.read();
        let opened = held.keys.iter().rev().find_map(|(id, key)| Some((*id, open(&key.key)?)));
        if let Some((id, bytes)) = opened {
            return Some(OpenedWith::Held(id, bytes));
        }
        let dropped = held.dropped.values().find(|key| open(&key.key).is_some());
        dropped.map(|key| OpenedWith::Dropped(key.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::crypto::Nonce;

    fn key(revision: &str) -> HeldKey {
        HeldKey { id: format!("prod-{revision}").parse().expect("an id"), key: SharedKey::generate() }
    }

    #[test]
    fn a_key_that_was_dropped_opens_nothing_and_is_known_by_name() {
        let (old, new) = (key("20260101000000"), key("20260102000000"));
        let held = HeldKeys::new([old.clone(), new.clone()], false);
        let nonce = Nonce::random();
        let sealed = old.key.seal(&nonce, b"message");
        let open = |key: &SharedKey| key.open(&nonce, &sealed);
        assert_eq!(held.open(open), Some(OpenedWith::Held(old.ring_id(), b"message".to_vec())));
        held.note_opened(&old.ring_id());
        assert_eq!(held.opened(), [(old.ring_id(), 1), (new.ring_id(), 0)]);
        held.drop_key(&old.ring_id());
        held.note_opened(&old.ring_id());
        assert_eq!(held.opened(), [(new.ring_id(), 0)], "there is a number for each key that opens");
        assert_eq!(held.open(open), Some(OpenedWith::Dropped(old.id.clone())));
        assert_eq!(held.list().len(), 1);
        assert!(HeldKeys::new([new], false).open(open).is_none(), "a stranger's");
    }

    #[test]
    fn two_keys_of_one_revision_are_two() {
        let (a, b) = (key("20260101000000"), key("20260101000000"));
        assert_ne!(a.ring_id(), b.ring_id());
        let held = HeldKeys::new([a.clone(), b.clone()], false);
        assert_eq!(held.of_revision("20260101000000").len(), 2);
        assert_eq!(
            held.get(&a.ring_id()).map(|key| key.key.as_bytes().to_vec()),
            Some(a.key.as_bytes().to_vec())
        );
    }
}
