//! The folder that keys are kept in. Adds and reads keys of any kind, and never overwrites or removes one.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use annulus_core::UnixTime;

use super::file::FILE_BYTES_MAX;
use super::{KeyError, KeyFile, KeyId, KeyKind, rights};
use crate::host::{atomic, lock_file, small_file, timestamp};

/// A host whose clock is before this was set by no operator.
const CLOCK_MIN: UnixTime = UnixTime::from_millis(1_577_836_800_000);
/// A key made by a host whose clock is so far ahead is told of, in milliseconds.
const AHEAD_MS_MAX: u64 = 86_400_000;

/// The key cache, `<root>/cache/keys`.
#[derive(Clone, Debug)]
pub struct KeyCache {
    dir: PathBuf,
}

/// A key that was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its name and revision.
    pub id: KeyId,
    /// What it is.
    pub kind: KeyKind,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was there already.
    pub was_there: bool,
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

    /// Where the file of a key is.
    #[must_use]
    pub fn path(&self, id: &KeyId, kind: KeyKind) -> PathBuf {
        self.dir.join(id.file_name(kind))
    }

    /// Stores a key. A key that is there already with the same content is left as it is.
    ///
    /// # Errors
    /// The same name and revision is there with other content, which is never overwritten, or the disk refuses.
    pub fn store(&self, key: &KeyFile) -> Result<PathBuf, KeyError> {
        self.store_new(key).map(|(path, _)| path)
    }

    /// As [`Self::store`], and whether the key was not there before.
    fn store_new(&self, key: &KeyFile) -> Result<(PathBuf, bool), KeyError> {
        fs::create_dir_all(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let path = self.path(&key.id, key.kind);
        let created = atomic::create(&path, key.to_text().as_bytes(), key.kind.mode());
        let created = created.map_err(|source| io_error(&path, source))?;
        // A file that came by copying may end its last line or not, and says the same.
        if !created
            && !self.read(&path).is_ok_and(|old| old.trim_end().as_bytes() == key.to_text().as_bytes())
        {
            return Err(KeyError::Conflict { path });
        }
        Ok((path, created))
    }

    /// Takes a key of one of these kinds from its text, which came from `from`. Where the cache has the other half of its
    /// pair, both have to belong together.
    ///
    /// # Errors
    /// It is no key, or not of these kinds, it does not fit what is there, or the disk refuses; nothing is written then.
    pub fn import(&self, text: &str, from: &Path, kinds: &[KeyKind]) -> Result<Imported, KeyError> {
        let key = KeyFile::parse(text, from)?;
        if !kinds.contains(&key.kind) {
            let wanted = kinds.first().copied().unwrap_or(key.kind);
            return Err(KeyError::Kind { path: from.to_owned(), is: key.kind, wanted });
        }
        self.check_pair(&key, from)?;
        let (path, is_new) = self.store_new(&key)?;
        Ok(Imported { id: key.id, kind: key.kind, path, was_there: !is_new })
    }

    /// The key of exactly this revision, checked against the other half of its pair where the cache has that. A link is
    /// followed.
    ///
    /// # Errors
    /// It is not there, not readable, open to other users, or its content is not what the file's name says.
    pub fn load(&self, id: &KeyId, kind: KeyKind) -> Result<KeyFile, KeyError> {
        let path = self.path(id, kind);
        let (key, _) = self.open(id, kind, &path)?;
        self.check_pair(&key, &path)?;
        Ok(key)
    }

    /// Reads one file, and remarks on its mode.
    fn open(&self, id: &KeyId, kind: KeyKind, path: &Path) -> Result<(KeyFile, Option<String>), KeyError> {
        let file = small_file::open(path).map_err(|error| self.unopened(error, id, kind, path))?;
        let io = |source| io_error(path, source);
        let meta = file.metadata().map_err(io)?;
        let text = read(&file).map_err(io)?;
        let key = KeyFile::parse(&text, path)?;
        if key.kind != kind {
            return Err(KeyError::Kind { path: path.to_owned(), is: key.kind, wanted: kind });
        }
        let remark = rights::check(&file, &meta, path, kind)?;
        if key.id != *id {
            let reason = "line 2 names another key than the file's name";
            return Err(KeyError::Malformed { path: path.to_owned(), reason });
        }
        Ok((key, remark))
    }

    fn unopened(&self, error: io::Error, id: &KeyId, kind: KeyKind, path: &Path) -> KeyError {
        if error.kind() != io::ErrorKind::NotFound {
            return io_error(path, error);
        }
        if path.is_symlink() {
            return io_error(path, io::Error::new(error.kind(), "the link leads nowhere"));
        }
        KeyError::Missing { id: id.clone(), kind, dir: self.dir.clone(), file: id.file_name(kind) }
    }

    /// Checks a key against the other half of its pair, where the cache has a file of that kind which can be read.
    fn check_pair(&self, key: &KeyFile, path: &Path) -> Result<(), KeyError> {
        let Some(partner) = key.kind.partner() else { return Ok(()) };
        let other = self.path(&key.id, partner);
        let Ok(text) = self.read(&other) else { return Ok(()) };
        let other_key = KeyFile::parse(&text, &other);
        // Who seals or signs with a secret key gives others the file beside it, in which they would find no key.
        if key.kind.is_secret() && text.trim().is_empty() {
            return Err(
                other_key.map_or_else(|error| error, |_| KeyError::Pair { path: path.to_owned(), other })
            );
        }
        // A file that is not of this pair (a user's public key has the same suffix as an origin's) says nothing about it.
        match other_key.ok().filter(|found| found.kind == partner && found.id == key.id) {
            Some(found) if found.public_half() != key.public_half() => {
                Err(KeyError::Pair { path: path.to_owned(), other })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        read(&small_file::open(path)?)
    }

    /// The newest revision of a name's keys of this kind, when there is one.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn latest(&self, name: &str, kind: KeyKind) -> Result<Option<KeyId>, KeyError> {
        Ok(self.revisions(name, kind)?.pop())
    }

    /// The revisions of a name's keys of this kind, oldest first.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn revisions(&self, name: &str, kind: KeyKind) -> Result<Vec<KeyId>, KeyError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io_error(&self.dir, source)),
        };
        let suffix = format!(".{}", kind.suffix());
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(|source| io_error(&self.dir, source))?.file_name();
            let id = file.to_str().and_then(|file| file.strip_suffix(&suffix)?.parse::<KeyId>().ok());
            found.extend(id.filter(|id| id.name() == name));
        }
        found.sort_unstable();
        // Public keys of both sorts have one suffix, and only the first line tells them apart.
        let is_other = |id: &KeyId| {
            let tag = self.read(&self.path(id, kind)).ok()?.lines().next()?.to_owned();
            KeyKind::ALL.into_iter().find(|other| other.tag() == tag).map(|other| other != kind)
        };
        found.retain(|id| kind.is_secret() || is_other(id) != Some(true));
        Ok(found)
    }

    /// What an operator should know about a key that can be used: its mode, where that cannot be changed, and a revision
    /// that lies ahead of this host's clock.
    #[must_use]
    pub fn remarks(&self, id: &KeyId, kind: KeyKind, now: UnixTime) -> Vec<String> {
        let path = self.path(id, kind);
        let mut remarks: Vec<String> =
            self.open(id, kind, &path).ok().and_then(|(_, remark)| remark).into_iter().collect();
        remarks.extend(self.misnamed(id.name(), kind).into_iter().map(|path| {
            format!(
                "key file {} is passed over: its revision is no time, which 14 digits of UTC have to be, as in {id}; move it away",
                path.display()
            )
        }));
        let limit = UnixTime::from_millis(now.as_millis().saturating_add(AHEAD_MS_MAX));
        if id.revision() > timestamp::digits(limit).as_str() {
            let mut remark = format!(
                "key {id} was made ahead of this host's clock ({}): it counts as the newest of {} until then; one of the two \
                 clocks is wrong",
                timestamp::rfc3339_millis(now),
                id.name()
            );
            if kind == KeyKind::Shared {
                remark += &format!(
                    ". As long as no supervisor speaks with it, there is a way back: move {} away on every host that has it, and \
                     `annulus ring key generate {}`. A ring that speaks with it goes on so: each key that is generated there is a \
                     second newer than the last one, and members change over to it as to any other",
                    path.display(),
                    id.name()
                );
            }
            remarks.push(remark);
        }
        remarks
    }

    /// Files that would be keys of this name and kind, but for their revision.
    fn misnamed(&self, name: &str, kind: KeyKind) -> Vec<PathBuf> {
        let suffix = format!(".{}", kind.suffix());
        let is_misnamed = |file: &str| {
            let id = file.strip_suffix(&suffix).unwrap_or_default();
            let names_it =
                id.strip_prefix(name).is_some_and(|rest| rest.len() == 15 && KeyId::looks_like_one(rest));
            names_it && id.parse::<KeyId>().is_err()
        };
        let names = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut found: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        found.retain(|file| is_misnamed(file));
        found.sort_unstable();
        found.iter().map(|file| self.dir.join(file)).collect()
    }

    /// The revision that a new key of this name gets: newer than those that are there.
    ///
    /// # Errors
    /// The name cannot name a key, or this host's clock is wrong: it stands where no key can have been made, or behind the
    /// newest key of this name, which would stay the newest.
    pub(super) fn new_id(&self, name: &str, kind: KeyKind, now: UnixTime) -> Result<KeyId, KeyError> {
        self.id_after(name, (kind, now), self.latest(name, kind)?)
    }

    /// The revision that a new key of this name gets beside the `newest` one that counts.
    pub(super) fn id_after(
        &self,
        name: &str,
        (kind, now): (KeyKind, UnixTime),
        newest: Option<KeyId>,
    ) -> Result<KeyId, KeyError> {
        let id = KeyId::new(name, now)?;
        let newest = newest.filter(|newest| newest.revision() > id.revision());
        let clock = |newest| KeyError::Clock { now: timestamp::rfc3339_millis(now), newest };
        match newest {
            _ if now < CLOCK_MIN => Err(clock(newest)),
            None => Ok(id),
            // A ring that speaks with a key of a wrong clock has to get another one.
            Some(ahead) if kind == KeyKind::Shared => {
                let next = ahead.following();
                next.ok_or_else(|| clock(Some(ahead)))
            }
            Some(ahead) => Err(clock(Some(ahead))),
        }
    }

    /// Held while keys are looked for and made: two commands at once must not make two keys.
    pub(super) fn held(&self) -> Result<File, KeyError> {
        let path = self.dir.join(".lock");
        let held = lock_file::open_in_folder(&path).and_then(|held| held.lock().map(|()| held));
        held.map_err(|source| io_error(&path, source))
    }
}

/// The text of a key file; what is longer than any is cut, so that it is noticed.
fn read(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.to_owned(), source }
}
