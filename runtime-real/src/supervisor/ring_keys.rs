//! The keys of the ring on this host: what the supervisor has in memory, the copies that it keeps in its own data directory so
//! that the next one can start, and the key cache, in which operators put key files and from which a supervisor takes them.
//! Carries out what the core asks; decides only which files count when a supervisor starts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annulus_core::limits::OPEN_KEYS_MAX;
use annulus_core::{Command, KeyDone, KeyWork, RingKeyId, RingKeys};
use tokio::time::sleep;

use crate::host::{atomic, small_file};
use crate::keys::crypto::{BoxPublicKey, BoxSecretKey, Nonce};
use crate::keys::{HeldKey, HeldKeys, KeyCache, KeyError, KeyFile, KeyId, KeyKind, RingKey};
use crate::supervisor::handle::DriverHandle;

/// How often new key files are looked for.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Before what is sealed: the key that made the box, and the nonce.
const BOX_HEAD_BYTES: usize = 32 + 24;

/// The keys of the ring on this host. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct RingKeeper {
    ring: String,
    held: HeldKeys,
    cache: KeyCache,
    /// The copies of this supervisor.
    own: PathBuf,
    secret: Arc<BoxSecretKey>,
}

impl RingKeeper {
    /// What a supervisor starts with: the copies that it kept, the key that it was given, and files that are newer than all it
    /// had. Without copies it has the given one alone.
    ///
    /// # Errors
    /// The copies cannot be written.
    pub fn start(
        given: &RingKey,
        (cache, own): (KeyCache, PathBuf),
        secret: BoxSecretKey,
        hears_clear: bool,
    ) -> io::Result<Self> {
        let ring = given.id().name().to_owned();
        let mut keys = kept(&own, &ring);
        let newest = keys.last().map(|key| key.id.clone());
        let is_new = |id: &KeyId| newest.as_ref().is_some_and(|newest| id > newest);
        keys.extend(files(&cache, &ring).filter(|key| is_new(&key.id)));
        // A key that the environment still holds, though the ring has dropped it, stays dropped.
        let given = HeldKey { id: given.id().clone(), key: given.key().clone() };
        match newest.as_ref().filter(|newest| given.id < **newest) {
            Some(newest) if keys.iter().all(|key| key.ring_id() != given.ring_id()) => tracing::warn!(
                "the key {} was given, which the ring has replaced: this supervisor goes on with {newest}; give it that one",
                given.id
            ),
            _ => keys.push(given),
        }
        keys.sort_by_key(HeldKey::ring_id);
        keys.dedup_by_key(|key| key.ring_id());
        // One place is the clear's.
        let first = keys.len().saturating_sub(OPEN_KEYS_MAX - 1);
        let held = HeldKeys::new(keys.split_off(first), hears_clear);
        let keeper = Self { ring, held, cache, own, secret: Arc::new(secret) };
        keeper.held.list().iter().try_for_each(|key| keeper.keep(key))?;
        Ok(keeper)
    }

    /// The keys in memory.
    #[must_use]
    pub fn held(&self) -> &HeldKeys {
        &self.held
    }

    /// The ring's name.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// What the core has to know of them.
    #[must_use]
    pub fn for_core(&self, given: &RingKey) -> RingKeys {
        let mut opens: Vec<RingKeyId> = self.held.list().iter().map(HeldKey::ring_id).collect();
        if self.held.hears_clear() {
            opens.insert(0, RingKeyId::CLEAR);
        }
        let given = HeldKey { id: given.id().clone(), key: given.key().clone() }.ring_id();
        let is_held = self.held.get(&given).is_some();
        let speaks = opens.last().copied().filter(|_| !is_held).unwrap_or(given);
        let mut box_key = [0; 32];
        box_key.copy_from_slice(self.secret.public().as_bytes());
        RingKeys { opens, speaks, box_key }
    }

    /// Two keys of one revision have two copies.
    fn copy(&self, key: &HeldKey) -> PathBuf {
        self.own.join(format!("{}.{}", key.ring_id(), KeyKind::Shared.suffix()))
    }

    fn keep(&self, key: &HeldKey) -> io::Result<()> {
        fs::create_dir_all(&self.own)?;
        let path = self.copy(key);
        atomic::write(&path, key.file().to_text().as_bytes(), 0o600)
    }

    /// Work that the core asks for. It waits for the disk.
    #[must_use]
    pub fn work(&self, work: &KeyWork) -> KeyDone {
        match work {
            KeyWork::Seal { key, box_key } => self.seal(key, box_key),
            KeyWork::Open { key, sealed } => match self.open(key, sealed) {
                Ok(()) => KeyDone::Done,
                Err(reason) => KeyDone::Failed(reason),
            },
            KeyWork::Drop { key } => {
                if let Some(held) = self.held.get(key) {
                    // The copy goes first: a crash in between leaves a key that is dropped again.
                    let _ = fs::remove_file(self.copy(&held));
                }
                self.held.drop_key(key);
                KeyDone::Done
            }
        }
    }

    fn seal(&self, key: &RingKeyId, box_key: &[u8; 32]) -> KeyDone {
        let Some(held) = self.held.get(key) else {
            return KeyDone::Failed(format!("this host does not have the ring key {key} any more"));
        };
        let Some(to) = BoxPublicKey::from_bytes(box_key) else {
            return KeyDone::Failed("the member's key for boxes is none".to_owned());
        };
        let once = BoxSecretKey::generate();
        let (nonce, sealed) = once.seal(held.file().to_text().as_bytes(), &to);
        KeyDone::Sealed([once.public().as_bytes(), &nonce.0, &sealed].concat())
    }

    fn open(&self, key: &RingKeyId, sealed: &[u8]) -> Result<(), String> {
        let (head, sealed) = sealed.split_at_checked(BOX_HEAD_BYTES).ok_or("it is cut short")?;
        let from = BoxPublicKey::from_bytes(&head[..32]).ok_or("it is cut short")?;
        let nonce = Nonce(head[32..].try_into().map_err(|_| "it is cut short")?);
        let text = self.secret.open(&nonce, sealed, &from).ok_or("it is sealed for another member")?;
        let text = String::from_utf8(text).map_err(|_| "it holds no key file")?;
        let file = KeyFile::parse(&text, Path::new("what was sealed")).map_err(|error| error.to_string())?;
        let held = HeldKey::of(&file).filter(|held| held.ring_id() == *key && held.id.name() == self.ring);
        let held = held.ok_or("it is another key than the one that the ring speaks of")?;
        self.keep(&held).map_err(|error| format!("{}: {error}", self.own.display()))?;
        // The copy suffices to start with; the cache is where operators and commands look.
        match self.cache.store(&file) {
            Ok(path) => {
                tracing::info!("the ring's key {} was handed to this host: {}", file.id, path.display())
            }
            Err(error) => tracing::warn!("the ring's key {} is not in the key cache: {error}", file.id),
        }
        self.held.hold(held);
        Ok(())
    }

    /// The key of that name and its file, where it is to have one: a key that came in the environment has none.
    pub(crate) fn filed(&self, id: &RingKeyId, given: &RingKey) -> Option<(HeldKey, PathBuf)> {
        let key = self.held.get(id)?;
        let path = self.cache.path(&key.id, KeyKind::Shared);
        (key.id != *given.id() || given.path().is_some()).then_some((key, path))
    }

    /// The key cache.
    pub(crate) fn cache(&self) -> &KeyCache {
        &self.cache
    }

    /// Takes up files that are newer than every key in memory; returns what they are.
    fn take_up(&self) -> Vec<RingKeyId> {
        let list = self.held.list();
        let newest = list.last().map(|key| key.id.clone());
        let new = files(&self.cache, &self.ring)
            .filter(|key| newest.as_ref().is_none_or(|newest| key.id > *newest));
        let mut taken = Vec::new();
        for key in new {
            if let Err(error) = self.keep(&key) {
                tracing::warn!("the ring's key {} cannot be kept in {}: {error}", key.id, self.own.display());
                continue;
            }
            taken.push(key.ring_id());
            self.held.hold(key);
        }
        taken
    }

    /// Takes up key files as operators put them into the cache, until the supervisor ends.
    pub async fn follow(self, handle: DriverHandle) {
        loop {
            sleep(LOOK_PERIOD).await;
            self.look(&handle).await;
        }
    }

    /// Looks for new key files now.
    pub async fn look(&self, handle: &DriverHandle) {
        let keeper = self.clone();
        let Ok(taken) = tokio::task::spawn_blocking(move || keeper.take_up()).await else { return };
        if !taken.is_empty() {
            handle.command(Command::HoldKeys(taken)).await;
        }
    }
}

/// The copies of keys in a supervisor's data directory.
fn copies(own: &Path) -> impl Iterator<Item = HeldKey> {
    fs::read_dir(own).into_iter().flatten().flatten().filter_map(|entry| {
        let path = entry.path();
        let text = small_file::read_to_string(&path).ok()?;
        let file = KeyFile::parse(&text, &path);
        let file = file.inspect_err(|error| tracing::warn!("{error}; it is passed over")).ok()?;
        HeldKey::of(&file)
    })
}

/// Those of this ring, oldest first.
fn kept(own: &Path, ring: &str) -> Vec<HeldKey> {
    let mut keys: Vec<HeldKey> = copies(own).filter(|key| key.id.name() == ring).collect();
    keys.sort_by_key(HeldKey::ring_id);
    keys
}

/// The rings of which a supervisor has kept keys.
#[must_use]
pub fn rings_kept(own: &Path) -> BTreeSet<String> {
    copies(own).map(|key| key.id.name().to_owned()).collect()
}

/// The key of a ring that a supervisor kept, where its key file is gone.
#[must_use]
pub fn last_kept(own: &Path, ring: &str) -> Option<HeldKey> {
    kept(own, ring).pop()
}

/// The usable keys of a ring in the cache.
fn files(cache: &KeyCache, ring: &str) -> impl Iterator<Item = HeldKey> {
    let ids = cache.revisions(ring, KeyKind::Shared).unwrap_or_default();
    ids.into_iter().filter_map(|id| match cache.load(&id, KeyKind::Shared) {
        Ok(file) => HeldKey::of(&file),
        Err(KeyError::Missing { .. }) => None,
        Err(error) => {
            tracing::debug!("{error}");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [&str; 2] = [
        "SYM-SEC-1\nprod-20261122015215\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=",
        "SYM-SEC-1\nprod-20261122015216\n\n6OOZ93BgBezgbLDdExb2IoHIXKdJdWM/ql32R98RaK0=",
    ];

    fn file(text: &str) -> KeyFile {
        KeyFile::parse(text, Path::new("a test")).expect("a key")
    }

    fn keeper(dir: &Path) -> (RingKeeper, KeyCache) {
        let cache = KeyCache::new(dir.join("keys"));
        cache.store(&file(TEXT[0])).expect("stored");
        let given = RingKey::find(Some("prod"), None, &cache).expect("usable").expect("a key");
        let own = dir.join("own");
        let keeper = RingKeeper::start(&given, (cache.clone(), own), BoxSecretKey::generate(), false);
        (keeper.expect("started"), cache)
    }

    #[test]
    fn a_key_is_handed_on_for_one_member_alone() {
        let (a, b) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let ((a, cache), (b, there)) = (keeper(a.path()), keeper(b.path()));
        cache.store(&file(TEXT[1])).expect("stored");
        let taken = a.take_up();
        assert_eq!((taken.len(), a.take_up().len()), (1, 0));
        let key = taken[0];
        let box_key: [u8; 32] = b.secret.public().as_bytes().try_into().expect("32 bytes");
        let KeyDone::Sealed(sealed) = a.work(&KeyWork::Seal { key, box_key }) else { panic!("not sealed") };
        let other = RingKeyId { fingerprint: [7; 16], ..key };
        for (key, sealed, why) in [
            (key, sealed[..40].to_vec(), "cut short"),
            (other, sealed.clone(), "another key"),
            (key, [&sealed[..60], &[sealed[60] ^ 1], &sealed[61..]].concat(), "another member"),
        ] {
            let KeyDone::Failed(reason) = b.work(&KeyWork::Open { key, sealed }) else { panic!("taken") };
            assert!(reason.contains(why), "{reason}");
        }
        let sealed_for_b = KeyWork::Open { key, sealed };
        assert!(matches!(a.work(&sealed_for_b), KeyDone::Failed(_)), "it is sealed for b alone");
        assert_eq!(b.work(&sealed_for_b), KeyDone::Done);
        assert_eq!(there.load(&file(TEXT[1]).id, KeyKind::Shared).expect("in the cache"), file(TEXT[1]));
        assert_eq!(b.held.list().len(), 2);
    }

    #[test]
    fn the_next_supervisor_starts_with_what_the_last_one_had() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, cache) = keeper(dir.path());
        cache.store(&file(TEXT[1])).expect("stored");
        let [key] = first.take_up()[..] else { panic!("one key") };
        let old = first.held.list()[0].ring_id();
        assert_eq!(first.work(&KeyWork::Drop { key: old }), KeyDone::Done);
        let given = RingKey::find(Some("prod"), None, &cache).expect("usable").expect("a key");
        let own = dir.path().join("own");
        let next = RingKeeper::start(&given, (cache.clone(), own.clone()), BoxSecretKey::generate(), true);
        let next = next.expect("started").for_core(&given);
        assert_eq!(
            next.opens,
            [RingKeyId::CLEAR, key],
            "what was dropped stays so, though its file is there"
        );
        assert_eq!(last_kept(&own, "prod").map(|key| key.ring_id()), Some(key));
        let stale = RingKey::find(None, Some(TEXT[0]), &cache).expect("usable").expect("a key");
        let next = RingKeeper::start(&stale, (cache, own.clone()), BoxSecretKey::generate(), false);
        let next = next.expect("started").for_core(&stale);
        assert_eq!(
            (next.opens, next.speaks),
            (vec![key], key),
            "an environment that holds it changes nothing"
        );
        assert!(last_kept(&own, "other").is_none());
    }
}
