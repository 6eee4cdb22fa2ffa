//! Takes public keys of origins, the lists that say which of them count, and makes the keys that sign channels.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use annulus_core::UnixTime;

use super::channels::held_back;
use super::{Actor, Store, write};
use crate::depot::list::{ListedKey, OriginList};
use crate::depot::{Error, tree};
use crate::keys::crypto::{self, PublicKey, SecretKey};
use crate::keys::{KeyCache, KeyError, KeyFile, KeyId, KeyKind};

/// What errors call a key that came.
const SENT: &str = "the key that was sent";

/// What a channel key of an origin is called.
fn channel_key_name(origin: &str) -> String {
    format!("{origin}.channel")
}

impl Store {
    /// Takes a public key of an origin.
    ///
    /// # Errors
    /// It is no such key, it is there already (a [`Error::Conflict`]), or the origin's list does not name it.
    pub fn put_key(
        &self,
        origin: &str,
        revision: &str,
        text: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<(), Error> {
        let key = self.sent_key((origin, revision), text, KeyKind::SigPublic)?;
        let id = key.id.clone();
        if let Some(list) = self.list_of(origin)?
            && !list.origin_keys().contains(&ListedKey { id: id.to_string(), key: listed(&key) })
        {
            return Err(Error::Forbidden(format!(
                "the list of keys of {origin} (number {}) does not name {id}: `annulus origin certify {origin}` makes the next one",
                list.number()
            )));
        }
        let _held = self.hold()?;
        match self.tree.keys().import(text, Path::new(SENT), &[KeyKind::SigPublic]) {
            Ok(imported) if imported.was_there => Err(Error::Conflict(format!("{id} is here already"))),
            Ok(_) => self.audit(now, by, "key", &id.to_string()),
            Err(KeyError::Conflict { .. }) => Err(Error::Conflict(format!(
                "{id} is here already, and is another key: one of them is not its owner's"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// A key that was sent, where it is the one that the address names.
    fn sent_key(
        &self,
        (origin, revision): (&str, &str),
        text: &str,
        kind: KeyKind,
    ) -> Result<KeyFile, Error> {
        let id = self.key_id(origin, revision)?;
        let key = KeyFile::parse(text, Path::new(SENT)).map_err(|e| Error::Refused(e.to_string()))?;
        if key.id == id && key.kind == kind {
            return Ok(key);
        }
        Err(Error::Refused(format!("what was sent is {} {}, and {id} is meant", key.kind.words(), key.id)))
    }

    fn key_id(&self, origin: &str, revision: &str) -> Result<KeyId, Error> {
        tree::check_origin(origin)?;
        format!("{origin}-{revision}").parse().map_err(|e: KeyError| Error::BadRequest(e.to_string()))
    }

    /// A public key of an origin, as text; the newest where no revision is named.
    ///
    /// # Errors
    /// It is not here, or cannot be read.
    pub fn key(&self, origin: &str, revision: Option<&str>) -> Result<(KeyId, String), Error> {
        tree::check_origin(origin)?;
        let keys = self.tree.keys();
        let none = || Error::NotFound(format!("this depot has no public key of {origin}"));
        let id = match revision {
            Some(revision) => self.key_id(origin, revision)?,
            None => keys.latest(origin, KeyKind::SigPublic)?.ok_or_else(none)?,
        };
        match keys.load(&id, KeyKind::SigPublic) {
            Ok(key) => Ok((id, key.to_text())),
            Err(KeyError::Missing { .. }) => Err(Error::NotFound(format!("this depot has no key {id}"))),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of an origin's public keys, oldest first.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn keys_of(&self, origin: &str) -> Result<Vec<KeyId>, Error> {
        tree::check_origin(origin)?;
        Ok(self.tree.keys().revisions(origin, KeyKind::SigPublic)?)
    }

    /// Takes a secret key of an origin, for those who may promote its packages.
    ///
    /// # Errors
    /// It is no such key, or there is another of that name.
    pub fn put_secret(
        &self,
        origin: &str,
        revision: &str,
        text: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<(), Error> {
        let key = self.sent_key((origin, revision), text, KeyKind::SigSecret)?;
        let _held = self.hold()?;
        self.tree.secret_keys().import(text, Path::new(SENT), &[KeyKind::SigSecret])?;
        self.audit(now, by, "secret key", &key.id.to_string())
    }

    /// The newest secret key of an origin, as text.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn secret_key(&self, origin: &str) -> Result<(KeyId, String), Error> {
        tree::check_origin(origin)?;
        let keys = self.tree.secret_keys();
        let id = keys.latest(origin, KeyKind::SigSecret)?;
        let id = id.ok_or_else(|| Error::NotFound(format!("this depot has no secret key of {origin}")))?;
        let key = keys.load(&id, KeyKind::SigSecret)?;
        Ok((id, key.to_text()))
    }

    /// The key by which this depot says what the channels of an origin hold, made when it is first asked for.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn channel_key(&self, origin: &str, now: UnixTime) -> Result<ListedKey, Error> {
        tree::check_origin(origin)?;
        let _held = self.hold()?;
        let keys = self.tree.channel_keys();
        if let Some((id, key)) = keys.origin_secret(&channel_key_name(origin))? {
            return Ok(ListedKey::new(&id, &key.public()));
        }
        let (id, key) = (KeyId::new(&channel_key_name(origin), now)?, crypto::generate_secret_key());
        keys.store(&KeyFile::new(KeyKind::SigSecret, id.clone(), key.as_bytes()))?;
        Ok(ListedKey::new(&id, &key.public()))
    }

    /// The secret half of a channel key, where this depot has it.
    pub(super) fn secret(&self, keys: &KeyCache, id: &KeyId) -> Result<Option<SecretKey>, Error> {
        match keys.load(id, KeyKind::SigSecret) {
            Ok(file) => Ok(SecretKey::from_bytes(file.bytes())),
            Err(KeyError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Which keys count for an origin; none before the first list.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn list_of(&self, origin: &str) -> Result<Option<Arc<OriginList>>, Error> {
        Ok(self.index()?.newest_list(origin))
    }

    /// The text of a list by its number.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn list_text(&self, origin: &str, number: u64) -> Result<String, Error> {
        tree::check_origin(origin)?;
        let path = self.tree.list(origin, number);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::NotFound(format!("{origin} has no list of keys number {number}")))
            }
            Err(e) => Err(Error::io(&path)(e)),
        }
    }

    /// Takes the next list of keys of an origin. Returns its number, and what channels hold back from then on.
    ///
    /// # Errors
    /// It is none, its number does not follow, or no key of the list before it signed it; of the first one, no key of the
    /// origin that this depot has.
    pub fn put_list(
        &self,
        origin: &str,
        text: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<(u64, Vec<String>), Error> {
        tree::check_origin(origin)?;
        let list = OriginList::parse(text)
            .map_err(|why| Error::Refused(format!("the list of keys is refused: {why}")))?;
        if list.origin() != origin {
            return Err(Error::Refused(format!(
                "this list is of origin {}, and {origin} is meant",
                list.origin()
            )));
        }
        self.change(|index| {
            let (before, signers) = match index.newest_list(origin) {
                Some(list) => (list.number(), list.origin_keys().to_vec()),
                None => (0, self.known(origin)?),
            };
            if list.number() != before + 1 {
                return Err(Error::Conflict(format!(
                    "list {} does not follow number {before}, which is the newest here; fetch that and try again",
                    list.number()
                )));
            }
            if !list.is_signed_by_one_of(&signers) {
                return Err(Error::Forbidden(format!(
                    "the list of keys is signed by {}, which the one before does not name; keys that count: {}",
                    list.signer(),
                    signers.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ")
                )));
            }
            for key in list.origin_keys().iter().filter_map(ListedKey::file) {
                self.tree.keys().store(&key)?;
            }
            write(&self.tree.list(origin, list.number()), text)?;
            write(&self.tree.newest_list(origin), text)?;
            self.audit(now, by, "list of keys", &format!("{origin} {}", list.number()))?;
            index.put_list(list.clone());
            Ok((list.number(), held_back(index, origin)))
        })
    }

    /// The public keys of an origin that were uploaded.
    fn known(&self, origin: &str) -> Result<Vec<ListedKey>, Error> {
        let keys = self.tree.keys();
        let mut known = Vec::new();
        for id in keys.revisions(origin, KeyKind::SigPublic)? {
            known.push(ListedKey::new(&id, &keys.origin_public(&id)?));
        }
        Ok(known)
    }
}

/// Checks that a key still counts for its origin, by that origin's list.
pub(super) fn check_signer(list: Option<&OriginList>, signer: &KeyId) -> Result<(), Error> {
    let Some(list) = list else { return Ok(()) };
    if list.origin_keys().iter().any(|key| key.id == signer.to_string()) {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "{signer} is not among the keys that count for {} (list {}): `annulus origin certify {}` makes the next one",
        signer.name(),
        list.number(),
        signer.name()
    )))
}

fn listed(key: &KeyFile) -> String {
    let public = PublicKey::from_bytes(key.bytes());
    public.map(|public| ListedKey::new(&key.id, &public).key).unwrap_or_default()
}
