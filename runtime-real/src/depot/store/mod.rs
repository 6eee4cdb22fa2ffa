//! A depot's tree, and what may be changed in it. What is asked for is answered from memory; what changes is verified first,
//! written under a lock that other processes heed, and then written down in `audit.jsonl`.
//!
//! `index` is what is known of the tree, `upload` takes packages, `channels` promotes and demotes, `keys` takes keys and lists
//! of keys, `tidy` removes packages and builds the records again from the files.

mod channels;
mod index;
mod keys;
mod tidy;
mod upload;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::{PackageIdent, UnixTime};
use tokio::sync::watch;

pub use channels::{ChannelOf, Moved};
use index::Index;
pub use tidy::Report;
pub use upload::Upload;

use super::audit;
use super::head::Head;
use super::token::{ANY_ORIGIN, Role, Token, Tokens};
use super::{Error, Record, Tree};
use crate::host::{atomic, lock_file};
use crate::package::Limits;

pub use super::audit::Actor;

/// A depot that is open.
#[derive(Debug)]
pub struct Store {
    tree: Tree,
    limits: Limits,
    state: Mutex<State>,
    /// Counts the changes; who waits for one looks at it.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    index: Arc<Index>,
    /// The text of the generation file that the index is of.
    generation: String,
}

impl Store {
    /// Opens a depot, and makes one where there is none.
    ///
    /// # Errors
    /// The disk or the rights refuse.
    pub fn make(tree: Tree) -> Result<Self, Error> {
        tree.make()?;
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
        let generation = generation(&tree)?;
        let index = Arc::new(Index::load(&tree)?);
        let state = Mutex::new(State { index, generation });
        Ok(Self { tree, limits: Limits::default(), state, changes: watch::Sender::new(0) })
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

    /// What the tree holds now, whichever process changed it.
    fn index(&self) -> Result<Arc<Index>, Error> {
        let mut state = self.state();
        self.refresh(&mut state)?;
        Ok(Arc::clone(&state.index))
    }

    fn refresh(&self, state: &mut State) -> Result<(), Error> {
        let now = generation(&self.tree)?;
        if now != state.generation {
            state.index = Arc::new(Index::load(&self.tree)?);
            state.generation = now;
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Changes the tree: no other process does meanwhile. What was changed before an error stays on disk, and is seen.
    fn change<T>(&self, work: impl FnOnce(&mut Index) -> Result<T, Error>) -> Result<T, Error> {
        let mut state = self.state();
        let _held = self.hold()?;
        self.refresh(&mut state)?;
        let mut index = Index::clone(&state.index);
        let done = work(&mut index);
        match &done {
            Ok(_) => state.index = Arc::new(index),
            Err(_) => state.index = Arc::new(Index::load(&self.tree)?),
        }
        let path = self.tree.generation();
        let next = state.generation.trim().parse::<u64>().unwrap_or_default() + 1;
        atomic::write(&path, next.to_string().as_bytes(), 0o644).map_err(Error::io(&path))?;
        state.generation = next.to_string();
        self.changes.send_modify(|count| *count += 1);
        done
    }

    fn hold(&self) -> Result<File, Error> {
        let path = self.tree.lock();
        let file = lock_file::open(&path).map_err(Error::io(&path))?;
        file.lock().map_err(Error::io(&path))?;
        Ok(file)
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

    /// Makes a token; its text is shown this once.
    ///
    /// # Errors
    /// There are too many, or the disk refuses.
    pub fn make_token(
        &self,
        origin: &str,
        role: Role,
        now: UnixTime,
        expires_ms: Option<u64>,
    ) -> Result<String, Error> {
        let _held = self.hold()?;
        let mut tokens = Tokens::load(&self.tree.tokens())?;
        let text = tokens.make(origin, role, now, expires_ms)?;
        tokens.save(&self.tree.tokens())?;
        self.audit(now, &Actor::local(), "token", &format!("{} {origin}", role.name()))?;
        Ok(text)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none of this id, or the disk refuses.
    pub fn revoke_token(&self, id: &str, now: UnixTime) -> Result<(), Error> {
        let _held = self.hold()?;
        let mut tokens = Tokens::load(&self.tree.tokens())?;
        if !tokens.revoke(id) {
            return Err(Error::NotFound(format!(
                "no token has the id {id:?}; `annulus depot token --list` lists them"
            )));
        }
        tokens.save(&self.tree.tokens())?;
        self.audit(now, &Actor::local(), "revoke token", id)
    }

    /// Every token.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        Ok(Tokens::load(&self.tree.tokens())?.list().to_vec())
    }

    /// Checks that a token allows this, and returns its id.
    ///
    /// # Errors
    /// It is unknown, or allows less.
    pub fn admit(
        &self,
        token: Option<&str>,
        origin: &str,
        role: Role,
        now: UnixTime,
    ) -> Result<String, Error> {
        let Some(text) = token else {
            return Err(Error::Unauthorized(format!(
                "a token is needed to {} packages of {origin}: give one with -z or HAB_AUTH_TOKEN; on the depot's host \
                 `annulus depot token {origin} --role {}` makes one",
                role.name(),
                role.name()
            )));
        };
        let tokens = Tokens::load(&self.tree.tokens())?;
        let Some(token) = tokens.find(text) else {
            return Err(Error::Unauthorized(
                "this token is not one of this depot's, or was revoked".to_owned(),
            ));
        };
        if token.has_expired(now) {
            return Err(Error::Unauthorized(format!("token {} has expired", token.id)));
        }
        if !token.allows(origin, role, now) {
            return Err(Error::Forbidden(format!(
                "token {} allows to {} packages of {}, and not to {} those of {origin}",
                token.id,
                token.role.name(),
                if token.origin == ANY_ORIGIN { "every origin" } else { &token.origin },
                role.name()
            )));
        }
        Ok(token.id.clone())
    }
}

fn generation(tree: &Tree) -> Result<String, Error> {
    let path = tree.generation();
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
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
