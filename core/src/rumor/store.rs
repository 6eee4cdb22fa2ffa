//! The store of all rumors but the members' records, by key, with their digest. It joins, bounds and collects rumors;
//! it may not decide whether a rumor is believed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::digest::{self, Digest};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::limits::{GROUP_BYTES_MAX, Limit, RUMORS_BYTES_MAX, RUMORS_MAX};
use crate::model::rumor::{Rumor, RumorKey, RumorKind, ServiceRumor};
use crate::model::time::Instant;

/// The outcome of offering a rumor to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The rumor was new and is kept.
    New,
    /// The store holds this rumor already.
    Known,
    /// The store's own rumor prevails; the sender lags behind.
    Stale,
    /// There is no room for it.
    Refused,
}

#[derive(Debug)]
struct Entry {
    rumor: Rumor,
    hashes: (u64, u64),
    /// Its size, encoded.
    bytes: usize,
    /// Since when it is a tombstone; such entries are not in the digest, so that no member learns them anew.
    dead_since: Option<Instant>,
}

/// Rumors by key.
#[derive(Debug, Default)]
pub(crate) struct RumorStore {
    entries: BTreeMap<RumorKey, Entry>,
    digest: Digest,
    /// How many there are of each kind.
    counts: BTreeMap<RumorKind, usize>,
    tombstones: usize,
    bytes: usize,
}

impl RumorStore {
    /// Joins a rumor into the store.
    pub(crate) fn insert(&mut self, now: Instant, rumor: &Rumor) -> Inserted {
        let key = rumor.key();
        assert!(key.kind() != RumorKind::Member, "members' records are kept by membership");
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.insert_unknown(now, key, rumor);
        };
        if entry.rumor == *rumor {
            return Inserted::Known;
        }
        let mut merged = entry.rumor.clone();
        if !merged.merge(rumor) {
            return Inserted::Stale;
        }
        let new = Entry::new(now, merged);
        if self.bytes - entry.bytes + new.bytes > RUMORS_BYTES_MAX {
            return Inserted::Refused;
        }
        let old = (entry.hashes, entry.bytes, entry.dead_since.is_some());
        let now_held = (new.hashes, new.bytes, new.dead_since.is_some());
        assert!(new.hashes.0 == old.0.0, "a rumor stays under its key");
        *entry = new;
        self.count_out(old);
        self.count_in(now_held);
        self.check();
        Inserted::New
    }

    fn insert_unknown(&mut self, now: Instant, key: RumorKey, rumor: &Rumor) -> Inserted {
        let entry = Entry::new(now, rumor.clone());
        let kind = key.kind();
        if self.is_full(&key, kind.room().times()).is_some() {
            return Inserted::Refused;
        }
        while !kind.room().is_own && self.is_full_for(&entry) {
            if !self.drop_one_tombstone() {
                return Inserted::Refused;
            }
        }
        *self.counts.entry(kind).or_default() += 1;
        self.count_in((entry.hashes, entry.bytes, entry.dead_since.is_some()));
        let before = self.entries.insert(key, entry);
        assert!(before.is_none(), "an unknown rumor was not held");
        self.check();
        Inserted::New
    }

    /// The counters stay within their limits.
    fn check(&self) {
        let fits = |(kind, count): (&RumorKind, &usize)| {
            kind.room().in_ring.is_none_or(|(max, _)| *count <= max * kind.room().times())
        };
        assert!(self.counts.iter().all(fits), "a kind with a limit is within it");
        assert!(self.entries.len() - self.count_apart() <= RUMORS_MAX, "rumors have a limit");
        assert!(
            self.tombstones + self.digest.records() as usize == self.entries.len(),
            "a rumor lives or is gone"
        );
        assert!(self.counts.values().sum::<usize>() == self.entries.len(), "kinds are parts of the whole");
    }

    /// Which limit keeps an operator from adding this version; none when nothing does. Nothing of these kinds is ever
    /// taken out.
    pub(crate) fn no_room_for(&self, rumor: &Rumor) -> Option<Limit> {
        let key = rumor.key();
        let held = self.entries.get(&key);
        if held.is_none()
            && let Some(limit) = self.is_full(&key, 1)
        {
            return Some(limit);
        }
        assert!(rumor.version().is_some(), "operators give versions");
        let grows = rumor.encode().len().saturating_sub(held.map_or(0, |entry| entry.bytes));
        let versions = self.entries.values().filter(|entry| entry.rumor.version().is_some());
        if versions.map(|entry| entry.bytes).sum::<usize>() + grows > GROUP_BYTES_MAX {
            return Some(Limit::GroupBytes);
        }
        (self.bytes + grows > RUMORS_BYTES_MAX).then_some(Limit::RumorBytes)
    }

    fn is_full(&self, key: &RumorKey, times: usize) -> Option<Limit> {
        let kind = key.kind();
        if let Some((max, limit)) = kind.room().in_ring
            && self.count(kind) >= max * times
        {
            return Some(limit);
        }
        if let Some((max, limit)) = kind.room().in_group
            && let Some(group) = key.group()
            && self.of_kind(kind, group).count() >= max * times
        {
            return Some(limit);
        }
        None
    }

    /// How many rumors of this kind there are.
    pub(crate) fn count(&self, kind: RumorKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// How many rumors there are that take no room from the others.
    fn count_apart(&self) -> usize {
        self.counts.iter().filter(|(kind, _)| kind.room().is_own).map(|(_, count)| count).sum()
    }

    /// The rumors of one kind about one group, in order of key.
    pub(crate) fn of_kind<'a>(
        &'a self,
        kind: RumorKind,
        group: &ServiceGroup,
    ) -> impl Iterator<Item = &'a Rumor> + use<'a> {
        let first = RumorKey::first_of(kind, group);
        let following = first.into_iter().flat_map(|first| self.entries.range(first..));
        let group = group.clone();
        following
            .take_while(move |(key, _)| key.kind() == kind && key.group() == Some(&group))
            .map(|(_, entry)| &entry.rumor)
    }

    fn is_full_for(&self, entry: &Entry) -> bool {
        self.entries.len() - self.count_apart() >= RUMORS_MAX || self.bytes + entry.bytes > RUMORS_BYTES_MAX
    }

    fn count_in(&mut self, (hashes, bytes, dead): ((u64, u64), usize, bool)) {
        self.bytes += bytes;
        if dead {
            self.tombstones += 1;
        } else {
            self.digest.add(hashes.0, hashes.1);
        }
    }

    fn count_out(&mut self, (hashes, bytes, dead): ((u64, u64), usize, bool)) {
        assert!(self.bytes >= bytes, "a rumor that is taken out was counted in");
        self.bytes -= bytes;
        if dead {
            assert!(self.tombstones > 0, "a tombstone that is taken out was taken in");
            self.tombstones -= 1;
        } else {
            self.digest.remove(hashes.0, hashes.1);
        }
    }

    fn take_out(&mut self, key: &RumorKey) -> bool {
        assert!(!key.kind().room().is_own, "rumors with room of their own are never taken out");
        let Some(entry) = self.entries.remove(key) else { return false };
        self.count_out((entry.hashes, entry.bytes, entry.dead_since.is_some()));
        let count = self.counts.get_mut(&key.kind()).expect("a rumor that is taken out was counted in");
        assert!(*count > 0, "no more is taken out than was put in");
        *count -= 1;
        true
    }

    /// Makes room at the expense of the oldest tombstone, which others still hold.
    fn drop_one_tombstone(&mut self) -> bool {
        let oldest = self
            .entries
            .iter()
            .filter_map(|(key, entry)| entry.dead_since.map(|since| (since, key)))
            .min()
            .map(|(_, key)| key.clone());
        oldest.is_some_and(|key| self.take_out(&key))
    }

    pub(crate) fn get(&self, key: &RumorKey) -> Option<&Rumor> {
        self.entries.get(key).map(|entry| &entry.rumor)
    }

    /// The facts that services may know of one group.
    pub(crate) fn facts_of<'a>(&'a self, group: &ServiceGroup) -> impl Iterator<Item = &'a Rumor> + use<'a> {
        let group = group.clone();
        let kinds = RumorKind::ALL.into_iter().filter(|kind| kind.is_fact());
        kinds.flat_map(move |kind| self.of_kind(kind, &group))
    }

    /// How long a rumor is, encoded; none when it is not known.
    pub(crate) fn encoded_len(&self, key: &RumorKey) -> Option<usize> {
        self.entries.get(key).map(|entry| entry.bytes)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rumor> {
        self.entries.values().map(|entry| &entry.rumor)
    }

    /// The statements about a group's services, withdrawn ones included.
    pub(crate) fn services_of<'a>(
        &'a self,
        group: &ServiceGroup,
    ) -> impl Iterator<Item = &'a ServiceRumor> + use<'a> {
        let told = self.of_kind(RumorKind::Service, group);
        told.filter_map(|rumor| if let Rumor::Service(told) = rumor { Some(told) } else { None })
    }

    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Key hash, version hash and rumor of all entries that digests cover.
    pub(crate) fn digested(&self) -> impl Iterator<Item = (u64, u64, &Rumor)> {
        let living = self.entries.values().filter(|entry| entry.dead_since.is_none());
        living.map(|entry| (entry.hashes.0, entry.hashes.1, &entry.rumor))
    }

    /// Key hash and rumor of all entries that digests leave out.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = (u64, &Rumor)> {
        let dead = self.entries.values().filter(|entry| entry.dead_since.is_some());
        dead.map(|entry| (entry.hashes.0, &entry.rumor))
    }

    /// Forgets tombstones older than `age`; returns their keys.
    pub(crate) fn collect(&mut self, now: Instant, age: Duration) -> Vec<RumorKey> {
        let old = |entry: &Entry| entry.dead_since.is_some_and(|since| since + age <= now);
        let keys: Vec<RumorKey> =
            self.entries.iter().filter(|(_, e)| old(e)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.take_out(key);
        }
        self.check();
        assert!(keys.is_empty() || now >= Instant::ZERO + age, "only old tombstones are forgotten");
        keys
    }

    /// Forgets rumors that only a departed owner could have changed; returns the keys.
    pub(crate) fn forget_owned_by(&mut self, owner: &MemberId) -> Vec<RumorKey> {
        let owned = |entry: &Entry| entry.rumor.owner().as_ref() == Some(owner);
        let keys: Vec<RumorKey> =
            self.entries.iter().filter(|(_, e)| owned(e)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.take_out(key);
        }
        self.check();
        keys
    }

    /// Whether a tombstone waits to be collected.
    pub(crate) fn has_tombstones(&self) -> bool {
        self.tombstones > 0
    }
}

impl Entry {
    fn new(now: Instant, rumor: Rumor) -> Self {
        let dead_since = rumor.is_tombstone().then_some(now);
        let encoded = rumor.encode();
        assert!(!encoded.is_empty(), "a rumor says something");
        let hashes = (rumor.key().hash(), digest::hash_bytes(&encoded));
        Self { hashes, bytes: encoded.len(), rumor, dead_since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::SysInfo;
    use crate::model::id::Incarnation;
    use crate::model::limits::RUMOR_BYTES_MAX;
    use crate::model::rumor::ServiceRumor;

    /// Members that each tell of the largest service there can be.
    fn large(n: usize, tombstone: bool) -> Rumor {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let cfg = alloc::vec![b'x'; RUMOR_BYTES_MAX - 1_024];
        Rumor::Service(ServiceRumor {
            member_id: MemberId::from_bytes(id),
            group: "web.default".parse().expect("valid"),
            incarnation: Incarnation(1),
            initialized: true,
            pkg: "core/web/1.0/20260101000000".parse().expect("valid"),
            cfg,
            sys: SysInfo::default(),
            pkg_incarnation: 0,
            tombstone,
            accepting: true,
            maintenance: None,
            config_incarnation: 0,
            electorate_min: 0,
            versions_digest: 0,
        })
    }

    #[test]
    fn bytes_are_bounded_and_the_dead_make_room() {
        let now = Instant::from_millis(1);
        let mut store = RumorStore::default();
        let fit = RUMORS_BYTES_MAX / large(0, false).encode().len();
        assert_eq!(store.insert(now, &large(0, true)), Inserted::New);
        for n in 1..=fit {
            assert_eq!(store.insert(now, &large(n, false)), Inserted::New, "{n} of {fit}");
        }
        assert!(store.get(&large(0, true).key()).is_none(), "the tombstone made room");
        assert_eq!(store.insert(now, &large(fit + 1, false)), Inserted::Refused);
        assert_eq!(store.iter().count(), fit);
        assert_eq!(store.forget_owned_by(&large(1, false).owner().expect("owned")).len(), 1);
        assert_eq!(store.insert(now, &large(fit + 1, false)), Inserted::New);
    }
}
