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
use annulus_core::{Command, KeyDone, KeyRecord, KeyWork, RingKeyId, RingKeys};
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
    /// had. Without copies it has the given one alone. What the ring has given up, by the record of the last life, is not
    /// opened, and its copies go.
    ///
    /// # Errors
    /// The copies cannot be written.
    pub fn start(
        given: &RingKey,
        (cache, own): (KeyCache, PathBuf),
        secret: BoxSecretKey,
        (record, hears_clear): (&KeyRecord, bool),
    ) -> io::Result<Self> {
        let ring = given.id().name().to_owned();
        let given = HeldKey { id: given.id().clone(), key: given.key().clone() };
        let kept = kept(&own, &ring);
        let keys = starting(record, &kept, &given, files(&cache, &ring).collect(), hears_clear);
        if keys.iter().all(|key| key.ring_id() != given.ring_id())
            && let Some(newest) = keys.last()
        {
            tracing::warn!(
                "the key {} was given, which the ring has replaced: this supervisor goes on with {}; give it that one",
                given.id,
                newest.id
            );
        }
        let held = HeldKeys::new(keys, hears_clear);
        let keeper = Self { ring, held, cache, own, secret: Arc::new(secret) };
        keeper.held.list().iter().try_for_each(|key| keeper.keep(key))?;
        // A copy that stays would be one of a key that the ring may give up before the next start.
        for key in kept.iter().filter(|key| keeper.held.get(&key.ring_id()).is_none()) {
            let _ = fs::remove_file(keeper.copy(key));
        }
        keeper.remember(record, kept);
        Ok(keeper)
    }

    /// Members that still speak with a key that the ring has given up are named so, as long as its file is in the cache.
    fn remember(&self, record: &KeyRecord, kept: Vec<HeldKey>) {
        let old = kept.into_iter().chain(files(&self.cache, &self.ring));
        for key in old.filter(|key| record.has_given_up(&key.ring_id())) {
            self.held.remember(key);
        }
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

    /// The key with which the core speaks at the start.
    #[must_use]
    pub fn spoken(&self, record: &KeyRecord, given: &RingKey) -> KeyId {
        let speaks = record.current().filter(|key| self.held.get(key).is_some());
        let held = self.held.get(&speaks.unwrap_or_else(|| self.for_core(given).speaks));
        held.map_or_else(|| given.id().clone(), |held| held.id)
    }

    fn copy(&self, key: &HeldKey) -> PathBuf {
        copy(&self.own, key)
    }

    fn keep(&self, key: &HeldKey) -> io::Result<()> {
        keep(&self.own, key)
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

    /// Takes up files that are newer than the `current` key; returns what they are.
    fn take_up(&self, current: &RingKeyId) -> Vec<RingKeyId> {
        let is_new = |key: &HeldKey| {
            let id = key.ring_id();
            // What was dropped the core has refused.
            id > *current && self.held.get(&id).is_none() && !self.held.is_dropped(&id)
        };
        let new = files(&self.cache, &self.ring).filter(is_new);
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
        let Ok(current) = handle.read(|node| node.speaks_with()).await else { return };
        let keeper = self.clone();
        let Ok(taken) = tokio::task::spawn_blocking(move || keeper.take_up(&current)).await else { return };
        if !taken.is_empty() {
            handle.command(Command::HoldKeys(taken)).await;
        }
    }
}

/// The keys that a supervisor starts with, oldest first, of what it `kept`, was `given` and finds as files.
fn starting(
    record: &KeyRecord,
    kept: &[HeldKey],
    given: &HeldKey,
    files: Vec<HeldKey>,
    hears_clear: bool,
) -> Vec<HeldKey> {
    let is_usable = |key: &&HeldKey| !record.has_given_up(&key.ring_id());
    let mut keys: Vec<HeldKey> = kept.iter().filter(is_usable).cloned().collect();
    let newest = keys.iter().map(|key| key.id.clone()).max();
    let is_newer = |key: &HeldKey| newest.as_ref().is_some_and(|newest| key.id > *newest);
    keys.extend(files.into_iter().filter(|key| is_newer(key) && is_usable(&key)));
    // A key that the environment still holds, though the ring has dropped it, stays dropped.
    let is_needed = newest.as_ref().is_none_or(|newest| given.id >= *newest);
    if keys.is_empty() || is_needed && is_usable(&given) {
        keys.push(given.clone());
    }
    keys.sort_by_key(HeldKey::ring_id);
    keys.dedup_by_key(|key| key.ring_id());
    // What the last life opened comes first, then what is newest.
    let mut places = OPEN_KEYS_MAX - usize::from(hears_clear);
    let mut take = |key: &HeldKey| {
        let has_place = places > 0;
        places = places.saturating_sub(1);
        has_place.then(|| key.clone())
    };
    let (known, new): (Vec<HeldKey>, Vec<HeldKey>) =
        keys.into_iter().partition(|key| record.open(&key.ring_id()).is_some());
    let mut chosen: Vec<HeldKey> = known.iter().rev().chain(new.iter().rev()).filter_map(&mut take).collect();
    chosen.sort_by_key(HeldKey::ring_id);
    chosen
}

/// Two keys of one revision have two copies.
fn copy(own: &Path, key: &HeldKey) -> PathBuf {
    own.join(format!("{}.{}", key.ring_id(), KeyKind::Shared.suffix()))
}

/// Writes a supervisor's copy of a key, with which the next one starts.
///
/// # Errors
/// It cannot be written.
pub fn keep(own: &Path, key: &HeldKey) -> io::Result<()> {
    fs::create_dir_all(own)?;
    atomic::write(&copy(own, key), key.file().to_text().as_bytes(), 0o600)
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

/// The names of the keys of a ring that a supervisor opens, oldest first.
#[must_use]
pub fn opened(own: &Path, ring: &str) -> Vec<KeyId> {
    kept(own, ring).into_iter().map(|key| key.id).collect()
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
    use crate::keys::OpenedWith;
    use crate::keys::crypto::SharedKey;
    use annulus_core::{Incarnation, MemberId, MemberKeys, OpenKey, Rumor};

    const NOW: annulus_core::UnixTime = annulus_core::UnixTime::from_millis(1_796_000_000_000);
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
        let given = RingKey::find(Some("prod"), None, &cache, NOW).expect("usable").expect("a key");
        let own = dir.join("own");
        let keeper = RingKeeper::start(
            &given,
            (cache.clone(), own),
            BoxSecretKey::generate(),
            (&KeyRecord::default(), false),
        );
        (keeper.expect("started"), cache)
    }

    #[test]
    fn a_key_is_handed_on_for_one_member_alone() {
        let (a, b) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let ((a, cache), (b, there)) = (keeper(a.path()), keeper(b.path()));
        cache.store(&file(TEXT[1])).expect("stored");
        let current = a.held.list()[0].ring_id();
        let taken = a.take_up(&current);
        assert_eq!((taken.len(), a.take_up(&current).len()), (1, 0));
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
        let old = first.held.list()[0].ring_id();
        let [key] = first.take_up(&old)[..] else { panic!("one key") };
        assert_eq!(first.work(&KeyWork::Drop { key: old }), KeyDone::Done);
        let given = RingKey::find(Some("prod"), None, &cache, NOW).expect("usable").expect("a key");
        let own = dir.path().join("own");
        let folders = || (cache.clone(), own.clone());
        let none = KeyRecord::default();
        let next = RingKeeper::start(&given, folders(), BoxSecretKey::generate(), (&none, true));
        let next = next.expect("started").for_core(&given);
        assert_eq!(
            next.opens,
            [RingKeyId::CLEAR, key],
            "what was dropped stays so, though its file is there"
        );
        assert_eq!(last_kept(&own, "prod").map(|key| key.ring_id()), Some(key));
        let stale = RingKey::find(None, Some(TEXT[0]), &cache, NOW).expect("usable").expect("a key");
        let next = RingKeeper::start(&stale, folders(), BoxSecretKey::generate(), (&none, false));
        let keeper = next.expect("started");
        let next = keeper.for_core(&stale);
        assert_eq!(
            (next.opens, next.speaks),
            (vec![key], key),
            "an environment that holds it changes nothing"
        );
        assert_eq!(keeper.spoken(&none, &stale).revision(), "20261122015216", "and is not what is told");
        assert!(last_kept(&own, "other").is_none());
    }
    fn made(revision: u64) -> HeldKey {
        let id = format!("prod-{revision}").parse().expect("an id");
        HeldKey { id, key: SharedKey::generate() }
    }

    /// What a member has on disk that opens these, speaks with the newest and was offered all of them.
    fn record(opens: &[&HeldKey], speaks: &HeldKey) -> KeyRecord {
        let me = MemberId::from_bytes([1; 16]);
        let open = |key: &&HeldKey| OpenKey { key: key.ring_id(), until: None };
        let keys = MemberKeys {
            member_id: me,
            incarnation: Incarnation(1),
            opens: opens.iter().map(open).collect(),
            speaks: speaks.ring_id(),
            box_key: [0; 32],
        };
        KeyRecord::of(&me, [&Rumor::MemberKeys(keys)])
    }

    #[test]
    fn what_the_ring_has_given_up_is_not_opened_and_its_copy_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let (cache, own) = (KeyCache::new(dir.path().join("keys")), dir.path().join("own"));
        let keys: Vec<HeldKey> = (0..4).map(|n| made(20_261_122_015_215 + n)).collect();
        keys.iter().for_each(|key| drop(cache.store(&key.file()).expect("stored")));
        let given = RingKey::filed(keys[3].clone(), PathBuf::from("prod.sym.key"));
        let start = |record: &KeyRecord| {
            let secret = BoxSecretKey::generate();
            let keeper = RingKeeper::start(&given, (cache.clone(), own.clone()), secret, (record, false));
            keeper.expect("started")
        };
        for key in &keys {
            start(&KeyRecord::default()).keep(key).expect("kept");
        }
        let ids = |keys: &[HeldKey]| keys.iter().map(HeldKey::ring_id).collect::<Vec<_>>();
        let all = record(&keys.iter().collect::<Vec<_>>(), &keys[3]);
        assert_eq!(ids(&start(&all).held.list()), ids(&keys), "all four open, and none is let out of sight");
        let keeper = start(&record(&[&keys[2], &keys[3]], &keys[3]));
        assert_eq!(ids(&keeper.held.list()), ids(&keys[2..]));
        assert_eq!(ids(&kept(&own, "prod")), ids(&keys[2..]), "the copies are gone");
        assert_eq!(keeper.take_up(&keys[3].ring_id()), [], "their files bring them back no more");
        let (nonce, old) = (Nonce::random(), &keys[0]);
        let sealed = old.key.seal(&nonce, b"message");
        let opened = keeper.held.open(|key| key.open(&nonce, &sealed));
        assert_eq!(opened, Some(OpenedWith::Dropped(old.id.clone())), "after a restart, too");
    }

    #[test]
    fn new_files_do_not_push_out_the_key_that_is_spoken_with() {
        let keys: Vec<HeldKey> = (0..7).map(|n| made(20_261_122_015_215 + n)).collect();
        let record = record(&[&keys[0]], &keys[0]);
        let chosen = starting(&record, &keys[..1], &keys[6], keys[1..].to_vec(), false);
        let revisions: Vec<&str> = chosen.iter().map(|key| key.id.revision()).collect();
        assert_eq!(revisions, [0, 4, 5, 6].map(|n| keys[n].id.revision()));
        let stranger = starting(&KeyRecord::default(), &[], &keys[6], keys[..6].to_vec(), true);
        assert_eq!(stranger.len(), 1, "a new member has what it was given");
    }
}
