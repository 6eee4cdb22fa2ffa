//! Promotes and demotes: what a channel holds changes by a new number of its head, whole and signed, and in no other way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

use annulus_core::{PackageIdent, UnixTime};

use super::index::Index;
use super::keys::check_signer;
use super::{Actor, Store, head_or_new, write};
use crate::depot::head::{Entry, Head};
use crate::depot::{Error, Record, STABLE, UNSTABLE, tree};
use crate::keys::KeyId;
use crate::keys::crypto::{Hash, SecretKey};

/// So many numbers before the current one are kept, for those who look what was.
const NUMBERS_KEPT: u64 = 100;

/// A channel that a package is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOf {
    /// Its name.
    pub name: String,
    /// Since when.
    pub promoted_at: String,
}

/// A package that a channel holds, the hash of its file, and how large that is.
type Held = (PackageIdent, Hash, u64);

/// Whether a promotion or demotion changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It did: the channel has a new number.
    Yes(u64),
    /// It was so already.
    No,
}

impl Store {
    /// The channels of an origin.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn channels(&self, origin: &str) -> Result<Vec<String>, Error> {
        Ok(self.index()?.channels(origin))
    }

    /// The channels that a package is in.
    ///
    /// # Errors
    /// The package is not here, or the tree cannot be read.
    pub fn channels_of(&self, ident: &PackageIdent, target: &str) -> Result<Vec<ChannelOf>, Error> {
        let index = self.index()?;
        let record = index.record(ident, target).ok_or_else(|| self.unknown(&index, ident, target))?;
        let uploaded = record.created_at.clone().unwrap_or_default();
        let mut found = vec![ChannelOf { name: UNSTABLE.to_owned(), promoted_at: uploaded }];
        for ((origin, channel, on), head) in index.heads() {
            if origin == ident.origin()
                && on == target
                && let Some((_, entry)) = head.newest(ident)
            {
                found.push(ChannelOf { name: channel.clone(), promoted_at: entry.promoted_at.clone() });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Whether a package is in a channel.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn is_in(&self, channel: &str, ident: &PackageIdent, target: &str) -> Result<bool, Error> {
        let index = self.index()?;
        if channel == UNSTABLE {
            return Ok(index.record(ident, target).is_some());
        }
        let head = index.head(ident.origin(), channel, target);
        Ok(head.is_some_and(|head| head.newest(ident).is_some()))
    }

    /// Makes a channel.
    ///
    /// # Errors
    /// It is there already, its name is malformed, or the disk refuses.
    pub fn make_channel(&self, origin: &str, channel: &str, now: UnixTime, by: &Actor) -> Result<(), Error> {
        tree::check_origin(origin)?;
        tree::check_channel(channel)?;
        self.change(|index| {
            if index.has_channel(origin, channel) {
                return Err(Error::Conflict(format!("channel {channel} of {origin} is there already")));
            }
            for (target, mut head) in index.heads_of(origin, channel) {
                head.restore();
                self.publish(index, (origin, channel, &target), head, now)?;
            }
            tree::make_dir(&self.tree.channel(origin, channel))?;
            index.put_channel(origin, channel);
            self.audit(now, by, "make channel", &format!("{origin} {channel}"))
        })
    }

    /// Removes a channel; its packages stay.
    ///
    /// # Errors
    /// There is none, it is one that is always there, or the disk refuses.
    pub fn remove_channel(
        &self,
        origin: &str,
        channel: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<(), Error> {
        if channel == UNSTABLE || channel == STABLE {
            return Err(Error::Forbidden(format!(
                "every origin has the channel {channel}, which is never removed"
            )));
        }
        self.change(|index| {
            self.need_channel(index, origin, channel)?;
            let heads = index.heads_of(origin, channel);
            for (target, mut head) in heads.clone() {
                head.remove_all();
                self.publish(index, (origin, channel, &target), head, now)?;
            }
            if heads.is_empty() {
                let dir = self.tree.channel(origin, channel);
                match fs::remove_dir_all(&dir) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(&dir)(e)),
                    _ => index.remove_channel(origin, channel),
                }
            }
            self.audit(now, by, "remove channel", &format!("{origin} {channel}"))
        })
    }

    fn need_channel(&self, index: &Index, origin: &str, channel: &str) -> Result<(), Error> {
        if index.has_channel(origin, channel) {
            return Ok(());
        }
        Err(Error::NotFound(format!(
            "{origin} has no channel {channel}; it has {}",
            index.channels(origin).join(", ")
        )))
    }

    /// Puts a package into a channel.
    ///
    /// # Errors
    /// The package was never uploaded, the key that signed it or the one that signs the channel does not count, or the disk
    /// refuses.
    pub fn promote(
        &self,
        ident: &PackageIdent,
        target: &str,
        channel: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<Moved, Error> {
        tree::check_channel(channel)?;
        self.change(|index| {
            let record = index.record(ident, target).ok_or_else(|| self.unknown(index, ident, target))?;
            if channel == UNSTABLE {
                return Ok(Moved::No);
            }
            check_counts(index, ident, &record)?;
            let hash =
                record.hash().ok_or_else(|| Error::Refused(format!("the record of {ident} is damaged")))?;
            let entry = Entry::new(ident, &hash, record.size_bytes.unwrap_or_default(), now);
            self.alter(index, (ident.origin(), channel, target), ("promote", now, by), ident, |head| {
                head.add(ident, entry)
            })
        })
    }

    /// Takes a package out of a channel, whatever is missing of the package.
    ///
    /// # Errors
    /// The channel is unstable, it is not there or does not have the package, no channel key counts for the origin, or the disk
    /// refuses.
    pub fn demote(
        &self,
        ident: &PackageIdent,
        target: &str,
        channel: &str,
        now: UnixTime,
        by: &Actor,
    ) -> Result<Moved, Error> {
        if channel == UNSTABLE {
            return Err(Error::Forbidden(
                "a package is in the channel unstable as long as the depot has it; `annulus pkg delete` removes it".to_owned(),
            ));
        }
        self.change(|index| {
            self.need_channel(index, ident.origin(), channel)?;
            let key = (ident.origin(), channel, target);
            let moved = self.alter(index, key, ("demote", now, by), ident, |head| head.remove(ident))?;
            if moved != Moved::No {
                return Ok(moved);
            }
            if index.record(ident, target).is_none() {
                return Err(self.unknown(index, ident, target));
            }
            Err(Error::NotFound(format!("{ident} is not in the channel {channel}")))
        })
    }

    /// Changes what a channel holds, where that is a change.
    fn alter(
        &self,
        index: &mut Index,
        key: (&str, &str, &str),
        (what, now, by): (&str, UnixTime, &Actor),
        ident: &PackageIdent,
        change: impl FnOnce(&mut Head) -> bool,
    ) -> Result<Moved, Error> {
        let (origin, channel, target) = key;
        let mut head = head_or_new(index, origin, channel, target);
        if !change(&mut head) {
            return Ok(Moved::No);
        }
        let number = self.publish(index, key, head, now)?;
        self.audit(now, by, what, &format!("{ident} {target} {channel} {number}"))?;
        Ok(Moved::Yes(number))
    }

    /// Puts everything that one channel holds into another, or takes it out: one number for each platform. Returns how many
    /// packages that were, and which were left out, because the key that signed them does not count any more.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub fn move_all(
        &self,
        origin: &str,
        (from, to): (&str, &str),
        is_in: bool,
        now: UnixTime,
        by: &Actor,
    ) -> Result<(u64, Vec<String>), Error> {
        tree::check_channel(to)?;
        if to == UNSTABLE {
            return Err(Error::Forbidden("what the channel unstable holds is what was uploaded".to_owned()));
        }
        self.change(|index| {
            self.need_channel(index, origin, from)?;
            let (mut moved, mut held_back) = (0, Vec::new());
            for (target, packages) in held(index, origin, from) {
                let mut head = head_or_new(index, origin, to, &target);
                let before = moved;
                for (ident, hash, size_bytes) in packages {
                    let changed = if !is_in {
                        head.remove(&ident)
                    } else if let Some(why) = why_held_back(index, &ident, &target) {
                        held_back.push(format!("{ident} for {target}: {why}"));
                        false
                    } else {
                        head.add(&ident, Entry::new(&ident, &hash, size_bytes, now))
                    };
                    moved += u64::from(changed);
                }
                if moved > before {
                    self.publish(index, (origin, to, &target), head, now)?;
                }
            }
            let what = if is_in { "promote channel" } else { "demote channel" };
            self.audit(now, by, what, &format!("{origin} {from} {to} {moved}"))?;
            Ok((moved, held_back))
        })
    }

    /// Signs the next number of a head, and brings it into the tree.
    fn publish(
        &self,
        index: &mut Index,
        (origin, channel, target): (&str, &str, &str),
        head: Head,
        now: UnixTime,
    ) -> Result<u64, Error> {
        let (signer, key) = self.channel_signer(index, origin)?;
        let text = head.next((&signer, &key), now);
        let head = Head::parse(&text).map_err(Error::Refused)?;
        let dir = self.tree.channel(origin, channel).join(target);
        let number = head.number();
        write(&dir.join(format!("{number}.head")), &text)?;
        write(&dir.join("current"), &text)?;
        if let Some(old) = number.checked_sub(NUMBERS_KEPT) {
            // One that is left over is of no harm.
            let _ = fs::remove_file(dir.join(format!("{old}.head")));
        }
        index.put_head((origin, channel, target), Arc::from(text), head);
        Ok(number)
    }

    /// The channel key of this depot that the newest list of the origin names.
    fn channel_signer(&self, index: &Index, origin: &str) -> Result<(KeyId, SecretKey), Error> {
        let list = index.newest_list(origin);
        let keys = self.tree.channel_keys();
        for listed in list.iter().flat_map(|list| list.channel_keys().iter().rev()) {
            let Ok(id) = listed.id.parse::<KeyId>() else { continue };
            if let Some(key) = self.secret(&keys, &id)? {
                return Ok((id, key));
            }
        }
        Err(Error::Forbidden(format!(
            "no key of this depot may say yet what the channels of {origin} hold: on a host with the secret key of {origin}, run \
             `annulus origin certify {origin} --url URL -z TOKEN`, once"
        )))
    }

    /// Signs those heads again that would soon not be fresh any more; how many.
    ///
    /// # Errors
    /// The disk refuses, or a channel key does not count any more.
    pub fn refresh_heads(&self, now: UnixTime) -> Result<usize, Error> {
        let ageing = |index: &Index| -> Vec<(String, String, String)> {
            index.heads().filter(|(_, head)| head.is_ageing(now)).map(|(key, _)| key.clone()).collect()
        };
        if ageing(&*self.index()?).is_empty() {
            return Ok(0);
        }
        self.change(|index| {
            let keys = ageing(index);
            for (origin, channel, target) in &keys {
                let head = head_or_new(index, origin, channel, target);
                self.publish(index, (origin, channel, target), head, now)?;
            }
            Ok(keys.len())
        })
    }
}

/// What a channel holds, by platform: also what is missing of it.
fn held(index: &Index, origin: &str, channel: &str) -> BTreeMap<String, Vec<Held>> {
    let mut by_target: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    if channel == UNSTABLE {
        for (ident, target, record) in index.records().filter(|(ident, ..)| ident.origin() == origin) {
            if let Some(hash) = record.hash() {
                let entry = (ident.clone(), hash, record.size_bytes.unwrap_or_default());
                by_target.entry(target.to_owned()).or_default().push(entry);
            }
        }
        return by_target;
    }
    for (target, head) in index.heads_of(origin, channel) {
        let packages = head
            .packages()
            .filter_map(|(ident, entry)| Some((ident, entry.checksum.parse().ok()?, entry.size_bytes)));
        by_target.insert(target, packages.collect());
    }
    by_target
}

/// Why hosts do not install a package that a channel holds; none where they do.
fn why_held_back(index: &Index, ident: &PackageIdent, target: &str) -> Option<String> {
    match index.record(ident, target) {
        Some(record) => check_counts(index, ident, &record).err().map(|error| error.to_string()),
        None => Some("it is not here".to_owned()),
    }
}

/// What channels of an origin hold, and hosts do not install any more: each with the channel and the reason.
pub(super) fn held_back(index: &Index, origin: &str) -> Vec<String> {
    let heads = index.heads().filter(|((of, ..), _)| of == origin);
    let packages = heads.flat_map(|((_, channel, target), head)| {
        head.packages().map(move |(ident, _)| (channel, target, ident))
    });
    packages
        .filter_map(|(channel, target, ident)| {
            let record = index.record(&ident, target)?;
            check_counts(index, &ident, &record).err()?;
            let signer = record.signer.clone().unwrap_or_default();
            Some(format!("{ident} for {target}, in the channel {channel}, signed by {signer}"))
        })
        .collect()
}

/// Checks that the key which signed a package still counts.
fn check_counts(index: &Index, ident: &PackageIdent, record: &Record) -> Result<(), Error> {
    let list = index.newest_list(ident.origin());
    match record.signer.as_ref().and_then(|signer| signer.parse::<KeyId>().ok()) {
        Some(signer) => check_signer(list.as_deref(), &signer),
        None => Ok(()),
    }
}
