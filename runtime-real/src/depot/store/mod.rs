//! A depot's tree, and what may be changed in it. What is asked for is answered from memory; what changes is verified first,
//! written under a lock that other processes heed, and then written down in `audit.jsonl`.
//!
//! `index` is what is known of the tree, `upload` takes packages, `channels` promotes and demotes, `keys` takes keys and lists
//! of keys, `tokens` says who may do so, `tidy` removes packages and builds the records again from the files, `mirror` notices
//! what a copy of a tree has been brought.

mod channels;
mod index;
mod keys;
mod mirror;
mod tidy;
mod tokens;
mod upload;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use annulus_core::{PackageIdent, UnixTime};
use tokio::sync::watch;

pub use channels::{ChannelOf, Moved};
use index::Index;
pub use tidy::Report;
pub use upload::Upload;

use super::audit;
use super::head::Head;
use super::{Error, Record, Tree};
use crate::host::{atomic, clock, lock_file};
use crate::package::Limits;

pub use super::audit::Actor;

/// A change waits so long for another one, in milliseconds.
const HOLD_MAX_MS: u64 = 5_000;
/// Between two looks whether the other one has ended.
const HOLD_PERIOD: Duration = Duration::from_millis(10);

/// A depot that is open.
#[derive(Debug)]
pub struct Store {
    tree: Tree,
    limits: Limits,
    state: Mutex<State>,
    /// Held by what changes the tree in this process; who reads waits for none of them.
    writing: Mutex<()>,
    mirror: Mutex<mirror::Look>,
    /// Counts the changes; who waits for one looks at it.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    index: Arc<Index>,
    /// The text of the generation file that the index is of.
    generation: String,
    /// Whether a change that another process has made is being read.
    is_loading: bool,
}

/// What a change holds while it is made: no other one is, in this process or another.
#[derive(Debug)]
struct Held<'a> {
    _own: MutexGuard<'a, ()>,
    _file: File,
}

impl Store {
    /// Opens a depot, and makes one where there is none.
    ///
    /// # Errors
    /// The disk or the rights refuse.
    pub fn make(tree: Tree) -> Result<Self, Error> {
        match tree.make() {
            // A mirror may lie where none may write.
            Err(Error::Io { source, .. }) if tree.is_there() && is_readable_only(&source) => {}
            made => {
                made?;
                upload::remove_abandoned(&tree)?;
            }
        }
        Self::open(tree)
    }

    /// Opens a depot that is there.
    ///
    /// # Errors
    /// It is not, or the disk or the rights refuse.
    pub fn open(tree: Tree) -> Result<Self, Error> {
        if !tree.is_there() {
            return Err(Error::NoTree { dir: tree.dir().to_owned() });
        }
        let mirror = Mutex::default();
        let generation = generation(&tree, &mirror)?;
        let index = Arc::new(Index::load(&tree)?);
        let state = Mutex::new(State { index, generation, is_loading: false });
        let (limits, changes) = (Limits::default(), watch::Sender::new(0));
        Ok(Self { tree, limits, state, writing: Mutex::default(), mirror, changes })
    }

    /// Its tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Wakes when something has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the tree holds now, whichever process changed it. Where a change is being made or read, what it held before.
    fn index(&self) -> Result<Arc<Index>, Error> {
        let now = generation(&self.tree, &self.mirror)?;
        let before = {
            let mut state = self.state();
            if state.generation == now || state.is_loading {
                return Ok(Arc::clone(&state.index));
            }
            state.is_loading = true;
            state.generation.clone()
        };
        let loaded = Index::load(&self.tree);
        let mut state = self.state();
        state.is_loading = false;
        // A change of this process may have come meanwhile, which knows better.
        if state.generation == before {
            state.index = Arc::new(loaded?);
            state.generation = now;
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(Arc::clone(&state.index))
    }

    /// Changes the tree: no other process does meanwhile. What was changed before an error stays on disk, and is seen.
    fn change<T>(&self, work: impl FnOnce(&mut Index) -> Result<T, Error>) -> Result<T, Error> {
        let _held = self.hold()?;
        let now = generation(&self.tree, &self.mirror)?;
        let known = {
            let state = self.state();
            (state.generation == now).then(|| Arc::clone(&state.index))
        };
        let mut index = match known {
            Some(index) => Index::clone(&index),
            None => Index::load(&self.tree)?,
        };
        let done = work(&mut index);
        if done.is_err() {
            index = Index::load(&self.tree)?;
        }
        let path = self.tree.generation();
        let next = (now.trim().parse::<u64>().unwrap_or_default() + 1).to_string();
        {
            let mut state = self.state();
            state.index = Arc::new(index);
            state.generation.clone_from(&next);
        }
        atomic::write(&path, next.as_bytes(), 0o644).map_err(Error::io(&path))?;
        self.changes.send_modify(|count| *count += 1);
        done
    }

    /// Keeps others from changing the tree, and waits for one that does, but not for long: who waits for the answer can come
    /// again, and does not keep a thread from those who read.
    fn hold(&self) -> Result<Held<'_>, Error> {
        let path = self.tree.lock();
        let file = lock_file::open(&path).map_err(Error::io(&path))?;
        let begun_ms = clock::boot_ms();
        loop {
            let own = match self.writing.try_lock() {
                Ok(own) => Some(own),
                Err(TryLockError::Poisoned(own)) => Some(own.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            match own.map(|own| file.try_lock().map(|()| own)) {
                Some(Ok(own)) => return Ok(Held { _own: own, _file: file }),
                Some(Err(fs::TryLockError::Error(error))) => return Err(Error::io(&path)(error)),
                Some(Err(fs::TryLockError::WouldBlock)) | None => {}
            }
            if clock::boot_ms().saturating_sub(begun_ms) > HOLD_MAX_MS {
                return Err(Error::Busy { seconds: HOLD_MAX_MS / 1000 });
            }
            thread::sleep(HOLD_PERIOD);
        }
    }

    fn audit(&self, now: UnixTime, by: &Actor, what: &str, on: &str) -> Result<(), Error> {
        audit::write(&self.tree.audit(), now, by, what, on)
    }

    /// The record of a package.
    ///
    /// # Errors
    /// It is not here, or the tree cannot be read.
    pub fn record(&self, ident: &PackageIdent, target: &str) -> Result<Arc<Record>, Error> {
        let index = self.index()?;
        index.record(ident, target).ok_or_else(|| self.unknown(&index, ident, target))
    }

    fn unknown(&self, index: &Index, ident: &PackageIdent, target: &str) -> Error {
        let others = index.targets(ident);
        let elsewhere =
            if others.is_empty() { String::new() } else { format!("; it is here for {}", others.join(", ")) };
        Error::NotFound(format!("{ident} for {target} was never uploaded to this depot{elsewhere}"))
    }

    /// The newest package of a channel that satisfies an ident.
    ///
    /// # Errors
    /// There is none, or the tree cannot be read.
    pub fn latest(&self, channel: &str, wanted: &PackageIdent, target: &str) -> Result<Arc<Record>, Error> {
        let index = self.index()?;
        let found = match index.head(wanted.origin(), channel, target) {
            _ if channel == super::UNSTABLE => index.newest(wanted, target),
            Some(head) => head.newest(wanted).and_then(|(ident, _)| index.record(&ident, target)),
            None => None,
        };
        found.ok_or_else(|| {
            Error::NotFound(format!("channel {channel} of {} has no {wanted} for {target}", wanted.origin()))
        })
    }

    /// Every package of a channel, or of all where none is named, that satisfies the beginning of an ident: its origin, and a
    /// name, version and release where they are given. Newer before older, as in Habitat.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn list(
        &self,
        channel: Option<&str>,
        parts: &[&str],
    ) -> Result<Vec<(PackageIdent, Vec<String>)>, Error> {
        let index = self.index()?;
        Ok(index.list(channel.filter(|channel| *channel != super::UNSTABLE), parts))
    }

    /// The newest package of each name in a channel.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn heads(&self, origin: &str, channel: &str, target: &str) -> Result<Vec<PackageIdent>, Error> {
        let mut newest: Vec<PackageIdent> = Vec::new();
        for (ident, targets) in self.list(Some(channel), &[origin])? {
            if targets.iter().any(|other| other == target)
                && newest.iter().all(|known| known.name() != ident.name())
            {
                newest.push(ident);
            }
        }
        Ok(newest)
    }

    /// Packages whose origin or name contains a word.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn search(&self, word: &str, distinct: bool) -> Result<Vec<PackageIdent>, Error> {
        Ok(self.index()?.search(word, distinct))
    }

    /// The signed text of a channel's head, and its number; none before the first promotion.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn head(&self, origin: &str, channel: &str, target: &str) -> Result<Option<(Arc<str>, u64)>, Error> {
        let index = self.index()?;
        let head = index.head_text(origin, channel, target);
        Ok(head.map(|(text, head)| (text, head.number())))
    }
}

fn is_readable_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// What tells one state of a tree from another: a number that each change raises, or in a mirror, which has none, what its
/// files look like.
fn generation(tree: &Tree, mirror: &Mutex<mirror::Look>) -> Result<String, Error> {
    let path = tree.generation();
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            mirror.lock().unwrap_or_else(PoisonError::into_inner).now(tree)
        }
        Err(e) => Err(Error::io(&path)(e)),
    }
}

/// Brings a text into the tree, with the directories above it.
fn write(path: &std::path::Path, text: &str) -> Result<(), Error> {
    if let Some(dir) = path.parent() {
        super::tree::make_dir(dir)?;
    }
    atomic::write(path, text.as_bytes(), 0o644).map_err(Error::io(path))
}

/// A head that is read from the tree, or the beginning of one.
fn head_or_new(index: &Index, origin: &str, channel: &str, target: &str) -> Head {
    index.head(origin, channel, target).cloned().unwrap_or_else(|| Head::new(origin, channel, target))
}
