//! What this host has accepted before: of each origin the newest list of keys, of each channel the newest head. A depot can
//! give newer ones, and never take one back. Written only after every check has passed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use annulus_core::UnixTime;

use super::head::Head;
use super::list::{ListedKey, OriginList};
use super::{Error, tree};
use crate::host::atomic;
use crate::host::root::Root;
use crate::keys::crypto::{self, PublicKey};
use crate::keys::{KeyCache, KeyError, KeyId, KeyKind};

/// What was accepted by this host.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
    keys: KeyCache,
}

/// A head that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What the channel holds.
    pub head: Head,
    /// What an operator should know about it.
    pub warning: Option<String>,
}

impl Pins {
    /// Those of this root.
    #[must_use]
    pub fn new(root: &Root) -> Self {
        Self { dir: root.path().join("cache/trust"), keys: KeyCache::new(root.keys()) }
    }

    fn list_path(&self, origin: &str) -> PathBuf {
        self.dir.join(origin).join("keys.list")
    }

    fn head_path(&self, origin: &str, channel: &str, target: &str, signer: &KeyId) -> PathBuf {
        self.dir.join(origin).join(channel).join(format!("{target}.{signer}.head"))
    }

    /// The newest list of an origin's keys that was accepted.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn list(&self, origin: &str) -> Result<Option<OriginList>, Error> {
        let path = self.list_path(origin);
        let Some(text) = read(&path)? else { return Ok(None) };
        OriginList::parse(&text).map(Some).map_err(|why| damaged(&path, &why))
    }

    /// Every list of an origin that was accepted, as text, by its number. Those before the first one that this host saw may be
    /// missing.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn lists(&self, origin: &str) -> Result<BTreeMap<u64, String>, Error> {
        let dir = self.dir.join(origin).join("lists");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(e) => return Err(Error::io(&dir)(e)),
        };
        let mut lists = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&dir))?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let (Some(number), Some(text)) = (number, read(&path)?) {
                lists.insert(number, text);
            }
        }
        Ok(lists)
    }

    /// Takes the next list of an origin's keys, and puts the keys that it names into the key cache. Returns what an operator
    /// should know where it is the first one.
    ///
    /// # Errors
    /// It is not to be believed; the reason is said.
    pub fn accept_list(&self, origin: &str, text: &str) -> Result<Result<Option<String>, String>, Error> {
        self.accept_lists(origin, &[text.to_owned()])
    }

    /// Takes lists of an origin's keys that follow one another: by one that a known key signed, or by the first one that is
    /// ever seen, those after it are believed.
    ///
    /// # Errors
    /// One is not to be believed; the reason is said, and none is taken.
    pub fn accept_lists(
        &self,
        origin: &str,
        texts: &[String],
    ) -> Result<Result<Option<String>, String>, Error> {
        let mut lists = Vec::new();
        for text in texts {
            match OriginList::parse(text) {
                Ok(list) if list.origin() == origin => lists.push(list),
                Ok(list) => return Ok(Err(format!("its list of keys is that of {}", list.origin()))),
                Err(why) => return Ok(Err(format!("its list of keys is damaged: {why}"))),
            }
        }
        let (pinned, known) = (self.list(origin)?, self.known(origin)?);
        let note = match believe(pinned.as_ref(), &known, &lists) {
            Ok(note) => note,
            Err(why) => return Ok(Err(why)),
        };
        self.take(pinned, &lists)?;
        Ok(Ok(note))
    }

    /// Writes lists down that are believed: keys that they name are put into the key cache, and those that were named once and
    /// are not any more count nowhere.
    fn take(&self, pinned: Option<OriginList>, lists: &[OriginList]) -> Result<(), Error> {
        let Some(newest) = lists.last() else { return Ok(()) };
        let is_named = |key: &ListedKey| newest.origin_keys().iter().any(|other| other.id == key.id);
        for key in newest.origin_keys() {
            let Some(file) = key.file() else { continue };
            self.keys.set_removed(&file.id, false)?;
            self.keys.store(&file)?;
        }
        let earlier = pinned.iter().chain(lists).flat_map(OriginList::origin_keys);
        for key in earlier.filter(|key| !is_named(key)).filter_map(ListedKey::file) {
            self.keys.set_removed(&key.id, true)?;
        }
        let dir = self.dir.join(newest.origin());
        for list in lists {
            write(&dir.join(format!("lists/{}.list", list.number())), list.text())?;
        }
        write(&self.list_path(newest.origin()), newest.text())
    }

    /// The public keys of an origin that this host has.
    fn known(&self, origin: &str) -> Result<Vec<ListedKey>, Error> {
        let mut known = Vec::new();
        for id in self.keys.revisions(origin, KeyKind::SigPublic)? {
            match self.keys.origin_public(&id) {
                Ok(key) => known.push(ListedKey::new(&id, &key)),
                Err(KeyError::Removed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(known)
    }

    /// Takes the head of a channel.
    ///
    /// # Errors
    /// It is not to be believed; the reason is said.
    pub fn accept_head(
        &self,
        (origin, channel, target): (&str, &str, &str),
        text: &str,
        now: UnixTime,
        must_be_fresh: bool,
    ) -> Result<Result<Accepted, String>, Error> {
        let head = match Head::parse(text) {
            Ok(head) => head,
            Err(why) => return Ok(Err(format!("its head is damaged: {why}"))),
        };
        if !head.is_of(origin, channel, target) {
            return Ok(Err("its head is that of another channel, origin or platform".to_owned()));
        }
        let (Some(signer), Some(list)) = (head.signer().cloned(), self.list(origin)?) else {
            return Ok(Err(format!("no list of keys of {origin} says which key signs its channels")));
        };
        let Some(key) = list.channel_key(&signer) else {
            return Ok(Err(format!(
                "its head is signed by {signer}, which the list of keys of {origin} (number {}) does not name",
                list.number()
            )));
        };
        if !head.is_signed_by(&key) {
            return Ok(Err(format!("the signature of its head is not that of {signer}")));
        }
        let path = self.head_path(origin, channel, target, &signer);
        if let Some(before) = read(&path)? {
            let seen = Head::parse(&before).map_err(|why| damaged(&path, &why))?.number();
            if head.number() < seen {
                return Ok(Err(format!(
                    "its head has number {}, and {seen} was seen before: an old copy, as a mirror that lags behind or a rollback has it",
                    head.number()
                )));
            }
            if head.number() == seen && before != text {
                return Ok(Err(format!(
                    "its head has number {seen} as the one that was seen before, and other content: one of them is forged"
                )));
            }
        }
        let warning = (head.expires() < now).then(|| {
            format!(
                "what the channel {channel} of {origin} holds was last confirmed long ago, and counts as fresh no more: the depot or \
                 the way to it may keep news back"
            )
        });
        if let (Some(warning), true) = (&warning, must_be_fresh) {
            return Ok(Err(warning.clone()));
        }
        write(&path, text)?;
        Ok(Ok(Accepted { head, warning }))
    }

    /// Whether a head of this channel was accepted before, so that a depot without one keeps it back.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_head(&self, origin: &str, channel: &str, target: &str) -> Result<bool, Error> {
        let dir = self.dir.join(origin).join(channel);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(Error::io(&dir)(e)),
        };
        let prefix = format!("{target}.");
        Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)))
    }

    /// Whether this key, whose file a depot has given, may check packages of its origin from now on.
    ///
    /// # Errors
    /// The trust of this host cannot be read.
    pub fn may_trust(&self, id: &KeyId, key: &PublicKey, trusted: &[String]) -> Result<bool, Error> {
        let fingerprint = fingerprint(key);
        if trusted.iter().any(|text| *text == format!("{id}={fingerprint}")) {
            return Ok(true);
        }
        if let Some(list) = self.list(id.name())? {
            return Ok(list.origin_keys().contains(&ListedKey::new(id, key)));
        }
        Ok(self.keys.latest(id.name(), KeyKind::SigPublic)?.is_none())
    }
}

/// Whether lists follow what was accepted before, and each of them the one before it. Returns a note where they are the first
/// that this host sees of an origin of which it has no key.
fn believe(
    pinned: Option<&OriginList>,
    known: &[ListedKey],
    lists: &[OriginList],
) -> Result<Option<String>, String> {
    let Some((first, newest)) = lists.first().zip(lists.last()) else { return Ok(None) };
    if let Some(pinned) = pinned {
        follows(pinned, first)?;
    }
    for (before, next) in lists.iter().zip(lists.iter().skip(1)) {
        follows(before, next)?;
    }
    if pinned.is_some() || lists.iter().any(|list| list.is_signed_by_one_of(known)) {
        return Ok(None);
    }
    if !known.is_empty() {
        let origin = newest.origin();
        return Err(format!(
            "its list of keys is signed by {}, and this host has other keys of {origin}, which signed none of its lists: compare \
             that key with its owner, then bring it with `annulus origin key import`",
            newest.signer()
        ));
    }
    if !first.is_signed_by_one_of(first.origin_keys()) {
        return Err("no key of its list of keys has signed that".to_owned());
    }
    let signer = newest.signer().to_string();
    let named = lists.iter().rev().flat_map(OriginList::origin_keys).find(|key| key.id == signer);
    let fingerprint = named.map(|key| fingerprint_of(&key.key)).unwrap_or_default();
    Ok(Some(format!(
        "{} is trusted from now on by its key {signer}, fingerprint {fingerprint}: seen for the first time",
        newest.origin()
    )))
}

/// Whether a list may stand where another one was accepted: the same again, or the next one.
fn follows(pinned: &OriginList, list: &OriginList) -> Result<(), String> {
    let (old, new) = (pinned.number(), list.number());
    if new < old {
        return Err(format!("its list of keys has number {new}, and {old} was seen before: an old copy"));
    }
    if new == old && pinned.text() != list.text() {
        return Err(format!(
            "its list of keys has number {new} as the one that was seen before, and other content: one of them is forged"
        ));
    }
    if new > old + 1 || (new > old && !list.is_signed_by_one_of(pinned.origin_keys())) {
        return Err(format!(
            "its list of keys, number {new}, is signed by {}, which number {old} does not name",
            list.signer()
        ));
    }
    Ok(())
}

/// By which people compare a public key: the hash of its bytes.
#[must_use]
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    short(&crypto::hash(key.as_bytes()).to_string())
}

fn fingerprint_of(base64: &str) -> String {
    crypto::base64_decode(base64).map(|bytes| short(&crypto::hash(&bytes).to_string())).unwrap_or_default()
}

fn short(hex: &str) -> String {
    hex.chars().take(32).collect()
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(dir) = path.parent() {
        tree::make_dir(dir)?;
    }
    atomic::write(path, text.as_bytes(), 0o644).map_err(Error::io(path))
}

fn damaged(path: &Path, why: &str) -> Error {
    let why = format!("{why}; move the file away to trust anew what the next depot says");
    Error::io(path)(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::crypto::SecretKey;

    const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

    struct World {
        _dir: tempfile::TempDir,
        pins: Pins,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("a root");
        World { _dir: dir, pins: Pins::new(&root) }
    }

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn id(text: &str) -> KeyId {
        text.parse().expect("a key's name")
    }

    const ORIGIN_KEY: &str = "acme-20260101000000";
    const CHANNEL_KEY: &str = "acme.channel-20260101000000";

    fn list(number: u64, origin_seed: u8, channel_seed: u8, signer: u8) -> String {
        OriginList::sign(
            ("acme", number),
            vec![ListedKey::new(&id(ORIGIN_KEY), &key(origin_seed).public())],
            vec![ListedKey::new(&id(CHANNEL_KEY), &key(channel_seed).public())],
            (&id(ORIGIN_KEY), &key(signer)),
            NOW,
        )
    }

    fn head(after: u64, channel: &str, seed: u8, now: UnixTime) -> String {
        let (signer, key) = (id(CHANNEL_KEY), key(seed));
        let mut text = Head::new("acme", channel, "x86_64-linux").next((&signer, &key), now);
        for _ in 0..after {
            text = Head::parse(&text).expect("a head").next((&signer, &key), now);
        }
        text
    }

    fn take(world: &World, text: &str) -> Result<u64, String> {
        let of = ("acme", "stable", "x86_64-linux");
        let taken = world.pins.accept_head(of, text, NOW, false).expect("the disk");
        taken.map(|accepted| accepted.head.number())
    }

    #[test]
    fn a_number_that_was_seen_is_never_taken_back() {
        let world = world();
        let first = world.pins.accept_list("acme", &list(1, 1, 9, 1)).expect("the disk").expect("taken");
        assert!(first.expect("a note").contains("fingerprint"), "the first is told of");
        assert_eq!(take(&world, &head(4, "stable", 9, NOW)), Ok(5));
        assert_eq!(take(&world, &head(4, "stable", 9, NOW)), Ok(5), "the same again");
        assert!(take(&world, &head(3, "stable", 9, NOW)).expect_err("older").contains("5 was seen before"));
        let other = head(4, "stable", 9, UnixTime::from_millis(NOW.as_millis() + 1));
        assert!(take(&world, &other).expect_err("other content").contains("forged"));
        assert_eq!(take(&world, &head(5, "stable", 9, NOW)), Ok(6), "what was refused has changed nothing");
    }

    #[test]
    fn what_is_of_another_channel_or_key_is_refused() {
        let world = world();
        assert!(
            take(&world, &head(0, "stable", 9, NOW)).expect_err("no list yet").contains("no list of keys")
        );
        world.pins.accept_list("acme", &list(1, 1, 9, 1)).expect("the disk").expect("taken");
        assert!(
            take(&world, &head(0, "dev", 9, NOW)).expect_err("another channel").contains("another channel")
        );
        assert!(take(&world, &head(0, "stable", 8, NOW)).expect_err("another key").contains("signature"));
        let other =
            Head::new("acme", "stable", "x86_64-linux").next((&id("acme-20200101000000"), &key(9)), NOW);
        assert!(take(&world, &other).expect_err("a key without name").contains("does not name"));
        assert!(take(&world, "HEAD-1\n").expect_err("cut").contains("damaged"));
        assert_eq!(take(&world, &head(0, "stable", 9, NOW)), Ok(1));
    }

    #[test]
    fn a_head_that_is_old_warns_or_is_refused() {
        let world = world();
        world.pins.accept_list("acme", &list(1, 1, 9, 1)).expect("the disk").expect("taken");
        let old = head(0, "stable", 9, UnixTime::from_millis(NOW.as_millis() - 40 * 86_400_000));
        let of = ("acme", "stable", "x86_64-linux");
        assert!(world.pins.accept_head(of, &old, NOW, true).expect("the disk").is_err());
        let taken = world.pins.accept_head(of, &old, NOW, false).expect("the disk").expect("taken");
        assert!(taken.warning.expect("a warning").contains("fresh"));
    }

    #[test]
    fn a_list_follows_only_the_one_before_it() {
        let world = world();
        let take = |text: &str| world.pins.accept_list("acme", text).expect("the disk");
        assert!(take(&list(1, 1, 9, 2)).expect_err("not signed by its own key").contains("has signed"));
        take(&list(1, 1, 9, 1)).expect("taken");
        assert!(take(&list(1, 1, 8, 1)).expect_err("other content").contains("forged"));
        assert!(take(&list(3, 1, 9, 1)).is_err(), "a number is left out");
        assert!(take(&list(2, 1, 9, 2)).is_err(), "signed by another key");
        assert!(take(&list(2, 1, 8, 1)).expect("taken").is_none(), "the next needs no word");
        assert!(take(&list(1, 1, 9, 1)).expect_err("older").contains("old copy"));
    }

    const NEW_KEY: &str = "acme-20260301000000";

    /// Lists by which the key of seed 1 hands over to that of seed 2: named by the second list, alone in the third.
    fn rotation() -> Vec<String> {
        let old = ListedKey::new(&id(ORIGIN_KEY), &key(1).public());
        let new = ListedKey::new(&id(NEW_KEY), &key(2).public());
        let channel = vec![ListedKey::new(&id(CHANNEL_KEY), &key(9).public())];
        let sign = |number, keys: &[&ListedKey], (signer, seed): (&str, u8)| {
            let keys = keys.iter().copied().cloned().collect();
            OriginList::sign(("acme", number), keys, channel.clone(), (&id(signer), &key(seed)), NOW)
        };
        vec![
            sign(1, &[&old], (ORIGIN_KEY, 1)),
            sign(2, &[&old, &new], (ORIGIN_KEY, 1)),
            sign(3, &[&new], (NEW_KEY, 2)),
        ]
    }

    #[test]
    fn a_host_with_an_old_key_follows_the_lists_to_the_new_one() {
        let lists = rotation();
        let with_old = || {
            let world = world();
            let file = ListedKey::new(&id(ORIGIN_KEY), &key(1).public()).file().expect("a key");
            world.pins.keys.store(&file).expect("stored");
            world
        };
        let world = with_old();
        let alone = world.pins.accept_lists("acme", &lists[2..]).expect("the disk");
        assert!(alone.expect_err("the newest alone proves nothing").contains("compare"));
        assert!(world.pins.accept_lists("acme", &lists).expect("the disk").expect("taken").is_none());
        assert_eq!(world.pins.list("acme").expect("read").map(|list| list.number()), Some(3));
        let removed = world.pins.keys.origin_public(&id(ORIGIN_KEY)).expect_err("it counts nowhere");
        assert!(matches!(removed, KeyError::Removed { .. }), "{removed}");
        assert!(world.pins.keys.origin_public(&id(NEW_KEY)).is_ok());
        assert_eq!(world.pins.lists("acme").expect("read").into_values().collect::<Vec<_>>(), lists);
        // Lists that do not follow one another prove nothing either.
        let world = with_old();
        let mut forged = lists.clone();
        forged[2] = OriginList::sign(
            ("acme", 3),
            vec![ListedKey::new(&id("acme-20260401000000"), &key(7).public())],
            vec![],
            (&id("acme-20260401000000"), &key(7)),
            NOW,
        );
        let refused = world.pins.accept_lists("acme", &forged).expect("the disk");
        assert!(refused.expect_err("forged").contains("does not name"));
        assert!(world.pins.list("acme").expect("read").is_none(), "none of them was taken");
        assert!(world.pins.keys.origin_public(&id(ORIGIN_KEY)).is_ok());
    }

    #[test]
    fn a_host_that_has_a_key_of_the_origin_believes_no_other() {
        let world = world();
        let file = ListedKey::new(&id(ORIGIN_KEY), &key(1).public()).file().expect("a key");
        world.pins.keys.store(&file).expect("stored");
        let taken = world.pins.accept_list("acme", &list(1, 2, 9, 2)).expect("the disk");
        assert!(taken.expect_err("another key").contains("compare"));
        assert!(
            world.pins.accept_list("acme", &list(1, 1, 9, 1)).expect("the disk").expect("taken").is_none()
        );
        let other = id("acme-20260202000000");
        assert!(!world.pins.may_trust(&other, &key(5).public(), &[]).expect("read"));
        let told = format!("{other}={}", fingerprint(&key(5).public()));
        assert!(world.pins.may_trust(&other, &key(5).public(), &[told]).expect("read"));
    }
}
